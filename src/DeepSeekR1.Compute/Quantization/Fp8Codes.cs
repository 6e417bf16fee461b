using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>The e4m3fn number format (OCP 8-bit floating point): sign, 4 exponent bits with bias 7, 3 mantissa bits, no infinities.</summary>
public static class Fp8Codes
{
    /// <summary>Largest number.</summary>
    public const float Max = 448;

    /// <summary>Activations below this count as this when their scale is chosen.</summary>
    private const float SmallestMaximum = 1e-4f;

    /// <summary>One code; 0x7F and 0xFF are NaN.</summary>
    public static float Decode(byte code)
    {
        int exponent = (code >> 3) & 15, mantissa = code & 7;
        if (exponent == 15 && mantissa == 7)
            return float.NaN;
        float magnitude = exponent == 0 ? mantissa / 8f * MathF.Pow(2, -6) : (1 + mantissa / 8f) * MathF.Pow(2, exponent - 7);
        return (code & 0x80) != 0 ? -magnitude : magnitude;
    }

    /// <summary>Codes of a float32 tensor, as a fresh tensor of bytes: nearest, ties to even, out of range to +-448; NaN stays NaN.</summary>
    public static Tensor Encode(Tensor values)
    {
        using var inRange = values.clamp(Scalars.Of((double)-Max), Scalars.Of((double)Max));
        using var codes = inRange.to(DType.Float8E4M3.ToScalarType());
        return TorchShim.ViewAs(codes, DType.UInt8);
    }

    /// <summary>
    /// Codes and scales of a dense matrix [N, K]: scale = largest magnitude of the block / 448 (1 for a block of zeros), code = nearest
    /// of value / scale.
    /// </summary>
    /// <param name="weight">[N, K], any float type.</param>
    /// <param name="block">Rows and columns of a block.</param>
    /// <returns>Bytes [N, K] and float32 [ceil(N / rows), ceil(K / columns)]; the caller disposes both.</returns>
    public static (Tensor Codes, Tensor Scales) Quantize(Tensor weight, (int Rows, int Columns) block)
    {
        long rows = weight.shape[0], columns = weight.shape[1];
        long down = (rows + block.Rows - 1) / block.Rows, across = (columns + block.Columns - 1) / block.Columns;
        using var wide = weight.to(ScalarType.Float32);
        using var padded = nn.functional.pad(wide, [0, (across * block.Columns) - columns, 0, (down * block.Rows) - rows]);
        using var blocks = padded.view(down, block.Rows, across, block.Columns);
        using var magnitudes = blocks.abs();
        using var largest = magnitudes.amax([1, 3]);
        using var raw = largest / Scalars.Of((double)Max);
        using var empty = largest.eq(Scalars.Of(0L));
        var scales = raw.masked_fill(empty, Scalars.Of(1L));
        using var factors = scales.view(down, 1, across, 1);
        using var divided = blocks / factors;
        using var flat = divided.view(down * block.Rows, across * block.Columns);
        using var own = flat.narrow(0, 0, rows);
        using var inside = own.narrow(1, 0, columns);
        using var contiguous = inside.contiguous();
        return (Encode(contiguous), scales);
    }

    /// <summary>
    /// Activations rounded to FP8 and back: per row and group of channels, scale = max(largest magnitude, 1e-4) / 448, result = code *
    /// scale. x [T, K]; the result is float32. The first group is shorter by the offset.
    /// </summary>
    public static Tensor RoundActivations(Tensor x, int group, int offset)
    {
        var (codes, scales) = QuantizeActivations(x, group, offset);
        using (codes)
        using (scales)
        {
            using var typed = TorchShim.ViewAs(codes, DType.Float8E4M3);
            using var values = typed.to(ScalarType.Float32);
            using var spread = scales.repeat_interleave(group, 1);
            using var own = spread.narrow(1, offset, x.shape[1]);
            return values * own;
        }
    }

    /// <summary>Codes [T, K] as bytes and scales [T, groups] float32 of activations; see <see cref="RoundActivations"/>.</summary>
    public static (Tensor Codes, Tensor Scales) QuantizeActivations(Tensor x, int group, int offset = 0)
    {
        long rows = x.shape[0], columns = x.shape[1], groups = (columns + offset + group - 1) / group;
        using var wide = x.to(ScalarType.Float32);
        using var padded = nn.functional.pad(wide, [offset, (groups * group) - columns - offset]);
        using var parts = padded.view(rows, groups, group);
        using var magnitudes = parts.abs();
        using var largest = magnitudes.amax([2]);
        using var floored = largest.clamp_min(Scalars.Of((double)SmallestMaximum));
        var scales = floored / Scalars.Of((double)Max);
        using var factors = scales.unsqueeze(-1);
        using var divided = parts / factors;
        using var flat = divided.view(rows, groups * group);
        using var own = flat.narrow(1, offset, columns);
        using var contiguous = own.contiguous();
        return (Encode(contiguous), scales);
    }
}
