using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>Where queries, keys and values of an attention call lie; strides in elements.</summary>
/// <param name="Heads">Query heads H.</param>
/// <param name="Groups">Key-value heads G; H / G query heads share one.</param>
/// <param name="Width">Width of queries and keys D.</param>
/// <param name="ValueWidth">Width of values E.</param>
/// <param name="KeyRow">From a slot's keys to the next slot's.</param>
/// <param name="KeyGroup">From a key-value head's keys to the next head's.</param>
/// <param name="ValueRow">The same for values.</param>
/// <param name="ValueGroup">The same for values.</param>
/// <param name="BlockSize">Slots of a block; 0 when slots are tokens.</param>
/// <param name="Scale">Factor on the scores.</param>
internal sealed record AttentionLayout(
    int Heads, int Groups, int Width, int ValueWidth, long KeyRow, long KeyGroup, long ValueRow, long ValueGroup, int BlockSize, float Scale);

/// <summary>
/// Attention of many query rows over long contexts on AVX-512, without the matrix of scores (Dao et al. 2022): a tile of query rows goes over
/// the keys 64 at a time, with a running maximum and sum per row. Keys are read in place; a tile of them is transposed once for all rows.
/// float32 inside whatever the type outside.
/// <para>
/// Key tiles begin at multiples of 64 from the first token, so a row's result does not depend on how its prompt was cut into chunks, bit by bit.
/// </para>
/// </summary>
/// <remarks>Products: four rows times 64 columns, that is 16 accumulators of 16 lanes, four loads and four broadcasts for 16 multiplications.</remarks>
internal static unsafe class TiledAttention
{
    internal const int KeyTile = 64, RowBlock = 4, TargetRows = 192, Lanes = 16;

    /// <summary>Whether the processor has what this needs.</summary>
    public static bool IsSupported => Vector512.IsHardwareAccelerated;

    /// <summary>Computes the rows of some sequences.</summary>
    /// <typeparam name="T">float, or ushort for bfloat16.</typeparam>
    /// <param name="q">[T, H, D] dense.</param>
    /// <param name="keys">First key.</param>
    /// <param name="values">First value.</param>
    /// <param name="output">[T, H, E] dense; receives the result.</param>
    /// <param name="layout">Sizes and strides.</param>
    /// <param name="sequences">Whose rows.</param>
    public static void Attend<T>(nint q, nint keys, nint values, nint output, AttentionLayout layout, IReadOnlyList<PagedSequence> sequences)
        where T : unmanaged
    {
        var units = Units(layout, sequences);
        TorchShim.ParallelFor(0, units.Length, 1, (begin, end) =>
        {
            using var scratch = new Scratch(layout);
            for (long i = begin; i < end; i++)
                AttendTile((T*)q, (T*)keys, (T*)values, (T*)output, layout, units[i], scratch);
        });
    }

    /// <summary>Tiles of query rows, dealt out so that equal runs of them are equal work: later rows see more keys.</summary>
    private static Unit[] Units(AttentionLayout layout, IReadOnlyList<PagedSequence> sequences)
    {
        int tokens = Math.Max(1, TargetRows / (layout.Heads / layout.Groups));
        var units = new List<Unit>();
        foreach (var sequence in sequences)
            for (int first = 0; first < sequence.QueryLength; first += tokens)
                for (int group = 0; group < layout.Groups; group++)
                    units.Add(new Unit(sequence, group, first, Math.Min(tokens, sequence.QueryLength - first)));
        int threads = get_num_threads();
        return [.. units.OrderByDescending(u => (long)u.Visible * u.Count).Select((u, i) => (u, i)).OrderBy(p => p.i % threads).Select(p => p.u)];
    }

    private static void AttendTile<T>(T* q, T* keys, T* values, T* output, AttentionLayout layout, Unit unit, Scratch scratch)
        where T : unmanaged
    {
        int perGroup = layout.Heads / layout.Groups, rows = unit.Count * perGroup, padded = (rows + RowBlock - 1) / RowBlock * RowBlock;
        fixed (float* query = scratch.Query, key = scratch.Keys, value = scratch.Values, scores = scratch.Scores, mixed = scratch.Mixed)
        fixed (float* highest = scratch.Highest, sums = scratch.Sums, decay = scratch.Decay)
        {
            LoadQueries(q, layout, unit, query, padded);
            new Span<float>(mixed, padded * scratch.ValueStride).Clear();
            new Span<float>(highest, padded).Fill(float.NegativeInfinity);
            new Span<float>(sums, padded).Clear();
            for (int start = 0; start < unit.Visible; start += KeyTile)
            {
                int count = Math.Min(KeyTile, unit.Visible - start);
                LoadKeys(keys + unit.Group * layout.KeyGroup, layout, unit.Sequence, start, count, key);
                LoadValues(values + unit.Group * layout.ValueGroup, layout, unit.Sequence, start, count, value, scratch.ValueStride);
                TileProducts.Scores(query, key, scores, padded, layout.Width);
                for (int r = 0; r < padded; r++)
                {
                    int visible = r < rows ? Math.Clamp(unit.FirstVisible + r / perGroup - start, 0, count) : 0;
                    decay[r] = Weigh(scores + r * KeyTile, visible, ref highest[r], ref sums[r]);
                }

                TileProducts.Mix(scores, value, mixed, decay, padded, scratch.ValueStride);
            }

            for (int r = 0; r < rows; r++)
                StoreRow(mixed + (long)r * scratch.ValueStride, 1 / sums[r], output + RowOf(layout, unit, r) * layout.ValueWidth, layout.ValueWidth);
        }
    }

    /// <summary>Row r is query token r / (H / G), head group * (H / G) + r % (H / G).</summary>
    private static long RowOf(AttentionLayout layout, Unit unit, int r)
    {
        int perGroup = layout.Heads / layout.Groups;
        return (long)(unit.Sequence.QueryStart + unit.First + r / perGroup) * layout.Heads + unit.Group * perGroup + r % perGroup;
    }

    private static void LoadQueries<T>(T* q, AttentionLayout layout, Unit unit, float* target, int padded)
        where T : unmanaged
    {
        int rows = unit.Count * (layout.Heads / layout.Groups);
        new Span<float>(target, padded * layout.Width).Clear();
        for (int r = 0; r < rows; r++)
        {
            var source = q + RowOf(layout, unit, r) * layout.Width;
            for (int d = 0; d < layout.Width; d++)
                target[r * layout.Width + d] = layout.Scale * Number(source, d);
        }
    }

    /// <summary>Transposed: [D, 64]. Columns without a key are 0.</summary>
    private static void LoadKeys<T>(T* keys, AttentionLayout layout, PagedSequence sequence, int start, int count, float* target)
        where T : unmanaged
    {
        if (count < KeyTile)
            new Span<float>(target, layout.Width * KeyTile).Clear();
        var blocks = sequence.Blocks.Span;
        for (int j = 0; j < count; j++)
        {
            var source = keys + Slot(blocks, layout.BlockSize, start + j) * layout.KeyRow;
            for (int d = 0; d < layout.Width; d++)
                target[d * KeyTile + j] = Number(source, d);
        }
    }

    /// <summary>[64, E padded]. Rows without a value are 0.</summary>
    private static void LoadValues<T>(T* values, AttentionLayout layout, PagedSequence sequence, int start, int count, float* target, int stride)
        where T : unmanaged
    {
        if (count < KeyTile)
            new Span<float>(target, KeyTile * stride).Clear();
        var blocks = sequence.Blocks.Span;
        for (int j = 0; j < count; j++)
        {
            var source = values + Slot(blocks, layout.BlockSize, start + j) * layout.ValueRow;
            var row = new Span<float>(target + (long)j * stride, layout.ValueWidth);
            if (typeof(T) == typeof(float))
                CpuMath.Load((float*)source, row);
            else
                CpuMath.Load((ushort*)source, row);
        }
    }

    private static long Slot(ReadOnlySpan<int> blocks, int blockSize, int token)
        => blockSize == 0 ? token : (long)blocks[token / blockSize] * blockSize + token % blockSize;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Number<T>(T* source, int index)
        where T : unmanaged
        => typeof(T) == typeof(float) ? ((float*)source)[index] : CpuMath.Widen(((ushort*)source)[index]);

    private static void StoreRow<T>(float* source, float factor, T* target, int width)
        where T : unmanaged
    {
        for (int i = 0; i < width; i++)
            if (typeof(T) == typeof(float))
                ((float*)target)[i] = factor * source[i];
            else
                ((ushort*)target)[i] = CpuMath.Narrow(factor * source[i]);
    }

    /// <summary>
    /// Scores of a row to weights exp(score - highest), 0 for keys that it must not see; the running maximum and sum follow.
    /// </summary>
    /// <returns>The factor on everything that was added up before.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Weigh(float* scores, int visible, ref float highest, ref float sum)
    {
        Vector512<float> top = Vector512.Create(float.NegativeInfinity), total = default;
        var lanes = Vector512<int>.Indices;
        for (int i = 0; i < KeyTile; i += Lanes)
            top = Vector512.Max(top, Vector512.ConditionalSelect(Seen(lanes, i, visible), Vector512.Load(scores + i), top));
        float best = Math.Max(highest, Largest(top));
        if (visible == 0)
        {
            new Span<float>(scores, KeyTile).Clear();
            return 1;
        }

        var shift = Vector512.Create(best);
        for (int i = 0; i < KeyTile; i += Lanes)
        {
            var weight = VectorMath.Exp(Vector512.Load(scores + i) - shift) & Seen(lanes, i, visible);
            total += weight;
            weight.Store(scores + i);
        }

        float decay = MathF.Exp(highest - best);
        sum = sum * decay + Vector512.Sum(total);
        highest = best;
        return decay;
    }

    private static Vector512<float> Seen(Vector512<int> lanes, int first, int visible)
        => Vector512.LessThan(lanes, Vector512.Create(visible - first)).AsSingle();

    private static float Largest(Vector512<float> x)
    {
        var half = Vector256.Max(x.GetLower(), x.GetUpper());
        var quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return Math.Max(Math.Max(quarter[0], quarter[1]), Math.Max(quarter[2], quarter[3]));
    }

    /// <summary>A tile of query rows of one key-value head.</summary>
    private sealed record Unit(PagedSequence Sequence, int Group, int First, int Count)
    {
        /// <summary>Keys that its first token sees.</summary>
        public int FirstVisible => Sequence.ContextLength - Sequence.QueryLength + First + 1;

        /// <summary>Keys that its last token sees.</summary>
        public int Visible => FirstVisible + Count - 1;
    }

    /// <summary>Borrowed working memory of one thread.</summary>
    private sealed class Scratch : IDisposable
    {
        private readonly List<float[]> _borrowed = [];

        public Scratch(AttentionLayout layout)
        {
            int perGroup = layout.Heads / layout.Groups;
            int rows = (Math.Max(1, TargetRows / perGroup) * perGroup + RowBlock - 1) / RowBlock * RowBlock;
            ValueStride = (layout.ValueWidth + Lanes - 1) / Lanes * Lanes;
            (Query, Keys, Values) = (Borrow(rows * layout.Width), Borrow(KeyTile * layout.Width), Borrow(KeyTile * ValueStride));
            (Scores, Mixed) = (Borrow(rows * KeyTile), Borrow(rows * ValueStride));
            (Highest, Sums, Decay) = (Borrow(rows), Borrow(rows), Borrow(rows));
            Array.Clear(Values);
        }

        public int ValueStride { get; }

        public float[] Query { get; }

        public float[] Keys { get; }

        public float[] Values { get; }

        public float[] Scores { get; }

        public float[] Mixed { get; }

        public float[] Highest { get; }

        public float[] Sums { get; }

        public float[] Decay { get; }

        public void Dispose() => _borrowed.ForEach(array => ArrayPool<float>.Shared.Return(array));

        private float[] Borrow(int length)
        {
            var array = ArrayPool<float>.Shared.Rent(length);
            _borrowed.Add(array);
            return array;
        }
    }
}
