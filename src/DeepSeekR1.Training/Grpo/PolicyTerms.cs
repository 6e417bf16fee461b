using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Grpo;

/// <summary>
/// The pieces of one micro-batch's policy loss, [B, T] or [B, 1] where one value covers a sequence. Lives inside the dispose scope of
/// <see cref="PolicyLoss.Compute"/>. Masked positions are replaced by 0 before anything is computed from them.
/// </summary>
internal sealed class PolicyTerms
{
    private readonly PolicyLossOptions _options;
    private readonly Tensor _keep; // [B, T] bool
    private readonly Tensor _new;
    private readonly Tensor _old;
    private readonly Tensor? _sampler;

    internal PolicyTerms(PolicyBatch batch, PolicyLossOptions options)
    {
        _options = options;
        _keep = batch.Mask.ne(Scalars.Of(0L));
        Mask = _keep.to(batch.NewLogProbs.dtype);
        _new = Clean(batch.NewLogProbs);
        _old = batch.OldLogProbs is { } old ? Clean(old).detach() : _new.detach();
        _sampler = batch.SamplerLogProbs is { } sampler ? Clean(sampler).detach() : null;
        Advantages = batch.Advantages.to(_new.dtype).detach().unsqueeze(1); // [B, 1]
        Ratio = LogRatio().exp();
        Kl = batch.ReferenceLogProbs is { } reference ? KlEstimate(Clean(reference).detach()) : null;
        Entropy = batch.Entropy is { } entropy ? Clean(entropy) : null;
    }

    /// <summary>1 or 0, [B, T], in the type of the loss.</summary>
    internal Tensor Mask { get; }

    /// <summary>[B, 1].</summary>
    internal Tensor Advantages { get; }

    /// <summary>p_new / p_old, [B, T] or [B, 1].</summary>
    internal Tensor Ratio { get; }

    /// <summary>k3 against the reference, [B, T], >= 0; null without a reference.</summary>
    internal Tensor? Kl { get; }

    /// <summary>[B, T], null when not given.</summary>
    internal Tensor? Entropy { get; }

    /// <summary>Weights of the sampler correction times the mask, [B, T]; null before <see cref="SamplerWeights"/> or without one.</summary>
    internal Tensor? Weights { get; private set; }

    /// <summary>|old - sampler| at counting positions, [B, T]; null without a sampler.</summary>
    internal Tensor? SamplerGap => _sampler is { } sampler ? _old.Minus(sampler).abs() * Mask : null;

    internal PolicyLossOptions Options => _options;

    internal double EpsilonHigh => _options.EpsilonHigh ?? _options.Epsilon;

    /// <summary>-min(min(ratio, delta) A, clip(ratio) A), or cispo's -constant(min(ratio, epsilon_max)) A log p.</summary>
    internal Tensor Policy()
    {
        if (_options.LossType == LossType.Cispo)
            return (Ratio.detach().clamp_max(Scalars.Of(_options.EpsilonMax)) * Advantages * _new).neg();
        var free = _options.Delta is { } delta ? Ratio.clamp_max(Scalars.Of(delta)) : Ratio;
        var clipped = Ratio.clamp(Scalars.Of(1 - _options.Epsilon), Scalars.Of(1 + EpsilonHigh));
        return minimum(free * Advantages, clipped * Advantages).neg();
    }

    /// <summary>The policy term without off-policy sequences and without tokens of low entropy, where the options say so.</summary>
    internal Tensor DropTokens(Tensor policy)
    {
        if (_options.OffPolicyMaskThreshold is { } threshold)
        {
            var gap = MeanTokens(_old.Minus(_new.detach())); // [B, 1]
            var drop = Advantages.lt(Scalars.Of(0L)).logical_and(gap.gt(Scalars.Of(threshold)));
            policy = where(drop, zeros_like(policy), policy);
        }

        return _options.TopEntropyQuantile < 1 ? where(HighEntropy(), policy, zeros_like(policy)) : policy;
    }

    /// <summary>Weights of the sampler correction, [B, T] or [B, 1]; null where there is none.</summary>
    internal Tensor? SamplerWeights()
    {
        if (_sampler is null || _options.ImportanceMode == SamplerCorrection.None)
            return null;
        bool bySequence = _options.ImportanceMode is SamplerCorrection.SequenceMask or SamplerCorrection.SequenceTruncate;
        bool masks = _options.ImportanceMode is SamplerCorrection.SequenceMask or SamplerCorrection.TokenMask;
        var gap = _old.Minus(_sampler); // 0 at masked positions
        var weights = (bySequence ? SumTokens(gap) : gap).exp();
        var cap = Scalars.Of(_options.ImportanceCap);
        // Zeros instead of a product: the weight may be infinite.
        weights = masks ? where(weights.gt(cap), zeros_like(weights), weights) : weights.clamp_max(cap);
        Weights = weights * Mask;
        return weights;
    }

    internal static Tensor SumTokens(Tensor values) => values.sum([1L], keepdim: true);

    /// <summary>Mean over the counting tokens of each sequence, [B, 1]; 0 for an empty one.</summary>
    private Tensor MeanTokens(Tensor values) => SumTokens(values * Mask) / SumTokens(Mask).clamp_min(Scalars.Of(1L));

    private Tensor Clean(Tensor values) => where(_keep, values, zeros_like(values));

    private Tensor LogRatio()
    {
        var token = _new.Minus(_old);
        if (_options.ImportanceSamplingLevel == RatioLevel.Token)
            return token;
        var sequence = MeanTokens(token);
        return _options.ImportanceSamplingLevel == RatioLevel.Sequence ? sequence : sequence.detach().Plus(_new).Minus(_new.detach());
    }

    private Tensor KlEstimate(Tensor reference)
    {
        var gap = reference.Minus(_new);
        return gap.exp().Minus(gap).Plus(Scalars.Of(-1L));
    }

    /// <summary>True for the tokens whose entropy is at or above the quantile 1 - share of all counting tokens.</summary>
    private Tensor HighEntropy()
    {
        var entropy = Entropy!.detach();
        var counting = entropy.masked_select(_keep);
        if (counting.numel() == 0)
            return _keep;
        long rank = Math.Clamp((long)Math.Ceiling(_options.TopEntropyQuantile * counting.numel()), 1, counting.numel());
        var threshold = counting.sort(0, descending: true).Values.narrow(0, rank - 1, 1);
        return entropy.ge(threshold).logical_and(_keep);
    }

    /// <summary>Throws unless all shapes are [B, T] and [B], and what the options need is there.</summary>
    internal static void CheckShapes(PolicyBatch batch, PolicyLossOptions options)
    {
        var shape = batch.NewLogProbs.shape;
        if (shape.Length != 2)
            throw new ArgumentException($"NewLogProbs has shape [{string.Join(", ", shape)}]; it must be [B, T].");
        Check("Mask", batch.Mask, shape);
        Check("Advantages", batch.Advantages, [shape[0]]);
        Check("OldLogProbs", batch.OldLogProbs, shape);
        Check("ReferenceLogProbs", batch.ReferenceLogProbs, shape);
        Check("SamplerLogProbs", batch.SamplerLogProbs, shape);
        Check("Entropy", batch.Entropy, shape);
        if (options.Beta > 0 && batch.ReferenceLogProbs is null)
            throw new ArgumentException($"beta is {options.Beta}, but ReferenceLogProbs are missing: give them or set beta to 0.");
        if ((options.TopEntropyQuantile < 1 || options.EntropyCoefficient != 0) && batch.Entropy is null)
            throw new ArgumentException("An entropy option is set, but Entropy is missing: give it or remove the option.");
    }

    private static void Check(string name, Tensor? values, long[] shape)
    {
        if (values is not null && !values.shape.SequenceEqual(shape))
            throw new ArgumentException($"{name} has shape [{string.Join(", ", values.shape)}]; it must be [{string.Join(", ", shape)}].");
    }
}

/// <summary>Figures of a micro-batch under TRL's names, read from the device once.</summary>
internal static class PolicyMetrics
{
    internal static IReadOnlyDictionary<string, double> Of(PolicyTerms terms)
    {
        using var mode = no_grad();
        var names = new List<string>();
        var values = new List<Tensor>();
        void Add(string name, Tensor value)
        {
            names.Add(name);
            values.Add(value.detach().to(ScalarType.Float64).reshape(1));
        }

        var ratio = terms.Ratio.detach();
        Add("ratio/mean", Mean(ratio, terms.Mask));
        AddClipping(Add, ratio, terms);
        if (terms.Kl is { } kl)
            Add("kl", Mean(kl.detach(), terms.Mask));
        if (terms.Entropy is { } entropy)
            Add("entropy", Mean(entropy.detach(), terms.Mask));
        if (terms.SamplerGap is { } gap)
        {
            Add("sampling/sampling_logp_difference/mean", Mean(gap, terms.Mask));
            Add("sampling/sampling_logp_difference/max", gap.max());
        }

        if (terms.Weights is { } weights)
            AddWeights(Add, weights, terms.Mask);
        var host = cat(values).cpu().data<double>().ToArray();
        return names.Zip(host).ToDictionary(pair => pair.First, pair => pair.Second);
    }

    private static void AddClipping(Action<string, Tensor> add, Tensor ratio, PolicyTerms terms)
    {
        var up = terms.Advantages.gt(Scalars.Of(0L));
        var down = terms.Advantages.lt(Scalars.Of(0L));
        if (terms.Options.LossType == LossType.Cispo)
        {
            add("cispo_clip_ratio", Mean(ratio.gt(Scalars.Of(terms.Options.EpsilonMax)).logical_and(up), terms.Mask));
            return;
        }

        var low = ratio.lt(Scalars.Of(1 - terms.Options.Epsilon)).logical_and(down);
        var high = ratio.gt(Scalars.Of(1 + terms.EpsilonHigh)).logical_and(up);
        add("clip_ratio/low_mean", Mean(low, terms.Mask));
        add("clip_ratio/high_mean", Mean(high, terms.Mask));
        add("clip_ratio/region_mean", Mean(low.logical_or(high), terms.Mask));
    }

    private static void AddWeights(Action<string, Tensor> add, Tensor weights, Tensor mask)
    {
        add("sampling/importance_sampling_ratio/mean", Mean(weights, mask));
        add("sampling/importance_sampling_ratio/max", weights.max());
        add("sampling/importance_sampling_ratio/min", where(mask.ne(Scalars.Of(0L)), weights, ones_like(weights) * Scalars.Of(1e30)).min());
    }

    /// <summary>Over the counting tokens, or over the sequences where there is one value for each.</summary>
    private static Tensor Mean(Tensor values, Tensor mask)
    {
        var wide = values.to(mask.dtype);
        if (wide.shape[1] == 1 && mask.shape[1] != 1)
            return wide.mean();
        return (wide * mask).sum() / mask.sum().clamp_min(Scalars.Of(1L));
    }
}
