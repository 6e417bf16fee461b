using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>
/// Block FP8 as DeepSeek publishes it: e4m3 codes [N, K] and one float32 scale per block, value = code * scale (despite the
/// name weight_scale_inv). The last block of a row or column may be ragged.
/// </summary>
public static unsafe class Fp8Blocks
{
    private static readonly float[] Values = [.. Enumerable.Range(0, 256).Select(code => Decode((byte)code))];

    /// <summary>One e4m3fn code: sign, 4 exponent bits with bias 7, 3 mantissa bits; 0x7F and 0xFF are NaN.</summary>
    public static float Decode(byte code)
    {
        int exponent = (code >> 3) & 15, mantissa = code & 7;
        if (exponent == 15 && mantissa == 7)
            return float.NaN;
        float magnitude = exponent == 0 ? mantissa / 8f * MathF.Pow(2, -6) : (1 + mantissa / 8f) * MathF.Pow(2, exponent - 7);
        return (code & 0x80) != 0 ? -magnitude : magnitude;
    }

    /// <summary>Decodes a rectangle of a block-quantized matrix.</summary>
    /// <param name="codes">CPU tensor [rows, columns] of one-byte elements; rows may be strided.</param>
    /// <param name="scales">CPU float32 scales of the blocks that the rectangle touches.</param>
    /// <param name="block">Rows and columns of a block.</param>
    /// <param name="rowOffset">Rows of the first block above the rectangle.</param>
    /// <param name="columnOffset">Columns of the first block left of the rectangle.</param>
    /// <returns>A fresh float32 CPU tensor [rows, columns].</returns>
    public static Tensor Dequantize(Tensor codes, Tensor scales, (int Rows, int Columns) block, int rowOffset, int columnOffset)
    {
        long rows = codes.shape[0], columns = codes.shape[1], stride = codes.stride(0), scaleStride = scales.stride(0);
        var result = empty([rows, columns], ScalarType.Float32);
        var source = (byte*)TorchShim.Data(codes);
        var scale = (float*)TorchShim.Data(scales);
        var target = (float*)TorchShim.Data(result);
        TorchShim.ParallelFor(0, rows, 16, (begin, end) =>
        {
            fixed (float* table = Values)
                for (long r = begin; r < end; r++)
                {
                    var rowScales = scale + (r + rowOffset) / block.Rows * scaleStride;
                    for (long c = 0; c < columns;)
                    {
                        long blockColumn = (c + columnOffset) / block.Columns;
                        long stop = Math.Min(columns, (blockColumn + 1) * block.Columns - columnOffset);
                        float factor = rowScales[blockColumn];
                        for (; c < stop; c++)
                            target[r * columns + c] = table[source[r * stride + c]] * factor;
                    }
                }
        });
        return result;
    }
}
