using System.Numerics.Tensors;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>
/// The reference with what matters on x86 CPUs replaced: linear layers run on weights packed once (oneDNN), short attention reads
/// the paged cache in place, and row operations are one pass instead of a chain of library calls. float32 and bfloat16;
/// float16 takes the reference. Inference only: nothing here has a gradient.
/// </summary>
public sealed unsafe partial class CpuKernels : TorchKernels
{
    /// <summary>Up to this many query rows per sequence attention runs in place; longer chunks are matrix products, on AVX-512 tiles.</summary>
    private const int MaxRowsInPlace = 8;

    /// <summary>Rows that share a key from which on a tile of keys is worth its transposition.</summary>
    private const int MinRowsOfTile = 24;

    /// <summary>Bytes of scores that a thread may hold.</summary>
    private const long MaxScoreBytes = 64L << 20;

    /// <inheritdoc/>
    public override string Description
        => $"linear: oneDNN packed, quantized weights SIMD up to {MaxFusedRows} rows, else decoded in pieces for libtorch; norm, gate, rope and attention: SIMD (long attention: libtorch without AVX-512); experts' routing, float16: libtorch";

    /// <summary>These kernels where the processor has what they need, else the reference.</summary>
    /// <param name="dynamicActivations">See <see cref="KernelSet.DynamicActivations"/>.</param>
    public static KernelSet CreateOrReference(bool dynamicActivations = false) => Avx2.IsSupported && OperatingSystem.IsLinux()
        ? new CpuKernels { DynamicActivations = dynamicActivations }
        : new TorchKernels { DynamicActivations = dynamicActivations };

    /// <inheritdoc/>
    public override bool Packs(ScalarType type) => CanPack(type);

    /// <inheritdoc/>
    public override LinearWeight Prepare(Tensor weight) => CanPack(weight.dtype) && TryPack(weight) is { } packed
        ? new LinearWeight(packed.DetachFromDisposeScope(), true)
        : base.Prepare(weight);

    /// <summary>
    /// The first layout that holds the weight as it is; null when none does. oneDNN 3.7 loses numbers on some processors (seen on Zen 5,
    /// not on Zen 4) when it copies into a layout with padding, so such a layout is compared with the weight before it is used.
    /// </summary>
    private static Tensor? TryPack(Tensor weight)
    {
        foreach (int rows in (ReadOnlySpan<int>)[1, 8, 64])
        {
            var packed = TorchShim.PackLinear(weight, rows);
            if (TorchShim.PackedBytes(packed) == weight.numel() * weight.element_size() || IsSame(packed, weight))
                return packed;
            packed.Dispose();
        }

        return null;
    }

    private static bool IsSame(Tensor packed, Tensor weight)
    {
        using var dense = packed.to_dense();
        using var differs = dense.ne(weight);
        using var any = differs.any();
        return !any.item<bool>();
    }

    /// <inheritdoc/>
    public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
    {
        if (weight.IsPacked)
            return TorchShim.PackedLinear(x, weight.Data, bias);
        return weight.Parts is { } parts && IsSupported(x.dtype) ? QuantizedLinear(x, parts, bias) : base.Linear(x, weight, bias);
    }

    /// <inheritdoc/>
    public override Tensor RmsNorm(Tensor x, Tensor weight, double eps)
    {
        if (!IsSupported(x.dtype) || weight.dtype != x.dtype)
            return base.RmsNorm(x, weight, eps);
        using var dense = x.contiguous();
        int width = (int)x.shape[^1];
        long rows = width == 0 ? 0 : x.numel() / width;
        var result = empty(x.shape, x.dtype);
        byte* source = (byte*)TorchShim.Data(dense), scale = (byte*)TorchShim.Data(weight), target = (byte*)TorchShim.Data(result);
        bool half = x.dtype == ScalarType.BFloat16;
        ForRows(rows, width, (begin, end) =>
        {
            var (row, weights) = (new float[width], new float[width]);
            Load(scale, half, 0, weights);
            for (long r = begin; r < end; r++)
            {
                Load(source, half, r * width, row);
                float mean = TensorPrimitives.SumOfSquares<float>(row) / width;
                TensorPrimitives.Multiply(row, (float)(1 / Math.Sqrt(mean + eps)), row);
                if (half)
                    Round(row);
                TensorPrimitives.Multiply(row, weights, row);
                Store(row, target, half, r * width);
            }
        });
        return result;
    }

    /// <inheritdoc/>
    public override Tensor SiluMultiply(Tensor gateUp)
    {
        if (!IsSupported(gateUp.dtype))
            return base.SiluMultiply(gateUp);
        using var dense = gateUp.contiguous();
        long rows = gateUp.shape[0];
        int width = (int)(gateUp.shape[1] / 2);
        var result = empty([rows, width], gateUp.dtype);
        byte* source = (byte*)TorchShim.Data(dense), target = (byte*)TorchShim.Data(result);
        bool half = gateUp.dtype == ScalarType.BFloat16;
        ForRows(rows, 2 * width, (begin, end) =>
        {
            var (gate, up, active) = (new float[width], new float[width], new float[width]);
            for (long r = begin; r < end; r++)
            {
                Load(source, half, 2 * r * width, gate);
                Load(source, half, (2 * r + 1) * width, up);
                TensorPrimitives.Sigmoid<float>(gate, active);
                TensorPrimitives.Multiply(gate, active, active);
                if (half)
                    Round(active);
                TensorPrimitives.Multiply(active, up, active);
                Store(active, target, half, r * width);
            }
        });
        return result;
    }

    /// <inheritdoc/>
    public override Tensor Rotate(Tensor x, Tensor cos, Tensor sin, bool interleaved)
    {
        if (!IsSupported(x.dtype) || x.stride(2) != 1)
            return base.Rotate(x, cos, sin, interleaved);
        long rows = x.shape[0], heads = x.shape[1], rowStride = x.stride(0), headStride = x.stride(1);
        int width = (int)x.shape[2];
        var result = empty(x.shape, x.dtype);
        byte* source = (byte*)TorchShim.Data(x), target = (byte*)TorchShim.Data(result);
        float* cosines = (float*)TorchShim.Data(cos), sines = (float*)TorchShim.Data(sin);
        bool half = x.dtype == ScalarType.BFloat16;
        ForRows(rows, (int)(heads * width), (begin, end) =>
        {
            var (head, turned) = (new float[width], new float[width]);
            for (long r = begin; r < end; r++)
                for (long h = 0; h < heads; h++)
                {
                    Load(source, half, r * rowStride + h * headStride, head);
                    Turn(head, turned, cosines + r * (width / 2), sines + r * (width / 2), interleaved);
                    Store(turned, target, half, (r * heads + h) * width);
                }
        });
        return result;
    }

    /// <inheritdoc/>
    public override Tensor PagedAttention(Tensor q, Tensor keys, Tensor values, int valueWidth, PagedBatch batch, double scale)
    {
        if (!IsSupported(q.dtype) || keys.dtype != q.dtype)
            return base.PagedAttention(q, keys, values, valueWidth, batch, scale);
        using var dense = q.contiguous();
        var result = empty([q.shape[0], q.shape[1], valueWidth], q.dtype);
        var (inPlace, tiled) = (new List<PagedSequence>(), new List<PagedSequence>());
        for (int i = 0; i < batch.Sequences.Count; i++)
        {
            var sequence = batch.Sequences[i];
            if (TiledAttention.IsSupported && sequence.QueryLength * (q.shape[1] / keys.shape[1]) >= MinRowsOfTile)
            {
                tiled.Add(sequence);
                continue;
            }

            long scoreBytes = sizeof(float) * (long)sequence.QueryLength * (q.shape[1] / keys.shape[1]) * sequence.ContextLength;
            if (sequence.QueryLength <= MaxRowsInPlace && scoreBytes <= MaxScoreBytes)
            {
                inPlace.Add(sequence);
                continue;
            }

            using var rows = AttendPaged(dense, keys, values, valueWidth, batch, i, scale);
            using var place = result.narrow(0, sequence.QueryStart, sequence.QueryLength);
            place.copy_(rows);
        }

        Attend(dense, keys, values, result, tiled, batch.BlockSize, scale, tiled: true);
        Attend(dense, keys, values, result, inPlace, batch.BlockSize, scale, tiled: false);
        return result;
    }

    /// <inheritdoc/>
    public override Tensor DenseAttention(Tensor q, Tensor k, Tensor v, double scale)
    {
        bool isTiled = TiledAttention.IsSupported && IsSupported(q.dtype) && k.dtype == q.dtype && v.dtype == q.dtype && !q.requires_grad
            && k.stride(2) == 1 && v.stride(2) == 1 && q.shape[0] * (q.shape[1] / k.shape[1]) >= MinRowsOfTile;
        if (!isTiled)
            return base.DenseAttention(q, k, v, scale);
        using var dense = q.contiguous();
        var result = empty([q.shape[0], q.shape[1], v.shape[2]], q.dtype);
        Attend(dense, k, v, result, [new PagedSequence(0, (int)q.shape[0], (int)k.shape[0], default)], 0, scale, tiled: true);
        return result;
    }

    /// <summary>Attention over the cache where it lies: few rows a sequence one key after the other, many rows in tiles.</summary>
    private static void Attend(Tensor q, Tensor keys, Tensor values, Tensor result, List<PagedSequence> sequences, int blockSize, double scale, bool tiled)
    {
        if (sequences.Count == 0)
            return;
        var layout = new AttentionLayout(
            (int)q.shape[1], (int)keys.shape[1], (int)q.shape[2], (int)result.shape[2],
            keys.stride(0), keys.stride(1), values.stride(0), values.stride(1), blockSize, (float)scale);
        var (queries, output) = ((nint)TorchShim.Data(q), (nint)TorchShim.Data(result));
        var (keyData, valueData) = ((nint)TorchShim.Data(keys), (nint)TorchShim.Data(values));
        bool half = q.dtype == ScalarType.BFloat16;
        if (tiled && half)
            TiledAttention.Attend<ushort>(queries, keyData, valueData, output, layout, sequences);
        else if (tiled)
            TiledAttention.Attend<float>(queries, keyData, valueData, output, layout, sequences);
        else if (half)
            RowAttention.Attend<ushort>(queries, keyData, valueData, output, layout, sequences);
        else
            RowAttention.Attend<float>(queries, keyData, valueData, output, layout, sequences);
    }

    private static void Turn(float[] head, float[] turned, float* cos, float* sin, bool interleaved)
    {
        int pairs = head.Length / 2;
        for (int i = 0; i < pairs; i++)
        {
            var (a, b) = interleaved ? (2 * i, 2 * i + 1) : (i, i + pairs);
            turned[a] = head[a] * cos[i] - head[b] * sin[i];
            turned[b] = head[b] * cos[i] + head[a] * sin[i];
        }
    }

    private static void Load(byte* data, bool half, long element, Span<float> row)
    {
        if (half)
            CpuMath.Load((ushort*)data + element, row);
        else
            CpuMath.Load((float*)data + element, row);
    }

    private static void Store(ReadOnlySpan<float> row, byte* data, bool half, long element)
    {
        if (half)
            CpuMath.Store(row, (ushort*)data + element);
        else
            CpuMath.Store(row, (float*)data + element);
    }

    /// <summary>To bfloat16 and back, where the reference rounds between two operations.</summary>
    private static void Round(Span<float> row)
    {
        for (int i = 0; i < row.Length; i++)
            row[i] = CpuMath.Widen(CpuMath.Narrow(row[i]));
    }

    /// <summary>Splits rows over threads when there is enough work to pay for it.</summary>
    private static void ForRows(long rows, int width, Action<long, long> body)
        => TorchShim.ParallelFor(0, rows, Math.Max(1, 16384 / Math.Max(1, width)), body);

    private static bool IsSupported(ScalarType type) => type is ScalarType.Float32 or ScalarType.BFloat16;

    /// <summary>oneDNN packs bfloat16 from AVX-512 on and refuses float16 without AVX512-FP16, which .NET cannot ask for.</summary>
    private static bool CanPack(ScalarType type) => type == ScalarType.Float32 || (type == ScalarType.BFloat16 && Avx512BW.IsSupported);
}
