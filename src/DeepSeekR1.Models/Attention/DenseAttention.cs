using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Attention;

/// <summary>
/// No cache: every sequence of the step is whole. The training form, differentiable; several sequences lie one after the other
/// and do not see each other (block-diagonal attention). Sequences of similar length are padded at their ends and attend
/// together: rows look back only, so padding needs no mask.
/// </summary>
/// <remarks>T rows, H query heads, G key-value heads, D key width, E value width, S sequences of a bucket, L longest of them.</remarks>
public sealed class DenseAttention : AttentionBackend, IDisposable
{
    /// <summary>A bucket may be this much larger with its padding than without.</summary>
    private const double MaxPadding = 1.25;

    private readonly List<Bucket> _buckets;
    private readonly Tensor? _order;
    private readonly Dictionary<int, Tensor> _latents = [];

    /// <summary>Lays out sequences of the given lengths, in tokens.</summary>
    public DenseAttention(KernelSet kernels, IReadOnlyList<int> lengths, Device? device = null)
        : base(kernels)
    {
        Sequences = Layout(lengths);
        _buckets = Buckets(Sequences, device ?? TorchRuntime.Host);

        // Where each row stands in the buckets' rows.
        var order = new long[lengths.Sum()];
        long next = 0;
        bool moves = false;
        foreach (var row in _buckets.SelectMany(b => b.Rows))
        {
            moves |= row != next;
            order[row] = next++;
        }

        if (!moves)
            return;
        _order = tensor(order, ScalarType.Int64, device).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override bool HoldsWholeSequences => true;

    /// <inheritdoc/>
    public override IReadOnlyList<PagedSequence> Sequences { get; }

    /// <inheritdoc/>
    public override Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, double scale)
    {
        // One sequence has nothing to be batched with.
        if (Sequences.Count == 1)
            return Kernels.DenseAttention(q, k, v, scale);

        // The library divides by the root of the width; what it should multiply with comes in through q.
        using var scaled = q.mul(Scalars.Of(scale * Math.Sqrt(q.shape[2])));
        var parts = _buckets.ConvertAll(b => Attend(b, scaled, k, v));
        var joined = parts.Count == 1 ? parts[0] : cat(parts);
        if (parts.Count > 1)
            parts.ForEach(p => p.Dispose());
        if (_order is null)
            return joined;
        using (joined)
            return joined.index_select(0, _order);
    }

    /// <inheritdoc/>
    public override void StoreLatent(int layer, Tensor latent) => _latents[layer] = latent;

    /// <inheritdoc/>
    public override Tensor AllLatents(int layer) => _latents[layer].alias();

    /// <inheritdoc/>
    public override Tensor Latent(int layer, int sequence)
        => _latents[layer].narrow(0, Sequences[sequence].QueryStart, Sequences[sequence].QueryLength);

    /// <inheritdoc/>
    public override Tensor AttendLatent(int layer, Tensor q, IReadOnlyList<int> sequences, int valueWidth, double scale)
    {
        var parts = new List<Tensor>();
        int start = 0;
        foreach (int index in sequences)
        {
            int length = Sequences[index].QueryLength;
            using var own = q.narrow(0, start, length);
            using var rows = Latent(layer, index);
            using var keys = rows.unsqueeze(1);
            using var values = keys.narrow(-1, 0, valueWidth);
            parts.Add(Kernels.DenseAttention(own, keys, values, scale));
            start += length;
        }

        return parts.Count == 1 ? parts[0] : cat(parts);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _order?.Dispose();
        _buckets.ForEach(b => b.Dispose());
    }

    /// <summary>One bucket: its rows of q (scaled), k and v, padded to [S, heads, L, width], to its result rows [rows, H, E].</summary>
    private static Tensor Attend(Bucket bucket, Tensor q, Tensor k, Tensor v)
    {
        long heads = q.shape[1];
        using var queries = bucket.Pad(q);
        using var keys = Repeat(bucket.Pad(k), heads);
        using var values = Repeat(bucket.Pad(v), heads);
        using var mixed = nn.functional.scaled_dot_product_attention(queries, keys, values, is_casual: true); // [S, H, L, E]
        using var rows = mixed.transpose(1, 2);
        using var flat = rows.reshape(-1, heads, v.shape[2]);
        return bucket.Real is null ? flat.alias() : flat.index_select(0, bucket.Real);
    }

    /// <summary>Copies key-value heads so that every query head has its own. Takes over its argument.</summary>
    private static Tensor Repeat(Tensor x, long heads)
    {
        long groups = x.shape[1];
        if (groups == heads)
            return x;
        using (x)
            return x.repeat_interleave(heads / groups, 1);
    }

    private static List<PagedSequence> Layout(IReadOnlyList<int> lengths)
    {
        var sequences = new List<PagedSequence>();
        int start = 0;
        foreach (int length in lengths)
        {
            sequences.Add(new PagedSequence(start, length, length, ReadOnlyMemory<int>.Empty));
            start += length;
        }

        return sequences;
    }

    private static List<Bucket> Buckets(IReadOnlyList<PagedSequence> sequences, Device device)
    {
        var buckets = new List<Bucket>();
        var current = new List<PagedSequence>();
        long rows = 0;
        foreach (var sequence in sequences.OrderBy(s => s.QueryLength))
        {
            if (current.Count > 0 && (current.Count + 1L) * sequence.QueryLength > MaxPadding * (rows + sequence.QueryLength))
            {
                buckets.Add(new Bucket(current, device));
                current = [];
                rows = 0;
            }

            current.Add(sequence);
            rows += sequence.QueryLength;
        }

        if (current.Count > 0)
            buckets.Add(new Bucket(current, device));
        return buckets;
    }

    /// <summary>Sequences that attend together.</summary>
    private sealed class Bucket : IDisposable
    {
        private readonly int _count, _longest;
        private readonly Tensor? _padded;

        public Bucket(IReadOnlyList<PagedSequence> sequences, Device device)
        {
            (_count, _longest) = (sequences.Count, sequences.Max(s => s.QueryLength));
            var padded = new List<long>();
            var real = new List<long>();
            foreach (var sequence in sequences)
                for (int i = 0; i < _longest; i++)
                {
                    // Padding repeats the last row: any row would do, nobody looks at it.
                    if (i < sequence.QueryLength)
                    {
                        real.Add(padded.Count);
                        Rows.Add(sequence.QueryStart + i);
                    }

                    padded.Add(sequence.QueryStart + Math.Min(i, sequence.QueryLength - 1));
                }

            bool asTheyAre = real.Count == padded.Count && Rows.Zip(Rows.Skip(1)).All(p => p.Second == p.First + 1) && Rows[0] == 0;
            IsWholeStep = asTheyAre;
            _padded = tensor(padded, ScalarType.Int64, device).DetachFromDisposeScope();
            Real = real.Count == padded.Count ? null : tensor(real, ScalarType.Int64, device).DetachFromDisposeScope();
        }

        /// <summary>The step's rows, in the order of the bucket.</summary>
        public List<long> Rows { get; } = [];

        /// <summary>Positions of real rows among the padded ones; null when there is no padding.</summary>
        public Tensor? Real { get; }

        private bool IsWholeStep { get; }

        /// <summary>x [T, heads, width] to [S, heads, L, width].</summary>
        public Tensor Pad(Tensor x)
        {
            using var rows = IsWholeStep && x.shape[0] == Rows.Count ? x.alias() : x.index_select(0, _padded!);
            using var split = rows.reshape(_count, _longest, x.shape[1], x.shape[2]);
            return split.transpose(1, 2);
        }

        public void Dispose()
        {
            _padded?.Dispose();
            Real?.Dispose();
        }
    }
}
