using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

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

    /// <summary>Half of that: on the inputs or on the result alone it could overflow or underflow.</summary>
    private const float TwoTo60 = 1.152921504606847e18f;

    private const int Lanes = 16, PrefetchBytes = 2048;
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

    /// <inheritdoc/>
    public override long Bytes => _codes.numel() + _scales.numel() * sizeof(float);

    /// <inheritdoc/>
    public override Tensor RoundActivations(Tensor x) => Fp8Codes.RoundActivations(x, _block.Columns, _columnOffset);

    /// <inheritdoc/>
    public override QuantizedTensor Slice(long row, long rows, long column, long columns)
    {
        using var scope = NewDisposeScope();
        long top = (row + _rowOffset) / _block.Rows, left = (column + _columnOffset) / _block.Columns;
        long down = (row + rows - 1 + _rowOffset) / _block.Rows - top + 1, across = (column + columns - 1 + _columnOffset) / _block.Columns - left + 1;
        return new Fp8Tensor(
            _codes.narrow(0, row, rows).narrow(1, column, columns).clone().contiguous(),
            _scales.narrow(0, top, down).narrow(1, left, across).clone().contiguous(),
            _block, (int)((row + _rowOffset) % _block.Rows), (int)((column + _columnOffset) % _block.Columns));
    }

    /// <inheritdoc/>
    public override QuantizedTensor To(Device device)
        => new Fp8Tensor(_codes.to(device, copy: true), _scales.to(device, copy: true), _block, _rowOffset, _columnOffset);

    /// <summary>Codes [N, K] as bytes.</summary>
    public Tensor Codes => _codes;

    /// <summary>Scales of the blocks, float32.</summary>
    public Tensor Scales => _scales;

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
            for (; c + Lanes <= stop; c += Lanes)
                (Shifted(codes + c) * Vector512.Create(TwoTo120) * Vector512.Create(scale)).Store(target + c);
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
            for (; c + Lanes <= stop; c += Lanes)
                Kernels.CpuMath.Narrow16(Shifted(codes + c) * Vector512.Create(TwoTo120) * Vector512.Create(scale)).Store(target + c);
            for (; c < stop; c++)
                target[c] = Kernels.CpuMath.Narrow(Shifted1(codes[c]) * TwoTo120 * scale);
        }
    }

    /// <inheritdoc/>
    public override void MultiplyRows(float* x, int tokens, long begin, long end, float* y, long stride)
    {
        // All rows of a block share their scales, so these go into the inputs, once a block of rows: the product itself is then a
        // plain one of codes. Half of the power of two that the codes lack goes into the inputs too, half onto the result.
        int length = (int)(tokens * Columns);
        var scaled = ArrayPool<float>.Shared.Rent(length);
        fixed (float* input = scaled)
            for (long row = begin; row < end;)
            {
                long stop = Math.Min(end, ((row + _rowOffset) / _block.Rows + 1) * _block.Rows - _rowOffset);
                ScaleInputs(x, input, tokens, row);
                for (; row + 4 <= stop; row += 4)
                    MultiplyFourRows(_code + row * Columns, Columns, input, tokens, y + row, stride);
                for (; row < stop; row++)
                    for (int t = 0; t < tokens; t++)
                        y[t * stride + row] = DotCodes(_code + row * Columns, input + t * Columns, 0, Columns) * TwoTo60;
            }

        ArrayPool<float>.Shared.Return(scaled);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _codes.Dispose();
        _scales.Dispose();
    }

    /// <summary>target = x * 2^60 * the scales of the row's blocks.</summary>
    private void ScaleInputs(float* x, float* target, int tokens, long row)
    {
        for (int t = 0; t < tokens; t++)
            for (long c = 0; c < Columns;)
            {
                int count = (int)(BlockEnd(c) - c);
                long at = t * Columns + c;
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(x + at, count), ScaleAt(row, c) * TwoTo60, new Span<float>(target + at, count));
                c += count;
            }
    }

    /// <summary>
    /// Four weight rows times all input rows, four of these at a time: a code is decoded once for them. Two or three left over cost
    /// less as four, of which some are the same, than one by one.
    /// </summary>
    private static void MultiplyFourRows(byte* codes, long columns, float* x, int tokens, float* y, long stride)
    {
        float* unused = stackalloc float[4];
        for (int t = 0; t < tokens; t += 4)
        {
            int last = tokens - 1 - t;
            float* input = x + t * columns, output = y + t * stride;
            if (last == 0)
                FourByOne(codes, columns, input, output);
            else
                FourByFour(
                    codes, columns,
                    input, input + columns, input + Math.Min(2, last) * columns, input + Math.Min(3, last) * columns,
                    output, output + stride, last >= 2 ? output + 2 * stride : unused, last >= 3 ? output + 3 * stride : unused);
        }

        long done = columns / Lanes * Lanes;
        for (int t = 0; t < tokens; t++)
            for (int r = 0; r < 4; r++)
                y[t * stride + r] = (y[t * stride + r] + DotCodes(codes + r * columns, x + t * columns, done, columns)) * TwoTo60;
    }

    /// <summary>
    /// One row after the other, because that reads memory in order: eight independent sums hide the latency of the multiply-add.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByOne(byte* w, long columns, float* x, float* y)
    {
        for (int r = 0; r < 4; r++, w += columns)
        {
            var (a, b, c, d) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
            var (e, f, g, h) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
            long i = 0;
            for (; i + (8 * Lanes) <= columns; i += 8 * Lanes)
            {
                Sse.Prefetch0(w + i + PrefetchBytes);
                Sse.Prefetch0(w + i + PrefetchBytes + 64);
                a = Vector512.FusedMultiplyAdd(Shifted(w + i), Vector512.Load(x + i), a);
                b = Vector512.FusedMultiplyAdd(Shifted(w + i + Lanes), Vector512.Load(x + i + Lanes), b);
                c = Vector512.FusedMultiplyAdd(Shifted(w + i + (2 * Lanes)), Vector512.Load(x + i + (2 * Lanes)), c);
                d = Vector512.FusedMultiplyAdd(Shifted(w + i + (3 * Lanes)), Vector512.Load(x + i + (3 * Lanes)), d);
                e = Vector512.FusedMultiplyAdd(Shifted(w + i + (4 * Lanes)), Vector512.Load(x + i + (4 * Lanes)), e);
                f = Vector512.FusedMultiplyAdd(Shifted(w + i + (5 * Lanes)), Vector512.Load(x + i + (5 * Lanes)), f);
                g = Vector512.FusedMultiplyAdd(Shifted(w + i + (6 * Lanes)), Vector512.Load(x + i + (6 * Lanes)), g);
                h = Vector512.FusedMultiplyAdd(Shifted(w + i + (7 * Lanes)), Vector512.Load(x + i + (7 * Lanes)), h);
            }

            for (; i + Lanes <= columns; i += Lanes)
                a = Vector512.FusedMultiplyAdd(Shifted(w + i), Vector512.Load(x + i), a);
            y[r] = Vector512.Sum(((a + b) + (c + d)) + ((e + f) + (g + h)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByFour(
        byte* w0, long columns, float* x, float* x1, float* x2, float* x3, float* y, float* y1, float* y2, float* y3)
    {
        byte* w1 = w0 + columns, w2 = w1 + columns, w3 = w2 + columns;
        var (a0, a1, a2, a3) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        var (b0, b1, b2, b3) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        var (c0, c1, c2, c3) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        var (d0, d1, d2, d3) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        for (long c = 0; c + Lanes <= columns; c += Lanes)
        {
            if (c % 64 == 0)
                PrefetchFour(w0 + c + PrefetchBytes, columns);
            var (v0, v1, v2, v3) = (Shifted(w0 + c), Shifted(w1 + c), Shifted(w2 + c), Shifted(w3 + c));
            var input = Vector512.Load(x + c);
            a0 = Vector512.FusedMultiplyAdd(v0, input, a0);
            a1 = Vector512.FusedMultiplyAdd(v1, input, a1);
            a2 = Vector512.FusedMultiplyAdd(v2, input, a2);
            a3 = Vector512.FusedMultiplyAdd(v3, input, a3);
            input = Vector512.Load(x1 + c);
            b0 = Vector512.FusedMultiplyAdd(v0, input, b0);
            b1 = Vector512.FusedMultiplyAdd(v1, input, b1);
            b2 = Vector512.FusedMultiplyAdd(v2, input, b2);
            b3 = Vector512.FusedMultiplyAdd(v3, input, b3);
            input = Vector512.Load(x2 + c);
            c0 = Vector512.FusedMultiplyAdd(v0, input, c0);
            c1 = Vector512.FusedMultiplyAdd(v1, input, c1);
            c2 = Vector512.FusedMultiplyAdd(v2, input, c2);
            c3 = Vector512.FusedMultiplyAdd(v3, input, c3);
            input = Vector512.Load(x3 + c);
            d0 = Vector512.FusedMultiplyAdd(v0, input, d0);
            d1 = Vector512.FusedMultiplyAdd(v1, input, d1);
            d2 = Vector512.FusedMultiplyAdd(v2, input, d2);
            d3 = Vector512.FusedMultiplyAdd(v3, input, d3);
        }

        Store(y, a0, a1, a2, a3);
        Store(y1, b0, b1, b2, b3);
        Store(y2, c0, c1, c2, c3);
        Store(y3, d0, d1, d2, d3);
    }

    /// <summary>Four rows are four places in memory, more than the hardware looks ahead at.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrefetchFour(byte* at, long stride)
    {
        Sse.Prefetch0(at);
        Sse.Prefetch0(at + stride);
        Sse.Prefetch0(at + (2 * stride));
        Sse.Prefetch0(at + (3 * stride));
    }

    private static void Store(float* y, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        y[0] = Vector512.Sum(a);
        y[1] = Vector512.Sum(b);
        y[2] = Vector512.Sum(c);
        y[3] = Vector512.Sum(d);
    }

    /// <summary>Codes [begin, end) of a row times inputs.</summary>
    private static float DotCodes(byte* codes, float* x, long begin, long end)
    {
        var sum = Vector512<float>.Zero;
        long c = begin;
        for (; c + Lanes <= end; c += Lanes)
            sum = Vector512.FusedMultiplyAdd(Shifted(codes + c), Vector512.Load(x + c), sum);
        float result = Vector512.Sum(sum);
        for (; c < end; c++)
            result += Shifted1(codes[c]) * x[c];
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private long BlockEnd(long column)
        => Math.Min(Columns, ((column + _columnOffset) / _block.Columns + 1) * _block.Columns - _columnOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float ScaleAt(long row, long column)
        => _scale[(row + _rowOffset) / _block.Rows * _scaleStride + (column + _columnOffset) / _block.Columns];

    /// <summary>
    /// Sixteen codes as floats, times 2^-120. Sign extension spreads the sign over the bits that the mask then clears.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Shifted(byte* codes)
    {
        var wide = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)codes))
            : Vector512.Create(Avx2.ConvertToVector256Int32((sbyte*)codes), Avx2.ConvertToVector256Int32((sbyte*)codes + (Lanes / 2)));
        return (Vector512.ShiftLeft(wide, 20) & Vector512.Create(unchecked((int)0x87F00000))).AsSingle();
    }

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
