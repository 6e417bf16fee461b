using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>
/// Products with quantized weights. Few rows: decoding is part of the product, so only codes travel from memory. Many rows: a piece of
/// the weight at a time is decoded into scratch that fits the cache and multiplied by libtorch.
/// </summary>
public sealed unsafe partial class CpuKernels
{
    /// <summary>Up to this many rows the fused product is faster.</summary>
    private const int MaxFusedRows = 12;

    /// <summary>Bytes of decoded weight that are held at once.</summary>
    private const long ScratchBytes = 4L << 20;

    /// <inheritdoc/>
    public override Tensor ToDense(LinearWeight weight, ScalarType type)
    {
        if (weight.Parts is not { } parts || !IsSupported(type))
            return base.ToDense(weight, type);
        var dense = empty([parts.Sum(p => p.Rows), parts[0].Columns], type);
        byte* target = (byte*)TorchShim.Data(dense);
        foreach (var part in parts)
        {
            Decode(part, 0, part.Rows, target, type);
            target += part.Rows * part.Columns * dense.element_size();
        }

        return dense;
    }

    private Tensor QuantizedLinear(Tensor x, IReadOnlyList<QuantizedTensor> parts, Tensor? bias)
    {
        using var input = DynamicActivations ? parts[0].RoundActivations(x) : x.alias();
        if (x.shape[0] > MaxFusedRows)
        {
            // Rounded activations are exact in float32 only.
            using var product = DecodedProduct(input, parts);
            using var sum = bias is null ? product.alias() : product.Plus(bias);
            return sum.dtype == x.dtype ? sum.alias() : sum.to(x.dtype);
        }

        using var wide = input.to(ScalarType.Float32);
        using var dense = wide.contiguous();
        using var fused = FusedProduct(dense, parts);
        if (bias is not null)
            fused.PlusInPlace(bias);
        return fused.dtype == x.dtype ? fused.alias() : fused.to(x.dtype);
    }

    /// <summary>x [T, K] float32 contiguous; result [T, N] float32.</summary>
    private static Tensor FusedProduct(Tensor x, IReadOnlyList<QuantizedTensor> parts)
    {
        int tokens = (int)x.shape[0];
        long outputs = parts.Sum(p => p.Rows);
        var result = empty([tokens, outputs], ScalarType.Float32);
        nint source = (nint)TorchShim.Data(x), target = (nint)TorchShim.Data(result);
        foreach (var part in parts)
        {
            var at = target;
            TorchShim.ParallelFor(0, part.Rows, Math.Max(16, 65536 / part.Columns), (begin, end) =>
                part.MultiplyRows((float*)source, tokens, begin, end, (float*)at, outputs));
            target += (nint)(part.Rows * sizeof(float));
        }

        return result;
    }

    /// <summary>x [T, K]; result [T, N] in x's type.</summary>
    private static Tensor DecodedProduct(Tensor x, IReadOnlyList<QuantizedTensor> parts)
    {
        long inputs = x.shape[1];
        int bytes = (int)x.element_size();
        long pieceRows = Math.Max(64, ScratchBytes / (inputs * bytes) / 16 * 16);
        var result = empty([x.shape[0], parts.Sum(p => p.Rows)], x.dtype);
        using var scratch = empty([Math.Min(pieceRows, parts.Max(p => p.Rows)), inputs], x.dtype);
        long column = 0;
        foreach (var part in parts)
            for (long row = 0; row < part.Rows; row += pieceRows)
            {
                long count = Math.Min(pieceRows, part.Rows - row);
                Decode(part, row, count, (byte*)TorchShim.Data(scratch), x.dtype);
                using var piece = scratch.narrow(0, 0, count);
                using var product = nn.functional.linear(x, piece);
                using var place = result.narrow(1, column, count);
                place.copy_(product);
                column += count;
            }

        return result;
    }

    private static void Decode(QuantizedTensor part, long row, long count, byte* target, ScalarType type)
    {
        nint at = (nint)target;
        long columns = part.Columns;
        TorchShim.ParallelFor(0, count, Math.Max(1, 32768 / columns), (begin, end) =>
        {
            for (long r = begin; r < end; r++)
                if (type == ScalarType.BFloat16)
                    part.DecodeRow(row + r, (ushort*)at + r * columns);
                else
                    part.DecodeRow(row + r, (float*)at + r * columns);
        });
    }
}
