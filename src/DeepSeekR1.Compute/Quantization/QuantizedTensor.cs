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

    /// <summary>Name of the format as <c>--quantization</c> writes it.</summary>
    public abstract string Format { get; }

    /// <summary>Bytes of codes and scales in memory.</summary>
    public abstract long Bytes { get; }

    /// <summary>The numbers: a fresh float32 tensor [N, K] on the device of the codes.</summary>
    public abstract Tensor Dequantize();

    /// <summary>Writes one row's numbers [K]. CPU only; several threads may call it.</summary>
    public abstract void DecodeRow(long row, float* target);

    /// <summary>Writes one row's numbers [K], rounded to bfloat16. CPU only; several threads may call it.</summary>
    public virtual void DecodeRow(long row, ushort* target)
    {
        var wide = new float[Columns];
        fixed (float* at = wide)
            DecodeRow(row, at);
        Kernels.CpuMath.Store(wide, target);
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
        var row = new float[Columns];
        fixed (float* weights = row)
            for (long n = begin; n < end; n++)
            {
                DecodeRow(n, weights);
                for (int t = 0; t < tokens; t++)
                    y[t * stride + n] = Kernels.CpuMath.Dot(x + t * Columns, weights, (int)Columns);
            }
    }

    /// <inheritdoc/>
    public abstract void Dispose();
}
