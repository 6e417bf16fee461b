using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>
/// Attention of few query rows, as in decoding: the paged cache is read in place, one key after the other, and a key is read once for all
/// query heads that share it. Work unit: (sequence, key-value head). Memory: one float32 score per row and key.
/// </summary>
internal static unsafe class RowAttention
{
    /// <summary>Computes the rows of some sequences.</summary>
    /// <typeparam name="T">float, or ushort for bfloat16.</typeparam>
    /// <param name="q">[T, H, D] dense.</param>
    /// <param name="keys">First key; a key's numbers lie side by side.</param>
    /// <param name="values">First value; the same.</param>
    /// <param name="output">[T, H, E] dense; receives the result.</param>
    /// <param name="layout">Sizes and strides.</param>
    /// <param name="sequences">Whose rows.</param>
    public static void Attend<T>(nint q, nint keys, nint values, nint output, AttentionLayout layout, IReadOnlyList<PagedSequence> sequences)
        where T : unmanaged
        => TorchShim.ParallelFor(0, (long)sequences.Count * layout.Groups, 1, (begin, end) =>
        {
            for (long unit = begin; unit < end; unit++)
                AttendUnit((T*)q, (T*)keys, (T*)values, (T*)output, layout, sequences[(int)(unit / layout.Groups)], (int)(unit % layout.Groups));
        });

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AttendUnit<T>(T* q, T* keys, T* values, T* output, AttentionLayout layout, PagedSequence sequence, int group)
        where T : unmanaged
    {
        int perGroup = layout.Heads / layout.Groups, rows = sequence.QueryLength * perGroup, length = sequence.ContextLength;
        int width = layout.Width, valueWidth = layout.ValueWidth, blockSize = layout.BlockSize;
        var (query, scores, mixed) = (new float[rows * width], new float[(long)rows * length], new float[rows * valueWidth]);
        fixed (float* queryAt = query, scoresAt = scores, mixedAt = mixed)
        {
            // Row r is query token r / perGroup, head group * perGroup + r % perGroup.
            for (int r = 0; r < rows; r++)
            {
                long head = (long)(sequence.QueryStart + r / perGroup) * layout.Heads + group * perGroup + r % perGroup;
                LoadRow(q + head * width, query.AsSpan(r * width, width));
            }

            TensorPrimitives.Multiply(query, layout.Scale, query);
            var blocks = sequence.Blocks.Span;
            for (int token = 0; token < length; token++)
            {
                long slot = (long)blocks[token / blockSize] * blockSize + token % blockSize;
                var key = keys + slot * layout.KeyRow + group * layout.KeyGroup;
                for (int r = 0; r < rows; r++)
                    scoresAt[(long)r * length + token] = DotRow(queryAt + r * width, key, width);
            }

            for (int r = 0; r < rows; r++)
            {
                // The row's own token is the last that it sees; later ones keep weight 0.
                int visible = length - sequence.QueryLength + r / perGroup + 1;
                CpuMath.Softmax(scores.AsSpan(r * length, visible));
                scores.AsSpan(r * length + visible, length - visible).Clear();
            }

            for (int token = 0; token < length; token++)
            {
                long slot = (long)blocks[token / blockSize] * blockSize + token % blockSize;
                var value = values + slot * layout.ValueRow + group * layout.ValueGroup;
                for (int r = 0; r < rows; r++)
                    AddRow(mixedAt + r * valueWidth, scoresAt[(long)r * length + token], value, valueWidth);
            }

            for (int r = 0; r < rows; r++)
            {
                long head = (long)(sequence.QueryStart + r / perGroup) * layout.Heads + group * perGroup + r % perGroup;
                StoreRow(mixed.AsSpan(r * valueWidth, valueWidth), output + head * valueWidth);
            }
        }
    }

    private static void LoadRow<T>(T* source, Span<float> target)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            CpuMath.Load((float*)source, target);
        else
            CpuMath.Load((ushort*)source, target);
    }

    private static void StoreRow<T>(ReadOnlySpan<float> source, T* target)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            CpuMath.Store(source, (float*)target);
        else
            CpuMath.Store(source, (ushort*)target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float DotRow<T>(float* a, T* b, int count)
        where T : unmanaged
        => typeof(T) == typeof(float) ? CpuMath.Dot(a, (float*)b, count) : CpuMath.Dot(a, (ushort*)b, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow<T>(float* target, float factor, T* x, int count)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            CpuMath.AddScaled(target, factor, (float*)x, count);
        else
            CpuMath.AddScaled(target, factor, (ushort*)x, count);
    }
}
