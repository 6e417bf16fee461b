using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Grpo;

/// <summary>
/// Inputs of one micro-batch. B completions, T positions; all float tensors of one type on one device. What stands at masked positions
/// reaches neither loss nor gradient, whatever it is. Log-probabilities are of logits divided by the sampling temperature.
/// </summary>
public sealed record PolicyBatch
{
    /// <summary>Trainer's log-probabilities with their graph, [B, T].</summary>
    public required Tensor NewLogProbs { get; init; }

    /// <summary>1 where a completion token counts, else 0, [B, T], any type.</summary>
    public required Tensor Mask { get; init; }

    /// <summary>One advantage a completion, [B].</summary>
    public required Tensor Advantages { get; init; }

    /// <summary>Trainer's log-probabilities at rollout time, [B, T]; null: on-policy, ratio 1 with the gradient of the new ones.</summary>
    public Tensor? OldLogProbs { get; init; }

    /// <summary>Log-probabilities of the reference policy, [B, T]; needed when beta > 0, else only measured.</summary>
    public Tensor? ReferenceLogProbs { get; init; }

    /// <summary>The sampler's own log-probabilities, [B, T]; null: no correction.</summary>
    public Tensor? SamplerLogProbs { get; init; }

    /// <summary>Entropy of the policy at each position, [B, T]; needed by the entropy options, else only measured.</summary>
    public Tensor? Entropy { get; init; }

    /// <summary>Active tokens of the whole accumulated batch (dapo, cispo); null: this micro-batch is the batch.</summary>
    public long? GlobalActiveTokens { get; init; }

    /// <summary>Completions of the whole accumulated batch (grpo, bnpo, dr_grpo); null: this micro-batch is the batch.</summary>
    public long? GlobalSequences { get; init; }
}

/// <summary>A loss to go backward from, owned by the caller, and figures under TRL's names.</summary>
public sealed record PolicyLossResult(Tensor Loss, IReadOnlyDictionary<string, double> Metrics) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Loss.Dispose();
}

/// <summary>
/// The policy-gradient loss of GRPO and its relatives (reference: DeepSeekMath eq. 3, R1, DAPO, Dr. GRPO, GSPO, CISPO; names as in TRL).
/// Accumulation: the losses of all micro-batches are summed, each with the global counts of its batch. Stateless; any thread.
/// </summary>
public static class PolicyLoss
{
    /// <summary>Scalar loss of one micro-batch; the caller disposes the result.</summary>
    /// <exception cref="ArgumentException">A shape or an option does not fit.</exception>
    public static PolicyLossResult Compute(PolicyBatch batch, PolicyLossOptions options)
    {
        options.Validate();
        PolicyTerms.CheckShapes(batch, options);
        using var scope = NewDisposeScope();
        var terms = new PolicyTerms(batch, options);
        var policy = terms.Policy();
        policy = terms.DropTokens(policy);
        if (terms.SamplerWeights() is { } weights)
            policy = policy * weights;
        var loss = terms.Kl is { } kl && options.Beta > 0 ? policy.Plus((options.KlTimesRatio ? kl * terms.Ratio : kl) * Scalars.Of(options.Beta)) : policy;
        if (terms.Entropy is { } entropy && options.EntropyCoefficient != 0)
            loss = loss.Minus(entropy * Scalars.Of(options.EntropyCoefficient));
        var reduced = Reduce(loss * terms.Mask, terms.Mask, batch, options).MoveToOuterDisposeScope();
        return new PolicyLossResult(reduced, PolicyMetrics.Of(terms));
    }

    /// <summary>Token losses [B, T] to one number.</summary>
    private static Tensor Reduce(Tensor loss, Tensor mask, PolicyBatch batch, PolicyLossOptions options)
    {
        double count = mask.shape[0];
        double share = count / (batch.GlobalSequences ?? count);
        switch (options.LossType)
        {
            case LossType.Grpo:
                var lengths = PolicyTerms.SumTokens(mask).clamp_min(Scalars.Of(1L)); // [B, 1]
                return (loss / lengths).sum() / Number(count / share, mask);
            case LossType.Bnpo:
                return loss.sum() / mask.sum().clamp_min(Scalars.Of(1L)) * Number(share, mask);
            case LossType.DrGrpo:
                return loss.sum() / Number(count / share * options.MaxCompletionLength!.Value, mask);
            default:
                return loss.sum() / (batch.GlobalActiveTokens is { } tokens ? Number(tokens, mask) : mask.sum().clamp_min(Scalars.Of(1L)));
        }
    }

    /// <summary>A number that changes from step to step, as a tensor: <see cref="Scalars"/> keeps its numbers for ever.</summary>
    private static Tensor Number(double value, Tensor like)
    {
        using var wide = tensor(new[] { value }, ScalarType.Float64, like.device);
        return wide.to(like.dtype).squeeze(0);
    }
}
