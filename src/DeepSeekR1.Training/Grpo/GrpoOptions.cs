using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training.Grpo;

/// <summary>A kind of problem that the built-in generator asks in reinforcement learning.</summary>
/// <param name="Kind">add, subtract, multiply, ...</param>
/// <param name="Digits">Digits of the longer number; 0 for the usual lengths.</param>
/// <param name="OtherDigits">Digits of the other number; 0 for any up to the longer one.</param>
/// <param name="Weight">How often, in parts.</param>
public sealed record PromptKind(ProblemKind Kind, int Digits = 0, int OtherDigits = 0, int Weight = 1);

/// <summary>A reward function by name.</summary>
/// <param name="Name">accuracy, format, ...</param>
/// <param name="Weight">Factor in the sum.</param>
public sealed record RewardWeight(string Name, double Weight = 1);

/// <summary>Options of GRPO; names as in TRL's GRPOConfig where it has them.</summary>
public sealed record GrpoOptions : TrainingOptions
{
    /// <summary>A JSONL file with prompt (text) or messages, and answer, or "arithmetic" for the built-in generator.</summary>
    public string Dataset { get; init; } = "";

    /// <summary>What the generator asks; only for "arithmetic".</summary>
    public IReadOnlyList<PromptKind> Prompts { get; init; } = [];

    /// <summary>Prompts of a step.</summary>
    public int PromptsPerStep { get; init; } = 16;

    /// <summary>Completions of each prompt (G).</summary>
    public int NumGenerations { get; init; } = 8;

    /// <summary>Longest completion in tokens.</summary>
    public int MaxCompletionLength { get; init; } = 512;

    /// <summary>Sampling temperature; the policy's logits are divided by it too.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>grpo, bnpo, dapo, dr_grpo, gspo, gspo_token or cispo.</summary>
    public string LossType { get; init; } = "dapo";

    /// <summary>Lower clip range; unset as the loss has it.</summary>
    public double? Epsilon { get; init; }

    /// <summary>Upper clip range; unset as the loss has it.</summary>
    public double? EpsilonHigh { get; init; }

    /// <summary>Bound of the constant ratio, only for cispo, which has 5 where this is unset.</summary>
    public double? EpsilonMax { get; init; }

    /// <summary>Two-sided clipping: bound of the ratio where it is not clipped; unset for none. Not for cispo.</summary>
    public double? Delta { get; init; }

    /// <summary>token, sequence or sequence_token: what one ratio covers; unset as the loss has it.</summary>
    public RatioLevel? ImportanceSamplingLevel { get; init; }

    /// <summary>
    /// none, token_truncate, token_mask, sequence_truncate or sequence_mask: what is done where sampler and trainer differ (TRL: vllm_importance_sampling_mode). Unset is
    /// sequence_mask. The sampler's log-probabilities are those of temperature 1, so at another there is none.
    /// </summary>
    public SamplerCorrection? ImportanceSamplingMode { get; init; }

    /// <summary>Largest weight of that correction, above 0 (TRL: vllm_importance_sampling_cap); unset is 3.</summary>
    public double? ImportanceSamplingCap { get; init; }

    /// <summary>Drops the policy term of completions with a negative advantage whose mean log-probability fell by more than this since they were sampled; unset for none.</summary>
    public double? OffPolicyMaskThreshold { get; init; }

    /// <summary>Share of the tokens of highest entropy that keep their policy term; 1 for all.</summary>
    public double TopEntropyQuantile { get; init; } = 1;

    /// <summary>Weight of the KL to the policy at the start.</summary>
    public double Beta { get; init; }

    /// <summary>Multiplies the KL estimate by the ratio, which makes it unbiased off-policy; only with beta above 0.</summary>
    public bool UseBiasCorrectionKl { get; init; }

    /// <summary>group, batch or none.</summary>
    public RewardScale ScaleRewards { get; init; } = RewardScale.Group;

    /// <summary>sum_then_normalize, or normalize_then_sum (GDPO): each reward function is normalized in its group before the weighted sum.</summary>
    public RewardAggregation MultiObjectiveAggregation { get; init; } = RewardAggregation.SumThenNormalize;

    /// <summary>Divisor of the rewards' variance: 1 for n - 1, 0 for n.</summary>
    public int RewardStdDdof { get; init; } = 1;

    /// <summary>Passes over each batch of completions.</summary>
    public int NumIterations { get; init; } = 1;

    /// <summary>Leaves completions that the length limit ended out of the loss.</summary>
    public bool MaskTruncatedCompletions { get; init; }

    /// <summary>Reward functions and their weights.</summary>
    public IReadOnlyList<RewardWeight> Rewards { get; init; } = [new("accuracy")];

    /// <summary>Steps between evaluations; 0 for none.</summary>
    public int EvalSteps { get; init; }

    /// <summary>Held-out problems of an evaluation, per kind of prompt.</summary>
    public int EvalProblems { get; init; } = 100;

    /// <summary>Drops groups whose rewards are all equal and draws others in their place (DAPO, section 3.2), for at most 10 rounds.</summary>
    public bool DynamicSampling { get; init; }

    /// <summary>Weight of the entropy bonus; 0 for none.</summary>
    public double EntropyCoef { get; init; }

    /// <summary>Opens the dataset.</summary>
    /// <exception cref="Engine.StartupException">The file cannot be read, or a line is not a prompt with an answer.</exception>
    public IPromptSource OpenPrompts() => Dataset == "arithmetic" ? new ArithmeticPrompts(Seed, Prompts) : new JsonlPrompts(Dataset, Seed, EvalSteps > 0 ? EvalProblems : 0);

    /// <summary>The loss's settings.</summary>
    public PolicyLossOptions Loss()
    {
        var named = PolicyLossOptions.Named(LossType);
        return named with
        {
            Epsilon = Epsilon ?? named.Epsilon,
            EpsilonHigh = EpsilonHigh ?? named.EpsilonHigh,
            EpsilonMax = EpsilonMax ?? named.EpsilonMax,
            Delta = Delta,
            ImportanceSamplingLevel = ImportanceSamplingLevel ?? named.ImportanceSamplingLevel,
            ImportanceMode = ImportanceSamplingMode ?? named.ImportanceMode,
            ImportanceCap = ImportanceSamplingCap ?? named.ImportanceCap,
            OffPolicyMaskThreshold = OffPolicyMaskThreshold,
            TopEntropyQuantile = TopEntropyQuantile,
            Beta = Beta,
            KlTimesRatio = UseBiasCorrectionKl,
            EntropyCoefficient = EntropyCoef,
            MaxCompletionLength = MaxCompletionLength,
        };
    }

    /// <inheritdoc/>
    public override void Check()
    {
        base.Check();
        Require(Dataset.Length > 0, "dataset", Dataset, "a JSONL file or 'arithmetic'");
        Require(Dataset != "arithmetic" || Prompts.Count > 0, "prompts", "[]", "a list of kinds of problems when dataset is 'arithmetic'");
        Require(Dataset == "arithmetic" || Prompts.Count == 0, "prompts", Prompts.Count, "empty for a file: the kinds are the generator's");
        Require(double.IsFinite(EntropyCoef), "entropy_coef", EntropyCoef, "a finite number");
        Require(PromptsPerStep >= 1, "prompts_per_step", PromptsPerStep, "at least 1");
        Require(NumGenerations >= 2, "num_generations", NumGenerations, "at least 2: a group is compared with itself");
        Require(MaxCompletionLength >= 1, "max_completion_length", MaxCompletionLength, "at least 1");
        Require(Temperature > 0 && double.IsFinite(Temperature), "temperature", Temperature, "a number above 0");
        Require(NumIterations >= 1, "num_iterations", NumIterations, "at least 1");
        Require(Rewards.Count > 0, "rewards", "[]", "at least one reward function");
        Require(EvalSteps >= 0, "eval_steps", EvalSteps, "at least 0");
        Require(Beta >= 0, "beta", Beta, "at least 0");
        Require(EpsilonMax is null || LossType == "cispo", "epsilon_max", EpsilonMax ?? 0, "unset: only cispo has it");
        Require(LossType != "cispo" || (Epsilon is null && EpsilonHigh is null), "epsilon", Epsilon ?? EpsilonHigh ?? 0, "unset for cispo, like epsilon_high: it bounds the ratio by epsilon_max");
        Require(!UseBiasCorrectionKl || Beta > 0, "use_bias_correction_kl", UseBiasCorrectionKl, "false while beta is 0: there is no KL");
        bool corrects = ImportanceSamplingMode is not (null or SamplerCorrection.None);
        Require(!corrects || Temperature == 1, "importance_sampling_mode", ImportanceSamplingMode ?? default, $"unset or none at temperature {Temperature}: the sampler's log-probabilities are those of temperature 1");
        Require(ImportanceSamplingCap is null || (Temperature == 1 && ImportanceSamplingMode != SamplerCorrection.None), "importance_sampling_cap", ImportanceSamplingCap ?? 0, "unset where nothing is corrected");
        Require(RewardStdDdof is 0 or 1, "reward_std_ddof", RewardStdDdof, "0 or 1");
        Require(MultiObjectiveAggregation == RewardAggregation.SumThenNormalize || ScaleRewards == RewardScale.Group, "scale_rewards", ScaleRewards, "group with normalize_then_sum, which has its own scale");
        try
        {
            Loss().Validate();
        }
        catch (ArgumentException e)
        {
            throw new Engine.StartupException(e.Message, e);
        }
    }
}
