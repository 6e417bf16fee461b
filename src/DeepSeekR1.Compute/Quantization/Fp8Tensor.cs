using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>
/// Block FP8 as DeepSeek publishes it: e4m3 codes and one float32 scale per block, value = code * scale (despite the name
/// weight_scale_inv). A rank's slice may begin inside a block; then it keeps the scales of every block that it touches, and its
/// offset in the first one.
/// </summary>
public sealed unsafe class Fp8Tensor : QuantizedTensor
{
    /// <summary>
    /// The bits of an e4m3 code, moved to where a float32 has exponent and mantissa, are the value times 2^-120: 127 - 7 apart in
    /// exponent bias. Subnormal codes become subnormal floats, so this holds for all codes but NaN.
    /// </summary>
    private const float TwoTo120 = 1.329227995784916e36f;

    /// <summary>Half of that, put on the inputs and on the scales: on one side alone it would overflow or underflow.</summary>
    private const float TwoTo60 = 1.152921504606847e18f;

    private const int Lanes = 8;
    private readonly Tensor _codes, _scales;
    private readonly byte* _code;
    private readonly float* _scale;
    private readonly (int Rows, int Columns) _block;
    private readonly int _rowOffset, _columnOffset;
    private readonly long _scaleStride;

    /// <summary>Takes over both tensors.</summary>
    /// <param name="codes">[N, K] of one-byte elements, contiguous.</param>
    /// <param name="scales">float32, one per block that the slice touches, contiguous.</param>
    /// <param name="block">Rows and columns of a block.</param>
    /// <param name="rowOffset">Rows of the first block above the slice.</param>
    /// <param name="columnOffset">Columns of the first block left of the slice.</param>
    /// <exception cref="ModelLoadException">A code or a scale is no number.</exception>
    public Fp8Tensor(Tensor codes, Tensor scales, (int Rows, int Columns) block, int rowOffset = 0, int columnOffset = 0)
        : base(codes.shape[0], codes.shape[1])
    {
        _codes = codes.DetachFromDisposeScope();
        _scales = scales.DetachFromDisposeScope();
        (_block, _rowOffset, _columnOffset) = (block, rowOffset, columnOffset);
        _scaleStride = scales.shape[1];
        if (codes.device.type != TorchSharp.DeviceType.CPU)
            return;
        _code = (byte*)TorchShim.Data(codes);
        _scale = (float*)TorchShim.Data(scales);
        CheckFinite();
    }

    /// <inheritdoc/>
    public override string Format => "fp8";

    /// <summary>Rows and columns of a block.</summary>
    public (int Rows, int Columns) Block => _block;

    /// <summary>Columns of the first block that lie left of this slice.</summary>
    public int ColumnOffset => _columnOffset;

    /// <inheritdoc/>
    public override long Bytes => _codes.numel() + _scales.numel() * sizeof(float);

    /// <inheritdoc/>
    public override Tensor Dequantize()
    {
        using var codes = TorchShim.ViewAs(_codes, DType.Float8E4M3);
        var values = codes.to(ScalarType.Float32);
        using var rowsWide = _scales.repeat_interleave(_block.Rows, 0);
        using var rows = rowsWide.narrow(0, _rowOffset, Rows);
        using var wide = rows.repeat_interleave(_block.Columns, 1);
        using var scales = wide.narrow(1, _columnOffset, Columns);
        return values.mul_(scales);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(long row, float* target)
    {
        byte* codes = _code + row * Columns;
        for (long c = 0; c < Columns;)
        {
            long stop = BlockEnd(c);
            float scale = ScaleAt(row, c);
            var wide = Vector256.Create(scale);
            for (; c + Lanes <= stop; c += Lanes)
                (Shifted(codes + c) * Vector256.Create(TwoTo120) * wide).Store(target + c);
            for (; c < stop; c++)
                target[c] = Shifted1(codes[c]) * TwoTo120 * scale;
        }
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(long row, ushort* target)
    {
        byte* codes = _code + row * Columns;
        for (long c = 0; c < Columns;)
        {
            long stop = BlockEnd(c);
            float scale = ScaleAt(row, c);
            var wide = Vector256.Create(scale);
            for (; c + 2 * Lanes <= stop; c += 2 * Lanes)
            {
                var first = Kernels.CpuMath.NarrowBits(Shifted(codes + c) * Vector256.Create(TwoTo120) * wide);
                var second = Kernels.CpuMath.NarrowBits(Shifted(codes + c + Lanes) * Vector256.Create(TwoTo120) * wide);
                Vector256.Narrow(first, second).Store(target + c);
            }

            for (; c < stop; c++)
                target[c] = Kernels.CpuMath.Narrow(Shifted1(codes[c]) * TwoTo120 * scale);
        }
    }

    /// <inheritdoc/>
    public override void MultiplyRows(float* x, int tokens, long begin, long end, float* y, long stride)
    {
        // Inputs carry half of the power of two that the codes lack, scales the other half.
        var scaled = new float[tokens * Columns];
        System.Numerics.Tensors.TensorPrimitives.Multiply(new ReadOnlySpan<float>(x, scaled.Length), TwoTo60, scaled);
        fixed (float* input = scaled)
        {
            int token = 0;
            for (; token + 4 <= tokens; token += 4)
                for (long n = begin; n < end; n++)
                    MultiplyFour(input + token * Columns, n, y + token * stride + n, stride);
            for (; token < tokens; token++)
            {
                long n = begin;
                for (; n + 4 <= end; n += 4)
                    MultiplyFourRows(input + token * Columns, n, y + token * stride + n);
                for (; n < end; n++)
                    y[token * stride + n] = MultiplyOne(input + token * Columns, n);
            }
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _codes.Dispose();
        _scales.Dispose();
    }

    /// <summary>One input row times four weight rows: eight independent sums hide the latency of the multiply-add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MultiplyFourRows(float* x, long row, float* y)
    {
        byte* w0 = _code + row * Columns, w1 = w0 + Columns, w2 = w1 + Columns, w3 = w2 + Columns;
        var (s0, s1, s2, s3) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
        var (t0, t1, t2, t3) = (0f, 0f, 0f, 0f);
        for (long c = 0; c < Columns;)
        {
            long stop = BlockEnd(c);
            float f0 = ScaleAt(row, c) * TwoTo60, f1 = ScaleAt(row + 1, c) * TwoTo60, f2 = ScaleAt(row + 2, c) * TwoTo60, f3 = ScaleAt(row + 3, c) * TwoTo60;
            var (a0, a1, a2, a3) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
            var (b0, b1, b2, b3) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
            for (; c + 2 * Lanes <= stop; c += 2 * Lanes)
            {
                Vector256<float> low = Vector256.Load(x + c), high = Vector256.Load(x + c + Lanes);
                a0 = Vector256.FusedMultiplyAdd(Shifted(w0 + c), low, a0);
                a1 = Vector256.FusedMultiplyAdd(Shifted(w1 + c), low, a1);
                a2 = Vector256.FusedMultiplyAdd(Shifted(w2 + c), low, a2);
                a3 = Vector256.FusedMultiplyAdd(Shifted(w3 + c), low, a3);
                b0 = Vector256.FusedMultiplyAdd(Shifted(w0 + c + Lanes), high, b0);
                b1 = Vector256.FusedMultiplyAdd(Shifted(w1 + c + Lanes), high, b1);
                b2 = Vector256.FusedMultiplyAdd(Shifted(w2 + c + Lanes), high, b2);
                b3 = Vector256.FusedMultiplyAdd(Shifted(w3 + c + Lanes), high, b3);
            }

            s0 = Vector256.FusedMultiplyAdd(a0 + b0, Vector256.Create(f0), s0);
            s1 = Vector256.FusedMultiplyAdd(a1 + b1, Vector256.Create(f1), s1);
            s2 = Vector256.FusedMultiplyAdd(a2 + b2, Vector256.Create(f2), s2);
            s3 = Vector256.FusedMultiplyAdd(a3 + b3, Vector256.Create(f3), s3);
            for (; c < stop; c++)
            {
                t0 += Shifted1(w0[c]) * x[c] * f0;
                t1 += Shifted1(w1[c]) * x[c] * f1;
                t2 += Shifted1(w2[c]) * x[c] * f2;
                t3 += Shifted1(w3[c]) * x[c] * f3;
            }
        }

        y[0] = Vector256.Sum(s0) + t0;
        y[1] = Vector256.Sum(s1) + t1;
        y[2] = Vector256.Sum(s2) + t2;
        y[3] = Vector256.Sum(s3) + t3;
    }

    /// <summary>Four input rows times one weight row, which is decoded once for them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MultiplyFour(float* x, long row, float* y, long stride)
    {
        byte* w = _code + row * Columns;
        float* x1 = x + Columns, x2 = x1 + Columns, x3 = x2 + Columns;
        var (s0, s1, s2, s3) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
        var (t0, t1, t2, t3) = (0f, 0f, 0f, 0f);
        for (long c = 0; c < Columns;)
        {
            long stop = BlockEnd(c);
            float factor = ScaleAt(row, c) * TwoTo60;
            var (a0, a1, a2, a3) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
            var (b0, b1, b2, b3) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero, Vector256<float>.Zero);
            for (; c + 2 * Lanes <= stop; c += 2 * Lanes)
            {
                Vector256<float> low = Shifted(w + c), high = Shifted(w + c + Lanes);
                a0 = Vector256.FusedMultiplyAdd(low, Vector256.Load(x + c), a0);
                a1 = Vector256.FusedMultiplyAdd(low, Vector256.Load(x1 + c), a1);
                a2 = Vector256.FusedMultiplyAdd(low, Vector256.Load(x2 + c), a2);
                a3 = Vector256.FusedMultiplyAdd(low, Vector256.Load(x3 + c), a3);
                b0 = Vector256.FusedMultiplyAdd(high, Vector256.Load(x + c + Lanes), b0);
                b1 = Vector256.FusedMultiplyAdd(high, Vector256.Load(x1 + c + Lanes), b1);
                b2 = Vector256.FusedMultiplyAdd(high, Vector256.Load(x2 + c + Lanes), b2);
                b3 = Vector256.FusedMultiplyAdd(high, Vector256.Load(x3 + c + Lanes), b3);
            }

            var scale = Vector256.Create(factor);
            s0 = Vector256.FusedMultiplyAdd(a0 + b0, scale, s0);
            s1 = Vector256.FusedMultiplyAdd(a1 + b1, scale, s1);
            s2 = Vector256.FusedMultiplyAdd(a2 + b2, scale, s2);
            s3 = Vector256.FusedMultiplyAdd(a3 + b3, scale, s3);
            for (; c < stop; c++)
            {
                float code = Shifted1(w[c]);
                t0 += code * x[c] * factor;
                t1 += code * x1[c] * factor;
                t2 += code * x2[c] * factor;
                t3 += code * x3[c] * factor;
            }
        }

        y[0] = Vector256.Sum(s0) + t0;
        y[stride] = Vector256.Sum(s1) + t1;
        y[2 * stride] = Vector256.Sum(s2) + t2;
        y[3 * stride] = Vector256.Sum(s3) + t3;
    }

    private float MultiplyOne(float* x, long row)
    {
        byte* w = _code + row * Columns;
        var sum = Vector256<float>.Zero;
        float tail = 0;
        for (long c = 0; c < Columns;)
        {
            long stop = BlockEnd(c);
            float factor = ScaleAt(row, c) * TwoTo60;
            var part = Vector256<float>.Zero;
            for (; c + Lanes <= stop; c += Lanes)
                part = Vector256.FusedMultiplyAdd(Shifted(w + c), Vector256.Load(x + c), part);
            sum = Vector256.FusedMultiplyAdd(part, Vector256.Create(factor), sum);
            for (; c < stop; c++)
                tail += Shifted1(w[c]) * x[c] * factor;
        }

        return Vector256.Sum(sum) + tail;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private long BlockEnd(long column)
        => Math.Min(Columns, ((column + _columnOffset) / _block.Columns + 1) * _block.Columns - _columnOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float ScaleAt(long row, long column)
        => _scale[(row + _rowOffset) / _block.Rows * _scaleStride + (column + _columnOffset) / _block.Columns];

    /// <summary>Eight codes as floats, times 2^-120. Sign extension spreads the sign over the bits that the mask then clears.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Shifted(byte* codes)
        => (Vector256.ShiftLeft(Avx2.ConvertToVector256Int32((sbyte*)codes), 20) & Vector256.Create(unchecked((int)0x87F00000))).AsSingle();

    private static float Shifted1(byte code) => BitConverter.Int32BitsToSingle(((sbyte)code << 20) & unchecked((int)0x87F00000));

    private void CheckFinite()
    {
        long bad = -1;
        TorchShim.ParallelFor(0, Rows, Math.Max(1, 65536 / Math.Max(1, Columns)), (begin, end) =>
        {
            long at = IndexOfNan(_code + begin * Columns, (end - begin) * Columns);
            if (at >= 0)
                Interlocked.Exchange(ref bad, begin * Columns + at);
        });
        if (bad >= 0)
            throw new ModelLoadException($"FP8 code 0x{_code[bad]:X2} at row {bad / Columns}, column {bad % Columns} is NaN; weights must be numbers.");
        for (long i = 0; i < _scales.numel(); i++)
            if (!float.IsFinite(_scale[i]))
                throw new ModelLoadException($"The FP8 scale of block [{i / _scaleStride}, {i % _scaleStride}] is {_scale[i]}; scales must be finite numbers.");
    }

    private static long IndexOfNan(byte* codes, long count)
    {
        long i = 0;
        for (; i + Vector256<byte>.Count <= count; i += Vector256<byte>.Count)
            if (Vector256.EqualsAny(Vector256.Load(codes + i) & Vector256.Create((byte)0x7F), Vector256.Create((byte)0x7F)))
                break;
        for (; i < count; i++)
            if ((codes[i] & 0x7F) == 0x7F)
                return i;
        return -1;
    }
}
