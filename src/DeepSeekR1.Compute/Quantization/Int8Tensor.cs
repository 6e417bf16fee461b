using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>
/// One signed byte per number and one float32 scale per row: value = code * scale. The vector-wise format of LLM.int8()
/// (Dettmers et al. 2022, section 2): scale = largest magnitude of the row / 127.
/// </summary>
public sealed unsafe class Int8Tensor : QuantizedTensor
{
    private const int Lanes = 16;
    private readonly Tensor _codes, _scales;
    private readonly sbyte* _code;
    private readonly float* _scale;

    /// <summary>Takes over both tensors.</summary>
    /// <param name="codes">int8 [N, K], contiguous.</param>
    /// <param name="scales">float32 [N].</param>
    /// <param name="outlierThreshold">Dynamic activations: columns of x with a magnitude from here on are not rounded; 0 rounds all.</param>
    public Int8Tensor(Tensor codes, Tensor scales, float outlierThreshold = 0)
        : base(codes.shape[0], codes.shape[1])
    {
        _codes = codes.DetachFromDisposeScope();
        _scales = scales.DetachFromDisposeScope();
        OutlierThreshold = outlierThreshold;
        if (codes.device.type != TorchSharp.DeviceType.CPU)
            return;
        _code = (sbyte*)TorchShim.Data(codes);
        _scale = (float*)TorchShim.Data(scales);
        CheckFinite(new ReadOnlySpan<float>(_scale, (int)scales.numel()), "scale of row");
    }

    /// <inheritdoc/>
    public override string Format => "int8";

    /// <summary>See the constructor.</summary>
    public float OutlierThreshold { get; }

    /// <summary>Codes [N, K] as they are stored.</summary>
    public Tensor Codes => _codes;

    /// <summary>Scales [N].</summary>
    public Tensor Scales => _scales;

    /// <inheritdoc/>
    public override long Bytes => _codes.numel() + sizeof(float) * _scales.numel();

    /// <summary>Rounds a dense matrix [N, K]: code = nearest of value * (127 / largest magnitude of its row), ties to even.</summary>
    public static Int8Tensor Quantize(Tensor weight, float outlierThreshold = 0)
    {
        using var scope = NewDisposeScope();
        var (codes, scales) = Round(weight.to(ScalarType.Float32));
        return new Int8Tensor(codes, scales.squeeze(1).contiguous(), outlierThreshold);
    }

    /// <inheritdoc/>
    public override Tensor Dequantize()
    {
        using var column = _scales.unsqueeze(1);
        return _codes.to(ScalarType.Float32).mul_(column);
    }

    /// <summary>Per row of x to int8 and back; columns with an outlier stay as they are.</summary>
    public override Tensor RoundActivations(Tensor x)
    {
        using var scope = NewDisposeScope();
        var wide = x.to(ScalarType.Float32);
        if (OutlierThreshold <= 0)
        {
            var (all, ownScales) = Round(wide);
            return (all.to(ScalarType.Float32) * ownScales).MoveToOuterDisposeScope();
        }

        // A row's scale is taken without its outliers; then their whole columns are multiplied unrounded.
        var outliers = wide.abs().ge(Scalars.Of((double)OutlierThreshold));
        var columns = outliers.any(0, true);
        var (codes, scales) = Round(wide.masked_fill(outliers, Scalars.Of(0L)));
        return where(columns, wide, codes.to(ScalarType.Float32) * scales).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override QuantizedTensor Slice(long row, long rows, long column, long columns)
    {
        using var scope = NewDisposeScope();
        return new Int8Tensor(_codes.narrow(0, row, rows).narrow(1, column, columns).clone().contiguous(), _scales.narrow(0, row, rows).clone(), OutlierThreshold);
    }

    /// <inheritdoc/>
    public override QuantizedTensor To(Device device) => new Int8Tensor(_codes.to(device, copy: true), _scales.to(device, copy: true), OutlierThreshold);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(long row, float* target)
    {
        sbyte* codes = _code + row * Columns;
        var scale = Vector512.Create(_scale[row]);
        long c = 0;
        for (; c + Lanes <= Columns; c += Lanes)
            (Wide(codes + c) * scale).Store(target + c);
        for (; c < Columns; c++)
            target[c] = codes[c] * _scale[row];
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void MultiplyRows(float* x, int tokens, long begin, long end, float* y, long stride)
    {
        for (long n = begin; n < end; n++)
            for (int t = 0; t < tokens; t++)
                y[t * stride + n] = Dot(_code + n * Columns, x + t * Columns, Columns) * _scale[n];
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _codes.Dispose();
        _scales.Dispose();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Dot(sbyte* codes, float* x, long count)
    {
        var (a, b, c, d) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        long i = 0;
        for (; i + 4 * Lanes <= count; i += 4 * Lanes)
        {
            if (Sse.IsSupported)
                Sse.Prefetch0(codes + i + 2048);
            a = Vector512.FusedMultiplyAdd(Wide(codes + i), Vector512.Load(x + i), a);
            b = Vector512.FusedMultiplyAdd(Wide(codes + i + Lanes), Vector512.Load(x + i + Lanes), b);
            c = Vector512.FusedMultiplyAdd(Wide(codes + i + 2 * Lanes), Vector512.Load(x + i + 2 * Lanes), c);
            d = Vector512.FusedMultiplyAdd(Wide(codes + i + 3 * Lanes), Vector512.Load(x + i + 3 * Lanes), d);
        }

        for (; i + Lanes <= count; i += Lanes)
            a = Vector512.FusedMultiplyAdd(Wide(codes + i), Vector512.Load(x + i), a);
        float sum = Vector512.Sum((a + b) + (c + d));
        for (; i < count; i++)
            sum += codes[i] * x[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Wide(sbyte* codes) => Vector512.ConvertToSingle(
        Avx512F.IsSupported
            ? Avx512F.ConvertToVector512Int32(Vector128.Load(codes))
            : Vector512.Create(Avx2.ConvertToVector256Int32(codes), Avx2.ConvertToVector256Int32(codes + (Lanes / 2))));

    /// <summary>int8 codes and float32 scales [rows, 1] of a matrix; a row of zeros has scale 0.</summary>
    private static (Tensor Codes, Tensor Scales) Round(Tensor x)
    {
        var largest = x.abs().amax([1], keepdim: true);
        var factors = (Scalars.Of(127L) / largest).masked_fill(largest.eq(Scalars.Of(0L)), Scalars.Of(0L));
        return ((x * factors).round().clamp(Scalars.Of(-127L), Scalars.Of(127L)).to(ScalarType.Int8).contiguous(), largest / Scalars.Of(127L));
    }
}
