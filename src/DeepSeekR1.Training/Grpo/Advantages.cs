using System.Text.Json.Serialization;

namespace DeepSeekR1.Training.Grpo;

/// <summary>What the centred rewards are divided by. Names as in TRL's <c>scale_rewards</c>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RewardScale>))]
public enum RewardScale
{
    /// <summary>Standard deviation of the group.</summary>
    [JsonStringEnumMemberName("group")] Group,

    /// <summary>Standard deviation of the whole batch.</summary>
    [JsonStringEnumMemberName("batch")] Batch,

    /// <summary>Nothing: A = r - mean (Dr. GRPO).</summary>
    [JsonStringEnumMemberName("none")] None,
}

/// <summary>How several reward functions become one number. Names as in TRL's <c>multi_objective_aggregation</c>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RewardAggregation>))]
public enum RewardAggregation
{
    /// <summary>Weighted sum, then normalized in the group.</summary>
    [JsonStringEnumMemberName("sum_then_normalize")] SumThenNormalize,

    /// <summary>GDPO: each normalized in the group, weighted sum, then normalized over the batch.</summary>
    [JsonStringEnumMemberName("normalize_then_sum")] NormalizeThenSum,
}

/// <summary>
/// Advantages of a batch of groups: one number a completion, the same for all its tokens. A reward of null means that no function could
/// judge the completion: it stays out of mean and deviation and gets advantage 0.
/// </summary>
/// <param name="Values">One a completion, groups in order.</param>
/// <param name="FracRewardZeroStd">Share of the groups whose rewards do not differ, so that nothing is learned from them.</param>
/// <param name="RewardMean">Mean of the known rewards.</param>
/// <param name="RewardStd">Mean of the groups' standard deviations.</param>
public sealed record Advantages(double[] Values, double FracRewardZeroStd, double RewardMean, double RewardStd)
{
    private const double ZeroStd = 1e-8;

    /// <summary>A = (r - mean of the group) / (std + eps), the std as <paramref name="scale"/> says.</summary>
    /// <param name="rewards">One a completion, groups in order; null: unknown.</param>
    /// <param name="groupSize">Completions of one prompt, > 0; divides the number of rewards.</param>
    /// <param name="scale">What to divide by.</param>
    /// <param name="ddof">1: divisor n - 1 (TRL), 0: n.</param>
    /// <param name="eps">Added to the deviation.</param>
    /// <exception cref="ArgumentException">The rewards are not whole groups, or ddof is neither 0 nor 1.</exception>
    public static Advantages Of(IReadOnlyList<double?> rewards, int groupSize, RewardScale scale = RewardScale.Group, int ddof = 1, double eps = 1e-4)
    {
        Check(rewards.Count, groupSize, ddof);
        var values = new double[rewards.Count];
        double batchStd = Moments(rewards, 0, rewards.Count, ddof).Std;
        double stdSum = 0;
        int flat = 0, groups = rewards.Count / groupSize;
        for (int start = 0; start < rewards.Count; start += groupSize)
        {
            var (mean, std, _) = Moments(rewards, start, groupSize, ddof);
            stdSum += std;
            flat += std <= ZeroStd ? 1 : 0;
            double divisor = scale switch { RewardScale.Group => std + eps, RewardScale.Batch => batchStd + eps, _ => 1 };
            for (int i = start; i < start + groupSize; i++)
                values[i] = rewards[i] is { } reward ? (reward - mean) / divisor : 0;
        }

        return new Advantages(values, groups == 0 ? 0 : (double)flat / groups, Moments(rewards, 0, rewards.Count, ddof).Mean, groups == 0 ? 0 : stdSum / groups);
    }

    /// <summary>
    /// GDPO (<c>normalize_then_sum</c>): every function's rewards are z-scored in their group, weighted, summed, and the sums z-scored over
    /// the batch. So a function with a small spread is not drowned by one with a large spread.
    /// </summary>
    /// <param name="table">One row a function, each as in <see cref="Of"/>.</param>
    /// <param name="weights">One a function.</param>
    /// <param name="groupSize">As in <see cref="Of"/>.</param>
    /// <param name="ddof">As in <see cref="Of"/>.</param>
    /// <param name="eps">As in <see cref="Of"/>.</param>
    /// <exception cref="ArgumentException">Rows and weights do not match, or as in <see cref="Of"/>.</exception>
    public static Advantages NormalizeThenSum(
        IReadOnlyList<IReadOnlyList<double?>> table, IReadOnlyList<double> weights, int groupSize, int ddof = 1, double eps = 1e-4)
    {
        if (table.Count == 0 || table.Count != weights.Count || table.Any(row => row.Count != table[0].Count))
            throw new ArgumentException($"{table.Count} rows of rewards and {weights.Count} weights: there must be one weight a row and rows of one length.");
        var sums = new double?[table[0].Count];
        for (int f = 0; f < table.Count; f++)
        {
            var scores = Of(table[f], groupSize, RewardScale.Group, ddof, eps).Values;
            for (int i = 0; i < sums.Length; i++)
                if (table[f][i] is not null)
                    sums[i] = (sums[i] ?? 0) + weights[f] * scores[i];
        }

        var whole = Of(WeightedSum(table, weights), groupSize, RewardScale.Group, ddof, eps);
        var (mean, std, _) = Moments(sums, 0, sums.Length, ddof);
        return whole with { Values = [.. sums.Select(sum => sum is { } s ? (s - mean) / (std + eps) : 0)] };
    }

    /// <summary>Weighted sum over the functions that know a completion; null where none does.</summary>
    public static double?[] WeightedSum(IReadOnlyList<IReadOnlyList<double?>> table, IReadOnlyList<double> weights)
    {
        var sums = new double?[table.Count == 0 ? 0 : table[0].Count];
        for (int f = 0; f < table.Count; f++)
            for (int i = 0; i < sums.Length; i++)
                if (table[f][i] is { } reward)
                    sums[i] = (sums[i] ?? 0) + weights[f] * reward;
        return sums;
    }

    private static (double Mean, double Std, int Count) Moments(IReadOnlyList<double?> rewards, int start, int length, int ddof)
    {
        double sum = 0, squares = 0;
        int count = 0;
        for (int i = start; i < start + length; i++)
            if (rewards[i] is { } reward)
            {
                sum += reward;
                count++;
            }

        if (count == 0)
            return (0, 0, 0);
        double mean = sum / count;
        for (int i = start; i < start + length; i++)
            if (rewards[i] is { } reward)
                squares += (reward - mean) * (reward - mean);
        return (mean, count > ddof ? Math.Sqrt(squares / (count - ddof)) : 0, count);
    }

    private static void Check(int count, int groupSize, int ddof)
    {
        if (groupSize <= 0 || count % groupSize != 0)
            throw new ArgumentException($"{count} rewards are not whole groups of {groupSize}: the batch must be divisible by the group size.");
        if (ddof is not (0 or 1))
            throw new ArgumentException($"ddof is {ddof}; it must be 0 or 1.");
    }
}
