using DeepSeekR1.Evaluation.Grading;

namespace DeepSeekR1.Training.Grpo.Rewards;

/// <summary>Runs a program with this standard input and returns its standard output; null when it failed or ran too long.</summary>
public delegate string? CodeRunner(string program, string input);

/// <summary>What reward functions need to know besides the completions.</summary>
public sealed record RewardSettings
{
    /// <summary>Where the answer stands.</summary>
    public AnswerTemplate Template { get; init; } = AnswerTemplate.R1;

    /// <summary>Longest completion allowed in tokens, for cosine and soft_overlong; > 0.</summary>
    public int MaxCompletionLength { get; init; } = 512;

    /// <summary>Last part of the length in which soft_overlong falls to -1, in tokens.</summary>
    public int OverlongBuffer { get; init; } = 64;

    /// <summary>Length of the repeated runs of repetition_penalty, in tokens.</summary>
    public int RepetitionLength { get; init; } = 3;

    /// <summary>Worst value of repetition_penalty, at most 0.</summary>
    public double MaxRepetitionPenalty { get; init; } = -1;

    /// <summary>Language of the thought for language_consistency: en or zh.</summary>
    public string Language { get; init; } = "en";

    /// <summary>How cf_code scores: pass_fail, partial or weighted_sum (pass + 0.1 x share of the tests).</summary>
    public string CodeScoring { get; init; } = "weighted_sum";

    /// <summary>Runs programs for the code rewards; null refuses them.</summary>
    public CodeRunner? RunCode { get; init; }
}

/// <summary>Reward functions by name. Names and values follow open-r1 and TRL; what they got wrong is said at the function.</summary>
public sealed class RewardRegistry
{
    private readonly SortedDictionary<string, Func<RewardSettings, RewardFunction>> _factories = new(StringComparer.Ordinal);

    /// <summary>All built-in functions.</summary>
    public RewardRegistry()
    {
        Register("accuracy", AnswerRewards.Accuracy);
        Register("reasoning_accuracy", AnswerRewards.ReasoningAccuracy);
        Register("exact_int", AnswerRewards.ExactInteger);
        Register("multiple_choice", AnswerRewards.MultipleChoice);
        Register("countdown", AnswerRewards.Countdown);
        Register("json_schema", AnswerRewards.JsonSchema);
        Register("format", TextRewards.Format);
        Register("think_format", TextRewards.ThinkFormat);
        Register("tag_count", TextRewards.TagCount);
        Register("reasoning_steps", TextRewards.ReasoningSteps);
        Register("language_consistency", TextRewards.LanguageConsistency);
        Register("length", LengthRewards.Length);
        Register("cosine", LengthRewards.Cosine);
        Register("repetition_penalty", LengthRewards.RepetitionPenalty);
        Register("soft_overlong", LengthRewards.SoftOverlong);
        Register("code", CodeRewards.Code);
        Register("binary_code", CodeRewards.BinaryCode);
        Register("code_format", CodeRewards.CodeFormat);
        Register("ioi_code", CodeRewards.Subtasks);
        Register("cf_code", CodeRewards.Codeforces);
    }

    /// <summary>All names.</summary>
    public IReadOnlyCollection<string> Names => _factories.Keys;

    /// <summary>Adds or replaces a function.</summary>
    public void Register(string name, Func<RewardSettings, RewardFunction> factory) => _factories[name] = factory;

    /// <summary>The function of this name.</summary>
    /// <exception cref="ArgumentException">Unknown name, or the settings lack what it needs.</exception>
    public RewardFunction Create(string name, RewardSettings settings)
        => _factories.TryGetValue(name, out var factory)
            ? factory(settings)
            : throw new ArgumentException($"Unknown reward '{name}'. Known: {string.Join(", ", Names)}.", nameof(name));
}

/// <summary>One reward function in use.</summary>
/// <param name="Name">For metrics: rewards/{Name}/mean.</param>
/// <param name="Weight">Factor in the sum.</param>
/// <param name="Function">The function.</param>
public sealed record WeightedReward(string Name, double Weight, RewardFunction Function);

/// <summary>Scores of a batch: one row a function, one column a completion, groups in order.</summary>
public sealed record RewardTable(IReadOnlyList<IReadOnlyList<double?>> Rows, IReadOnlyList<double?> Totals)
{
    /// <summary>Scores all groups with all functions.</summary>
    /// <exception cref="InvalidOperationException">A function returned another number of scores, or no number.</exception>
    public static RewardTable Score(IReadOnlyList<RewardGroup> groups, IReadOnlyList<WeightedReward> rewards)
    {
        var rows = rewards.Select(reward => (IReadOnlyList<double?>)[.. groups.SelectMany(group => Checked(reward, group))]).ToArray();
        return new RewardTable(rows, Advantages.WeightedSum(rows, [.. rewards.Select(r => r.Weight)]));
    }

    private static IReadOnlyList<double?> Checked(WeightedReward reward, RewardGroup group)
    {
        var scores = reward.Function(group);
        if (scores.Count != group.Completions.Count)
            throw new InvalidOperationException($"Reward '{reward.Name}' returned {scores.Count} scores for {group.Completions.Count} completions of row '{group.Row.Id}'.");
        if (scores.FirstOrDefault(s => s is { } score && !double.IsFinite(score)) is { } bad)
            throw new InvalidOperationException($"Reward '{reward.Name}' returned {bad} for row '{group.Row.Id}'; a reward is a finite number or null.");
        return scores;
    }
}
