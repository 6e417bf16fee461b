using System.Buffers;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>
/// A weight matrix [N, K] that stays in its low-bit form in memory: codes, scales and the rule that turns them into numbers.
/// <see cref="Dequantize"/> is the meaning, in plain libtorch operations on any device; <see cref="DecodeRow(long, float*)"/> and
/// <see cref="MultiplyRows"/> are the same on CPU memory, fast. Owned by its layer.
/// </summary>
public abstract unsafe class QuantizedTensor(long rows, long columns) : IDisposable
{
    /// <summary>Rows N: outputs.</summary>
    public long Rows { get; } = rows;

    /// <summary>Columns K: inputs.</summary>
    public long Columns { get; } = columns;

    /// <summary>Name of the format as the option <c>quantization</c> writes it.</summary>
    public abstract string Format { get; }

    /// <summary>Bytes of codes and scales in memory.</summary>
    public abstract long Bytes { get; }

    /// <summary>The numbers: a fresh float32 tensor [N, K] on the device of the codes.</summary>
    public abstract Tensor Dequantize();

    /// <summary>
    /// Inputs as the format's dynamic scheme rounds them: a fresh float32 tensor of the shape of x. Formats without one give x itself.
    /// </summary>
    public virtual Tensor RoundActivations(Tensor x) => x.to(ScalarType.Float32).alias();

    /// <summary>A rectangle of the matrix, with exactly the same numbers; owns copies.</summary>
    public abstract QuantizedTensor Slice(long row, long rows, long column, long columns);

    /// <summary>A copy on a device; elsewhere than on the CPU only <see cref="Dequantize"/> works.</summary>
    public abstract QuantizedTensor To(Device device);

    /// <summary>Rounds a dense matrix [N, K].</summary>
    /// <param name="format">fp8 (blocks of 128 x 128), int8, int4 (groups of 128) or nf4.</param>
    /// <param name="weight">Any float type, on the CPU.</param>
    public static QuantizedTensor Quantize(string format, Tensor weight)
    {
        using var scope = NewDisposeScope();
        switch (format)
        {
            case "fp8":
                var (codes, scales) = Fp8Codes.Quantize(weight, (128, 128));
                return new Fp8Tensor(codes, scales, (128, 128));
            case "int8":
                return Int8Tensor.Quantize(weight);
            case "int4":
                return FourBitTensor.QuantizeInt4(weight, 128);
            case "nf4":
                return FourBitTensor.QuantizeNf4(weight);
            default:
                throw new ArgumentException($"There is no format '{format}'.", nameof(format));
        }
    }

    /// <summary>Names of all formats.</summary>
    public static IReadOnlyList<string> Formats { get; } = ["fp8", "int8", "int4", "nf4"];

    /// <summary>Refuses scales that are no numbers.</summary>
    /// <exception cref="ModelLoadException">One is not finite.</exception>
    protected static void CheckFinite(ReadOnlySpan<float> scales, string what)
    {
        for (int i = 0; i < scales.Length; i++)
            if (!float.IsFinite(scales[i]))
                throw new ModelLoadException($"The {what} {i} is {scales[i]}; scales must be finite numbers.");
    }

    /// <summary>Writes one row's numbers [K]. CPU only; several threads may call it.</summary>
    public abstract void DecodeRow(long row, float* target);

    /// <summary>Writes one row's numbers [K], rounded to bfloat16. CPU only; several threads may call it.</summary>
    public virtual void DecodeRow(long row, ushort* target)
    {
        const int Lanes = 16;
        var wide = ArrayPool<float>.Shared.Rent((int)Columns);
        fixed (float* at = wide)
        {
            DecodeRow(row, at);
            long c = 0;
            for (; c + Lanes <= Columns; c += Lanes)
                Kernels.CpuMath.Narrow16(Vector512.Load(at + c)).Store(target + c);
            for (; c < Columns; c++)
                target[c] = Kernels.CpuMath.Narrow(at[c]);
        }

        ArrayPool<float>.Shared.Return(wide);
    }

    /// <summary>
    /// y[t, n] = sum over k of x[t, k] * w[n, k] for the rows n in [begin, end), accumulated in float32. CPU only; several threads
    /// may call it with ranges of their own.
    /// </summary>
    /// <param name="x">Inputs [tokens, K], contiguous.</param>
    /// <param name="tokens">Rows of x.</param>
    /// <param name="begin">First row of the weight.</param>
    /// <param name="end">One past the last row.</param>
    /// <param name="y">Where y[0, 0] lies.</param>
    /// <param name="stride">Floats from y[t, n] to y[t + 1, n].</param>
    public virtual void MultiplyRows(float* x, int tokens, long begin, long end, float* y, long stride)
    {
        var row = ArrayPool<float>.Shared.Rent((int)Columns);
        fixed (float* weights = row)
            for (long n = begin; n < end; n++)
            {
                DecodeRow(n, weights);
                for (int t = 0; t < tokens; t++)
                    y[t * stride + n] = Kernels.CpuMath.Dot(x + t * Columns, weights, (int)Columns);
            }

        ArrayPool<float>.Shared.Return(row);
    }

    /// <inheritdoc/>
    public abstract void Dispose();
}
