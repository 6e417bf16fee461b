using DeepSeekR1.Compute.Kernels.Sampling;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>The reference: every operation in plain libtorch calls, on any device, differentiable. Slow is allowed here, wrong is not.</summary>
public class TorchKernels : KernelSet
{
    /// <summary>Query rows whose scores are held at once.</summary>
    private const int QueryChunk = 256;

    /// <inheritdoc/>
    public override string Description => "libtorch reference for all operations";

    /// <inheritdoc/>
    public override LinearWeight Prepare(Tensor weight) => new(weight.clone().DetachFromDisposeScope(), false);

    /// <inheritdoc/>
    public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
    {
        if (weight.Parts is not { } parts)
            return nn.functional.linear(x, weight.Data, bias);
        if (DynamicActivations)
        {
            // Products of codes need float32 sums; the result is rounded once.
            using var rounded = parts[0].RoundActivations(x);
            using var exact = ToDense(weight, ScalarType.Float32);
            using var wideBias = bias?.to(ScalarType.Float32);
            using var product = nn.functional.linear(rounded, exact, wideBias);
            return product.to(x.dtype, copy: true);
        }

        using var dense = ToDense(weight, x.dtype);
        return nn.functional.linear(x, dense, bias);
    }

    /// <inheritdoc/>
    public override Tensor ToDense(LinearWeight weight, ScalarType type)
    {
        if (weight.Parts is not { } parts)
            return weight.Data.dtype == type ? weight.Data.alias() : weight.Data.to(type);
        var decoded = parts.Select(p => p.Dequantize()).ToList();
        using var joined = decoded.Count == 1 ? decoded[0].alias() : cat(decoded);
        decoded.ForEach(d => d.Dispose());
        return joined.to(type, copy: true);
    }

    /// <inheritdoc/>
    public override SampledToken[] Sample(Tensor logits, SamplingBatch batch) => Sampler.Sample(logits, batch);

    /// <inheritdoc/>
    public override SampledToken[] Score(Tensor logits, ReadOnlyMemory<int> ids, int top) => Sampler.Score(logits, ids, top);

    /// <inheritdoc/>
    public override Tensor RmsNorm(Tensor x, Tensor weight, double eps)
    {
        using var wide = x.to(ScalarType.Float32);
        using var squares = wide * wide;
        using var mean = squares.mean([-1], keepdim: true);
        using var shifted = mean.Plus(Scalars.Of(eps));
        using var inverse = shifted.rsqrt();
        using var scaled = wide * inverse;
        using var narrow = scaled.to(x.dtype);
        return narrow * weight;
    }

    /// <inheritdoc/>
    public override Tensor SiluMultiply(Tensor gateUp)
    {
        long half = gateUp.shape[^1] / 2;
        using var gate = gateUp.narrow(-1, 0, half);
        using var up = gateUp.narrow(-1, half, half);
        using var active = nn.functional.silu(gate);
        return active * up;
    }

    /// <inheritdoc/>
    public override Tensor Rotate(Tensor x, Tensor cos, Tensor sin, bool interleaved)
    {
        long rows = x.shape[0], heads = x.shape[1], pairs = x.shape[2] / 2;
        int side = interleaved ? 3 : 2;
        using var wide = x.to(ScalarType.Float32);
        using var split = interleaved ? wide.reshape(rows, heads, pairs, 2) : wide.reshape(rows, heads, 2, pairs);
        using var first = split.select(side, 0);
        using var second = split.select(side, 1);
        using var c = cos.unsqueeze(1);
        using var s = sin.unsqueeze(1);
        using var left = FirstMinus(first, c, second, s);
        using var right = FirstPlus(second, c, first, s);
        using var joined = stack([left, right], side);
        using var flat = joined.reshape(rows, heads, 2 * pairs);
        return flat.to(x.dtype, copy: true);
    }

    /// <summary>a * b - c * d.</summary>
    private static Tensor FirstMinus(Tensor a, Tensor b, Tensor c, Tensor d)
    {
        using var first = a * b;
        using var second = c * d;
        return first.Minus(second);
    }

    /// <summary>a * b + c * d.</summary>
    private static Tensor FirstPlus(Tensor a, Tensor b, Tensor c, Tensor d)
    {
        using var first = a * b;
        using var second = c * d;
        return first.Plus(second);
    }

    /// <inheritdoc/>
    public override void WriteCache(Tensor cache, Tensor values, PagedBatch batch)
    {
        using var typed = values.to(cache.dtype);
        cache.index_copy_(0, batch.NewSlots, typed);
    }

    /// <inheritdoc/>
    public override Tensor PagedAttention(Tensor q, Tensor keys, Tensor values, int valueWidth, PagedBatch batch, double scale)
    {
        var parts = new List<Tensor>(batch.Sequences.Count);
        for (int i = 0; i < batch.Sequences.Count; i++)
            parts.Add(AttendPaged(q, keys, values, valueWidth, batch, i, scale));
        return Join(parts);
    }

    /// <summary>Attention of one sequence of the batch: its rows [t, H, E].</summary>
    protected Tensor AttendPaged(Tensor q, Tensor keys, Tensor values, int valueWidth, PagedBatch batch, int index, double scale)
    {
        var sequence = batch.Sequences[index];
        var slots = batch.ContextSlots(index);
        using var own = q.narrow(0, sequence.QueryStart, sequence.QueryLength);
        using var k = keys.index_select(0, slots);
        if (ReferenceEquals(keys, values))
        {
            using var shared = k.narrow(-1, 0, valueWidth);
            return DenseAttention(own, k, shared, scale);
        }

        using var v = values.index_select(0, slots);
        using var narrow = v.narrow(-1, 0, valueWidth);
        return DenseAttention(own, k, narrow, scale);
    }

    /// <summary>Rows of all sequences, in order. Disposes the parts.</summary>
    protected static Tensor Join(List<Tensor> parts)
    {
        if (parts.Count == 1)
            return parts[0];
        var joined = cat(parts);
        foreach (var part in parts)
            part.Dispose();
        return joined;
    }

    /// <inheritdoc/>
    public override Tensor DenseAttention(Tensor q, Tensor k, Tensor v, double scale)
    {
        int rows = (int)q.shape[0];
        if (rows <= QueryChunk)
            return AttendChunk(q, k, v, scale, 0, rows);
        var parts = new List<Tensor>();
        for (int first = 0; first < rows; first += QueryChunk)
        {
            int count = Math.Min(QueryChunk, rows - first);
            using var chunk = q.narrow(0, first, count);
            parts.Add(AttendChunk(chunk, k, v, scale, first, rows));
        }

        return Join(parts);
    }

    private static Tensor AttendChunk(Tensor q, Tensor k, Tensor v, double scale, int firstRow, int totalRows)
    {
        long t = q.shape[0], heads = q.shape[1], width = q.shape[2], length = k.shape[0], groups = k.shape[1];
        long perGroup = heads / groups, valueWidth = v.shape[2];

        // Scores are the largest tensors of a prefill: all of them go when the chunk ends, not when the step does.
        using var scope = NewDisposeScope();

        // Heads that share keys become rows of one product: [G, perGroup * t, D].
        var grouped = q.reshape(t, groups, perGroup, width).permute(1, 2, 0, 3).reshape(groups, perGroup * t, width);

        // Scores in float32 whatever the type: rounded scores move weights by percents.
        var scores = (grouped.to(ScalarType.Float32) * Scalars.Of(scale)).matmul(k.to(ScalarType.Float32).permute(1, 2, 0)).view(groups, perGroup, t, length);
        long visible = length - totalRows + firstRow;
        if (t > 1 || visible + 1 < length)
            scores = HideFuture(scores, visible);
        var weights = scores.softmax(-1).to(v.dtype).view(groups, perGroup * t, length);
        var mixed = weights.matmul(v.permute(1, 0, 2)).view(groups, perGroup, t, valueWidth);
        return mixed.permute(2, 0, 1, 3).reshape(t, heads, valueWidth).MoveToOuterDisposeScope();
    }

    /// <summary>Minus infinity where row i must not see key j, that is j greater than visible + i. scores [..., t, length].</summary>
    private static Tensor HideFuture(Tensor scores, long visible)
    {
        long t = scores.shape[^2], length = scores.shape[^1];
        using var key = Scalars.Range(0, length, scores.device).unsqueeze(0);
        using var last = Scalars.Range(visible, visible + t, scores.device).unsqueeze(1);
        using var hidden = key.gt(last);
        return scores.masked_fill(hidden, Scalars.Of(double.NegativeInfinity));
    }

    /// <inheritdoc/>
    public override (Tensor Experts, Tensor Weights) Route(Tensor logits, Tensor bias, RoutingRule rule)
    {
        using var scores = logits.sigmoid();
        using var choice = scores.Plus(bias);
        using var allowed = rule.Groups > 1 ? MaskWeakGroups(choice, rule) : choice.alias();
        var (values, experts) = allowed.topk(rule.TopK, -1, true, false);
        values.Dispose();
        using var chosen = scores.gather(-1, experts);
        if (!rule.Normalize)
            return (experts, chosen * Scalars.Of(rule.Scale));
        using var sum = chosen.sum(-1, keepdim: true);
        using var shifted = sum.Plus(Scalars.Of(1e-20));
        using var normalized = chosen / shifted;
        return (experts, normalized * Scalars.Of(rule.Scale));
    }

    /// <summary>
    /// Keeps the groups with the largest sums of their two best choices; all others become minus infinity. Zero would do only
    /// as long as every choice is positive.
    /// </summary>
    private static Tensor MaskWeakGroups(Tensor choice, RoutingRule rule)
    {
        using var grouped = choice.view(choice.shape[0], rule.Groups, choice.shape[1] / rule.Groups);
        var (best, bestIndex) = grouped.topk(Math.Min(2, (int)grouped.shape[^1]), -1);
        using var groupScores = best.sum(-1);
        best.Dispose();
        bestIndex.Dispose();
        var (top, kept) = groupScores.topk(rule.TopGroups, -1, true, false);
        top.Dispose();
        using var all = ones_like(groupScores, ScalarType.Bool);
        using var none = zeros_like(kept, ScalarType.Bool);
        using var dropped = all.scatter(1, kept, none);
        kept.Dispose();
        using var wide = dropped.unsqueeze(-1).expand_as(grouped);
        using var masked = grouped.masked_fill(wide, Scalars.Of(double.NegativeInfinity));
        return masked.view(choice.shape);
    }

    /// <inheritdoc/>
    public override Tensor Experts(Tensor x, Tensor experts, Tensor weights, IReadOnlyList<ExpertWeights> local, int firstExpert)
    {
        var result = zeros_like(x);
        var rowsOf = RowsByExpert(experts, local.Count, firstExpert);
        var picks = rowsOf.SelectMany(rows => rows ?? []).ToArray();
        if (picks.Length == 0)
            return result;

        // Rows are gathered once, expert after expert, and added back once: with gradients every gather costs a tensor of x's size.
        using var pick = tensor(picks, ScalarType.Int64, x.device);
        using var rows = pick.div(Scalars.Of(weights.shape[1]), RoundingMode.floor);
        using var gathered = x.index_select(0, rows);
        var inputs = gathered.split([.. rowsOf.Where(r => r is not null).Select(r => (long)r!.Count)]);
        var outputs = new List<Tensor>(inputs.Length);
        for (int e = 0; e < local.Count; e++)
        {
            if (rowsOf[e] is null)
                continue;
            using var input = inputs[outputs.Count];
            using var gateUp = Linear(input, local[e].GateUp, null);
            using var active = SiluMultiply(gateUp);
            outputs.Add(Linear(active, local[e].Down, null));
        }

        using var output = Join(outputs);
        using var flatWeights = weights.reshape(-1);
        using var picked = flatWeights.index_select(0, pick);
        using var weight = picked.unsqueeze(1);
        using var product = output * weight;
        using var weighted = product.to(x.dtype);
        return result.index_add_(0, rows, weighted, Scalars.Of(1L));
    }

    /// <summary>
    /// For each local expert the flat positions row * TopK + k that chose it. The one place where a layer looks at values: how
    /// many rows an expert gets decides the shapes that follow.
    /// </summary>
    private static List<long>?[] RowsByExpert(Tensor experts, int count, int firstExpert)
    {
        using var host = experts.cpu();
        var ids = host.data<long>();
        var rows = new List<long>?[count];
        for (long i = 0; i < ids.Count; i++)
        {
            long expert = ids[i] - firstExpert;
            if (expert >= 0 && expert < count)
                (rows[expert] ??= []).Add(i);
        }

        return rows;
    }
}
