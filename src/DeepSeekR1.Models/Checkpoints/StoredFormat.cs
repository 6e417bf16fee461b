using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>
/// How a quantized matrix lies in a checkpoint: which tensors it takes, and how a rank's slice is read from them. One format per
/// published layout.
/// </summary>
public abstract class StoredFormat
{
    /// <summary>Types that a tensor of numbers may have.</summary>
    public static readonly IReadOnlyList<DType> FloatTypes = [DType.Float32, DType.BFloat16, DType.Float16, DType.Float64];

    /// <summary>The format in which the checkpoint holds a declared matrix; null when it is dense, or missing.</summary>
    public static StoredFormat? Of(Checkpoint checkpoint, WeightSpec spec, ModelConfig config)
    {
        if (spec.Shape.Length != 2 || !checkpoint.Tensors.TryGetValue(spec.Name, out var stored))
            return null;
        return stored.Type == DType.Float8E4M3 && config.Fp8Block is { } block ? new StoredFp8(block) : null;
    }

    /// <summary>Every tensor that the matrix takes, with its shape and the types that it may have.</summary>
    public abstract IEnumerable<(string Name, long[] Shape, IReadOnlyList<DType> Types)> Tensors(WeightSpec spec);

    /// <summary>Reads the slice that the declaration asks for; the caller owns it.</summary>
    /// <exception cref="ModelLoadException">The data are no numbers. The message does not name the tensor.</exception>
    public abstract QuantizedTensor Read(Checkpoint checkpoint, WeightSpec spec);
}

/// <summary>
/// Block FP8 of DeepSeek-V3: <c>X.weight</c> in e4m3 and <c>X.weight_scale_inv</c> with one float per block, in whichever shard.
/// </summary>
/// <param name="block">quantization_config.weight_block_size.</param>
internal sealed class StoredFp8((int Rows, int Columns) block) : StoredFormat
{
    private const string ScaleSuffix = "_scale_inv";

    /// <inheritdoc/>
    public override IEnumerable<(string Name, long[] Shape, IReadOnlyList<DType> Types)> Tensors(WeightSpec spec) =>
    [
        (spec.Name, spec.Shape, [DType.Float8E4M3]),
        (spec.Name + ScaleSuffix, [(spec.Shape[0] + block.Rows - 1) / block.Rows, (spec.Shape[1] + block.Columns - 1) / block.Columns], FloatTypes),
    ];

    /// <inheritdoc/>
    public override QuantizedTensor Read(Checkpoint checkpoint, WeightSpec spec)
    {
        var slice = spec.Slice;
        long firstRow = slice.Row / block.Rows, lastRow = (slice.Row + slice.Rows - 1) / block.Rows;
        long firstColumn = slice.Column / block.Columns, lastColumn = (slice.Column + slice.Columns - 1) / block.Columns;
        using var codes = checkpoint.Read(spec.Name, slice);
        using var scales = checkpoint.Read(
            spec.Name + ScaleSuffix, new TensorSlice(firstRow, lastRow - firstRow + 1, firstColumn, lastColumn - firstColumn + 1));

        // Copies: what was read may be a view of the file.
        var ownCodes = empty(codes.shape, ScalarType.Byte);
        using (var bytes = TorchShim.ViewAs(codes, DType.UInt8))
            ownCodes.copy_(bytes);
        return new Fp8Tensor(
            ownCodes, scales.to(ScalarType.Float32, copy: true).contiguous(), block, (int)(slice.Row % block.Rows), (int)(slice.Column % block.Columns));
    }
}
