using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Quantization;

/// <summary>
/// Two numbers a byte, the first in the high half; runs of numbers share a scale: value = (level[code] - zero) * scale. Two formats
/// are of this form: int4 (levels 0 to 15, runs within a row, a zero point per run) and nf4 (levels of a normal distribution,
/// QLoRA section 3; runs of 64 over the flattened matrix, which cross the ends of rows).
/// </summary>
/// <remarks>A row is padded to whole bytes. Row r has its own list of runs, of which the first may have begun before the row or the
/// slice: column c belongs to run (offset(r) + c) / run length.</remarks>
public sealed unsafe class FourBitTensor : QuantizedTensor
{
    private const int Lanes = 16;

    /// <summary>Levels of nf4: quantiles of the normal distribution with an exact zero (bitsandbytes' table).</summary>
    public static readonly IReadOnlyList<float> Nf4Levels =
    [
        -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f,
        0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
        0.7229568362236023f, 1.0f,
    ];

    private static readonly float[] IntegerLevels = [.. Enumerable.Range(0, 16).Select(i => (float)i)];
    private readonly Tensor _packed, _scales;
    private readonly Tensor? _zeros;
    private readonly float[] _levels;
    private readonly int _run;
    private readonly long _firstOffset, _offsetStep, _runsPerRow, _bytesPerRow;
    private readonly byte* _code;
    private readonly float* _scale;
    private readonly byte* _zero;

    /// <summary>Takes over the tensors.</summary>
    /// <param name="format">int4 or nf4.</param>
    /// <param name="columns">Numbers of a row.</param>
    /// <param name="packed">Bytes [N, ceil(K / 2)].</param>
    /// <param name="scales">float32 [N, runs].</param>
    /// <param name="zeros">Bytes [N, runs]; null for nf4.</param>
    /// <param name="run">Numbers that share a scale.</param>
    /// <param name="firstOffset">Numbers of row 0's first run that lie before its first column.</param>
    /// <param name="offsetStep">What is added to that from row to row, modulo the run length.</param>
    private FourBitTensor(string format, long columns, Tensor packed, Tensor scales, Tensor? zeros, int run, long firstOffset, long offsetStep)
        : base(packed.shape[0], columns)
    {
        Format = format;
        (_packed, _scales, _zeros) = (packed.DetachFromDisposeScope(), scales.DetachFromDisposeScope(), zeros?.DetachFromDisposeScope());
        (_run, _firstOffset, _offsetStep) = (run, firstOffset, offsetStep);
        (_runsPerRow, _bytesPerRow) = (scales.shape[1], packed.shape[1]);
        _levels = format == "nf4" ? [.. Nf4Levels] : IntegerLevels;
        if (packed.device.type != TorchSharp.DeviceType.CPU)
            return;
        _code = (byte*)TorchShim.Data(packed);
        _scale = (float*)TorchShim.Data(scales);
        _zero = zeros is null ? null : (byte*)TorchShim.Data(zeros);
        CheckFinite(new ReadOnlySpan<float>(_scale, (int)scales.numel()), "scale of run");
    }

    /// <inheritdoc/>
    public override string Format { get; }

    /// <inheritdoc/>
    public override long Bytes => _packed.numel() + sizeof(float) * _scales.numel() + (_zeros?.numel() ?? 0);

    /// <summary>From codes, one a byte.</summary>
    /// <param name="codes">uint8 [N, K], each 0 to 15.</param>
    /// <param name="scales">float32 [N, ceil(K / group)].</param>
    /// <param name="zeros">uint8 of the same shape.</param>
    /// <param name="group">Numbers of a row that share scale and zero point.</param>
    public static FourBitTensor Int4(Tensor codes, Tensor scales, Tensor zeros, int group)
        => new("int4", codes.shape[1], Pack(codes), scales.clone().contiguous(), zeros.clone().contiguous(), group, 0, 0);

    /// <summary>From codes, one a byte, and the scales of the flattened matrix.</summary>
    /// <param name="codes">uint8 [N, K], each 0 to 15.</param>
    /// <param name="absmax">float32 [ceil(N K / 64)].</param>
    /// <param name="run">Numbers that share a scale.</param>
    public static FourBitTensor Nf4(Tensor codes, Tensor absmax, int run = 64)
        => FromFlatRuns(codes, absmax, run, 0, codes.shape[1], 0);

    /// <summary>
    /// Rounds a dense matrix to int4: per row and group, from the smallest to the largest number, 0 always within; 16 steps.
    /// </summary>
    public static FourBitTensor QuantizeInt4(Tensor weight, int group)
    {
        using var scope = NewDisposeScope();
        var (codes, scales, zeros) = RoundInt4(weight, group);
        return Int4(codes, scales, zeros, group);
    }

    /// <summary>Codes [N, K], scales and zero points [N, groups] of int4.</summary>
    public static (Tensor Codes, Tensor Scales, Tensor Zeros) RoundInt4(Tensor weight, int group)
    {
        long rows = weight.shape[0], columns = weight.shape[1], groups = (columns + group - 1) / group;
        using var scope = NewDisposeScope();
        var wide = nn.functional.pad(weight.to(ScalarType.Float32), [0, groups * group - columns]).view(rows, groups, group);
        var low = wide.amin([2], keepdim: true).clamp_max(Scalars.Of(0L));
        var high = wide.amax([2], keepdim: true).clamp_min(Scalars.Of(0L));
        var scales = high.Minus(low) / Scalars.Of(15L);
        scales = scales.masked_fill(scales.eq(Scalars.Of(0L)), Scalars.Of(1L));
        var zeros = (low.neg() / scales).round().clamp(Scalars.Of(0L), Scalars.Of(15L));
        var codes = (wide / scales).round().Plus(zeros).clamp(Scalars.Of(0L), Scalars.Of(15L)).to(ScalarType.Byte).view(rows, groups * group).narrow(1, 0, columns).contiguous();
        return (codes.MoveToOuterDisposeScope(), scales.squeeze(2).contiguous().MoveToOuterDisposeScope(),
            zeros.squeeze(2).to(ScalarType.Byte).contiguous().MoveToOuterDisposeScope());
    }

    /// <summary>Rounds a dense matrix to nf4 with runs of 64.</summary>
    public static FourBitTensor QuantizeNf4(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var (codes, absmax) = RoundNf4(weight);
        return Nf4(codes, absmax);
    }

    /// <summary>Codes [N, K] and largest magnitudes [ceil(N K / 64)] of nf4.</summary>
    public static (Tensor Codes, Tensor Absmax) RoundNf4(Tensor weight, int run = 64)
    {
        long count = weight.numel(), runs = (count + run - 1) / run;
        using var scope = NewDisposeScope();
        var flat = nn.functional.pad(weight.to(ScalarType.Float32).reshape(-1), [0, runs * run - count]).view(runs, run);
        var absmax = flat.abs().amax([1]);

        // A run of zeros has no largest magnitude to divide by; its numbers are 0 whatever divides them.
        var relative = flat / absmax.masked_fill(absmax.eq(Scalars.Of(0L)), Scalars.Of(1L)).unsqueeze(1);
        var borders = tensor(Enumerable.Range(0, 15).Select(i => (Nf4Levels[i] + Nf4Levels[i + 1]) / 2).ToArray());
        var codes = bucketize(relative.contiguous(), borders).to(ScalarType.Byte).view(-1).narrow(0, 0, count).reshape(weight.shape);
        return (codes.contiguous().MoveToOuterDisposeScope(), absmax.contiguous().MoveToOuterDisposeScope());
    }

    /// <summary>Two codes a byte, the first in the high half; every row begins with a byte of its own.</summary>
    public static Tensor Pack(Tensor codes)
    {
        using var scope = NewDisposeScope();
        var even = codes.shape[1] % 2 == 0 ? codes : nn.functional.pad(codes, [0, 1]);
        var pairs = even.reshape(codes.shape[0], -1, 2);
        return (pairs.select(2, 0) * Scalars.Of(16L)).Plus(pairs.select(2, 1)).to(ScalarType.Byte).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The codes of packed bytes, one a byte: [N, columns].</summary>
    public static Tensor Unpack(Tensor packed, long columns)
    {
        using var scope = NewDisposeScope();
        var high = packed.bitwise_right_shift(tensor((byte)4, ScalarType.Byte));
        var low = packed.bitwise_and(tensor((byte)15, ScalarType.Byte));
        return stack([high, low], -1).reshape(packed.shape[0], -1).narrow(1, 0, columns).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Dequantize()
    {
        using var scope = NewDisposeScope();
        var device = _packed.device;
        var codes = Unpack(_packed, Columns).to(ScalarType.Int64);
        var values = tensor(_levels, device: device).index_select(0, codes.view(-1)).view(Rows, Columns);
        var offsets = (Scalars.Range(0, Rows, device) * Scalars.Of(_offsetStep)).Plus(Scalars.Of(_firstOffset)).remainder(Scalars.Of((long)_run)).unsqueeze(1);
        var runs = Scalars.Range(0, Columns, device).unsqueeze(0).Plus(offsets).div(Scalars.Of((long)_run), RoundingMode.floor);
        if (_zeros is not null)
            values = values.Minus(_zeros.to(ScalarType.Float32).gather(1, runs));
        return (values * _scales.gather(1, runs)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override QuantizedTensor Slice(long row, long rows, long column, long columns)
    {
        using var scope = NewDisposeScope();
        var codes = Unpack(_packed, Columns).narrow(0, row, rows).narrow(1, column, columns).contiguous();

        // Each row keeps the runs that it touches; rows may touch different ones, so the list is as long as the longest.
        long most = 0;
        for (long r = row; r < row + rows; r++)
            most = Math.Max(most, (Offset(r) + column + columns - 1) / _run - (Offset(r) + column) / _run + 1);
        var picks = new long[rows * most];
        for (long r = 0; r < rows; r++)
            for (long i = 0; i < most; i++)
                picks[r * most + i] = Math.Min(_runsPerRow - 1, (Offset(row + r) + column) / _run + i);
        var index = tensor(picks).view(rows, most);
        return new FourBitTensor(
            Format, columns, Pack(codes), _scales.narrow(0, row, rows).gather(1, index).contiguous(), _zeros?.narrow(0, row, rows).gather(1, index).contiguous(),
            _run, (Offset(row) + column) % _run, _offsetStep);
    }

    /// <inheritdoc/>
    public override QuantizedTensor To(Device device) => new FourBitTensor(
        Format, Columns, _packed.to(device, copy: true), _scales.to(device, copy: true), _zeros?.to(device, copy: true), _run, _firstOffset, _offsetStep);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(long row, float* target)
    {
        byte* codes = _code + row * _bytesPerRow;
        long offset = Offset(row);
        fixed (float* levels = _levels)
            for (long c = 0; c < Columns;)
            {
                long run = (offset + c) / _run, stop = Math.Min(Columns, (run + 1) * _run - offset), at = row * _runsPerRow + run;
                float scale = _scale[at], zero = _zero == null ? 0 : _zero[at];
                if (c % 2 == 0 && Avx512F.IsSupported)
                {
                    var table = (Vector512.Load(levels) - Vector512.Create(zero)) * Vector512.Create(scale);
                    for (; c + Lanes <= stop; c += Lanes)
                        Avx512F.PermuteVar16x32(table, Codes16(codes + c / 2)).Store(target + c);
                }

                for (; c < stop; c++)
                    target[c] = (levels[(codes[c / 2] >> (c % 2 == 0 ? 4 : 0)) & 15] - zero) * scale;
            }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _packed.Dispose();
        _scales.Dispose();
        _zeros?.Dispose();
    }

    /// <summary>Eight bytes as sixteen codes in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Codes16(byte* at)
    {
        // Each byte goes into two lanes; the even one takes the high half.
        var bytes = Vector128.CreateScalar(*(ulong*)at).AsByte();
        var twice = Vector128.Shuffle(bytes, Vector128.Create((byte)0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7));
        var wide = Avx512F.ConvertToVector512Int32(twice);
        return Avx512F.ShiftRightLogicalVariable(wide, Vector512.Create(4u, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0)) & Vector512.Create(15);
    }

    /// <summary>Runs of a flattened matrix as lists of rows.</summary>
    private static FourBitTensor FromFlatRuns(Tensor codes, Tensor absmax, int run, long first, long step, long firstRow)
    {
        using var scope = NewDisposeScope();
        long rows = codes.shape[0], columns = codes.shape[1], most = (columns + run - 2) / run + 1;
        if (step % run == 0 && first % run == 0)
            most = (columns + run - 1) / run;
        var starts = (Scalars.Range(firstRow, firstRow + rows) * Scalars.Of(step)).Plus(Scalars.Of(first)).div(Scalars.Of((long)run), RoundingMode.floor).unsqueeze(1);
        var index = starts.Plus(Scalars.Range(0, most).unsqueeze(0)).clamp_max(Scalars.Of(absmax.numel() - 1));
        var scales = absmax.index_select(0, index.view(-1)).view(rows, most).contiguous();
        return new FourBitTensor("nf4", columns, Pack(codes), scales, null, run, (firstRow * step + first) % run, step % run);
    }

    private long Offset(long row) => (_firstOffset + row * _offsetStep) % _run;
}
