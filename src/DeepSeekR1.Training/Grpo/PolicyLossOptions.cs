using System.Text.Json.Serialization;

namespace DeepSeekR1.Training.Grpo;

/// <summary>How token losses become one number, and what is clipped. Names as in TRL's <c>loss_type</c>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<LossType>))]
public enum LossType
{
    /// <summary>Mean over sequences of (sum of the token losses / length of the sequence).</summary>
    [JsonStringEnumMemberName("grpo")] Grpo,

    /// <summary>Sum over the tokens of this micro-batch / their number: not exact under accumulation when lengths differ.</summary>
    [JsonStringEnumMemberName("bnpo")] Bnpo,

    /// <summary>Sum over the tokens / active tokens of the whole accumulated batch.</summary>
    [JsonStringEnumMemberName("dapo")] Dapo,

    /// <summary>Sum over the tokens / (sequences x longest completion allowed): no length bias.</summary>
    [JsonStringEnumMemberName("dr_grpo")] DrGrpo,

    /// <summary>-min(ratio, epsilon_max) x A x log p with the ratio held constant: no token loses its gradient. Normalised as dapo.</summary>
    [JsonStringEnumMemberName("cispo")] Cispo,
}

/// <summary>What one ratio covers. Names as in TRL's <c>importance_sampling_level</c>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RatioLevel>))]
public enum RatioLevel
{
    /// <summary>One ratio a token.</summary>
    [JsonStringEnumMemberName("token")] Token,

    /// <summary>GSPO: one ratio a sequence, exp of the mean log-ratio.</summary>
    [JsonStringEnumMemberName("sequence")] Sequence,

    /// <summary>GSPO-token: the value of the sequence's ratio with each token's own gradient.</summary>
    [JsonStringEnumMemberName("sequence_token")] SequenceToken,
}

/// <summary>How the gap between sampler and trainer is corrected. Names as in TRL's <c>vllm_importance_sampling_mode</c>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<SamplerCorrection>))]
public enum SamplerCorrection
{
    /// <summary>No correction.</summary>
    [JsonStringEnumMemberName("none")] None,

    /// <summary>min(weight, cap) for each token.</summary>
    [JsonStringEnumMemberName("token_truncate")] TokenTruncate,

    /// <summary>Tokens whose weight is above the cap are dropped.</summary>
    [JsonStringEnumMemberName("token_mask")] TokenMask,

    /// <summary>min(weight, cap) for each sequence.</summary>
    [JsonStringEnumMemberName("sequence_truncate")] SequenceTruncate,

    /// <summary>Sequences whose weight is above the cap are dropped.</summary>
    [JsonStringEnumMemberName("sequence_mask")] SequenceMask,
}

/// <summary>Settings of <see cref="PolicyLoss"/>. Names and defaults follow TRL's GRPOConfig where it has them.</summary>
public sealed record PolicyLossOptions
{
    /// <summary>TRL <c>loss_type</c>.</summary>
    public LossType LossType { get; init; } = LossType.Dapo;

    /// <summary>TRL <c>importance_sampling_level</c>.</summary>
    public RatioLevel ImportanceSamplingLevel { get; init; } = RatioLevel.Token;

    /// <summary>Lower clip range, TRL <c>epsilon</c>; > 0. R1's first RL stage used 10.</summary>
    public double Epsilon { get; init; } = 0.2;

    /// <summary>Upper clip range, TRL <c>epsilon_high</c>; null: as <see cref="Epsilon"/>.</summary>
    public double? EpsilonHigh { get; init; }

    /// <summary>Upper bound of the constant ratio in cispo; > 0.</summary>
    public double EpsilonMax { get; init; } = 5;

    /// <summary>Two-sided clipping: bound of the ratio in the unclipped branch, TRL <c>delta</c>; null: none. Useful above 1 + epsilon_high.</summary>
    public double? Delta { get; init; }

    /// <summary>Weight of the KL estimate, TRL <c>beta</c>; >= 0. Needs log-probabilities of the reference policy when above 0.</summary>
    public double Beta { get; init; }

    /// <summary>Multiplies the KL estimate by the ratio: unbiased off-policy (DeepSeek-V3.2; TRL <c>use_bias_correction_kl</c>).</summary>
    public bool KlTimesRatio { get; init; }

    /// <summary>Longest completion allowed in tokens: the normaliser of dr_grpo, which needs it.</summary>
    public int? MaxCompletionLength { get; init; }

    /// <summary>Correction of the sampler's log-probabilities.</summary>
    public SamplerCorrection ImportanceMode { get; init; } = SamplerCorrection.SequenceMask;

    /// <summary>Cap of the sampler correction; > 0.</summary>
    public double ImportanceCap { get; init; } = 3;

    /// <summary>
    /// Drops the policy term of sequences with A &lt; 0 whose mean (old - new) log-probability is above this (DeepSeek-V3.2; TRL
    /// <c>off_policy_mask_threshold</c>); null: none.
    /// </summary>
    public double? OffPolicyMaskThreshold { get; init; }

    /// <summary>Share of the tokens with the highest entropy that keep their policy term, TRL <c>top_entropy_quantile</c>; 1: all.</summary>
    public double TopEntropyQuantile { get; init; } = 1;

    /// <summary>Weight of the entropy bonus, subtracted from the loss; 0: none.</summary>
    public double EntropyCoefficient { get; init; }

    /// <summary>
    /// The settings of a published variant: grpo, bnpo, dapo (epsilon_high 0.28), dr_grpo, gspo and gspo_token (3e-4 and 4e-4), cispo.
    /// </summary>
    /// <exception cref="ArgumentException">Unknown name.</exception>
    public static PolicyLossOptions Named(string variant) => variant switch
    {
        "grpo" => new() { LossType = LossType.Grpo },
        "bnpo" => new() { LossType = LossType.Bnpo },
        "dapo" => new() { LossType = LossType.Dapo, EpsilonHigh = 0.28 },
        "dr_grpo" => new() { LossType = LossType.DrGrpo },
        "gspo" => new() { LossType = LossType.Grpo, ImportanceSamplingLevel = RatioLevel.Sequence, Epsilon = 3e-4, EpsilonHigh = 4e-4 },
        "gspo_token" => new() { LossType = LossType.Grpo, ImportanceSamplingLevel = RatioLevel.SequenceToken, Epsilon = 3e-4, EpsilonHigh = 4e-4 },
        "cispo" => new() { LossType = LossType.Cispo },
        _ => throw new ArgumentException($"Unknown loss '{variant}'. Known: grpo, bnpo, dapo, dr_grpo, gspo, gspo_token, cispo.", nameof(variant)),
    };

    /// <summary>Checks ranges and combinations.</summary>
    /// <exception cref="ArgumentException">Names the field, the value and the range.</exception>
    public void Validate()
    {
        Require(Epsilon > 0, "epsilon", Epsilon, "above 0");
        Require(EpsilonHigh is null or > 0, "epsilon_high", EpsilonHigh, "above 0");
        Require(EpsilonMax > 0, "epsilon_max", EpsilonMax, "above 0");
        Require(Delta is null or > 0, "delta", Delta, "above 0");
        Require(Beta >= 0, "beta", Beta, "0 or more");
        Require(ImportanceCap > 0, "importance_cap", ImportanceCap, "above 0");
        Require(TopEntropyQuantile is > 0 and <= 1, "top_entropy_quantile", TopEntropyQuantile, "above 0 and at most 1");
        Require(MaxCompletionLength is null or > 0, "max_completion_length", MaxCompletionLength, "above 0");
        Require(LossType != LossType.DrGrpo || MaxCompletionLength is not null, "max_completion_length", null, "set for dr_grpo");
        Require(LossType != LossType.Cispo || Delta is null, "delta", Delta, "unset for cispo, which bounds the ratio by epsilon_max");
    }

    private static void Require(bool holds, string field, double? value, string range)
    {
        if (!holds)
            throw new ArgumentException($"{field} is {(value is { } v ? v.ToString("R") : "not set")}; it must be {range}.", field);
    }
}
