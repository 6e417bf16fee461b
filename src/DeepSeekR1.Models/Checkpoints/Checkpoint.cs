using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>A tensor as it lies in a checkpoint.</summary>
/// <param name="Name">Hub name, for example <c>model.layers.0.self_attn.q_proj.weight</c>.</param>
/// <param name="Type">Stored type; block-quantized containers report the type that they decode to.</param>
/// <param name="Shape">Dimensions, row-major.</param>
public record StoredTensor(string Name, DType Type, long[] Shape);

/// <summary>A rectangle of a matrix (or a run of a vector: columns are then 0 and 1).</summary>
/// <param name="Row">First row.</param>
/// <param name="Rows">Number of rows.</param>
/// <param name="Column">First column.</param>
/// <param name="Columns">Number of columns.</param>
public readonly record struct TensorSlice(long Row, long Rows, long Column, long Columns)
{
    /// <summary>The whole of a vector or matrix.</summary>
    public static TensorSlice Whole(IReadOnlyList<long> shape) => new(0, shape[0], 0, shape.Count > 1 ? shape[1] : 1);
}

/// <summary>
/// Weights by hub name, whatever the container. Opening maps and indexes; only <see cref="Read(string, TensorSlice)"/> touches data, and only the
/// slice that is asked for. Safe for several reading threads.
/// </summary>
public abstract class Checkpoint : IDisposable
{
    private long _bytesRead;

    /// <summary>Every tensor by name.</summary>
    public abstract IReadOnlyDictionary<string, StoredTensor> Tensors { get; }

    /// <summary>Where it lies: a folder or a file, for messages.</summary>
    public abstract string Location { get; }

    /// <summary>Bytes of stored data handed out so far, over all threads.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <summary>
    /// A slice on the CPU in its stored type (FP8 as bytes, see <see cref="DType.Float8E4M3"/>). May be a view of mapped memory:
    /// read-only and valid until the checkpoint is disposed. The caller disposes it.
    /// </summary>
    /// <exception cref="ModelLoadException">No such tensor, or its data cannot be read.</exception>
    public abstract Tensor Read(string name, TensorSlice slice);

    /// <summary>The whole tensor; see <see cref="Read(string, TensorSlice)"/>.</summary>
    public Tensor Read(string name) => Read(name, TensorSlice.Whole(Find(name).Shape is { Length: > 0 } shape ? shape : [1]));

    /// <summary>The entry of a tensor.</summary>
    /// <exception cref="ModelLoadException">There is none.</exception>
    public StoredTensor Find(string name)
        => Tensors.TryGetValue(name, out var stored) ? stored : throw new ModelLoadException($"'{Location}' has no tensor '{name}'.");

    /// <summary>Opens a folder of safetensors files.</summary>
    /// <exception cref="ModelLoadException">Nothing usable lies there.</exception>
    public static Checkpoint Open(string path) => File.Exists(path) && path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)
        ? GgufCheckpoint.Open(path)
        : SafetensorsCheckpoint.Open(path);

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Counts stored bytes that were handed out.</summary>
    protected void CountBytes(long bytes) => Interlocked.Add(ref _bytesRead, bytes);
}
