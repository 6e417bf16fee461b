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

    /// <summary>Names of all tensors that hold a number which is none or infinite. Reads everything.</summary>
    public IReadOnlyList<string> FindNonFinite()
        => [.. Tensors.Values.Where(t => t.Type is not (DType.Float8E4M3 or DType.Float8E5M2) ? HoldsNonFinite(t) : HoldsFp8Nan(t)).Select(t => t.Name)];

    private bool HoldsNonFinite(StoredTensor stored)
    {
        if (stored.Type is not (DType.Float32 or DType.Float64 or DType.Float16 or DType.BFloat16))
            return false;
        using var scope = NewDisposeScope();
        return !Read(stored.Name).isfinite().all().item<bool>();
    }

    private bool HoldsFp8Nan(StoredTensor stored)
    {
        using var scope = NewDisposeScope();
        return !Read(stored.Name).to(ScalarType.Float32).isfinite().all().item<bool>();
    }

    /// <summary>Opens a folder of safetensors files, or a GGUF file.</summary>
    /// <param name="path">Folder or file.</param>
    /// <param name="copies">Whether slices are read into memory of their own instead of being views of mapped files; safetensors only.</param>
    /// <exception cref="ModelLoadException">Nothing usable lies there.</exception>
    public static Checkpoint Open(string path, bool copies = false)
    {
        if (!File.Exists(path) || !path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            return SafetensorsCheckpoint.Open(path, copies);
        return copies
            ? throw new ModelLoadException($"{new OptionName("load-format")} copy: '{path}' is a GGUF file, which is always mapped and decoded. Leave the flag out.")
            : GgufCheckpoint.Open(path);
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Counts stored bytes that were handed out.</summary>
    protected void CountBytes(long bytes) => Interlocked.Add(ref _bytesRead, bytes);
}
