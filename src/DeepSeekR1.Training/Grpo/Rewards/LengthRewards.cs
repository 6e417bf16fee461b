using DeepSeekR1.Evaluation.Grading;

namespace DeepSeekR1.Training.Grpo.Rewards;

/// <summary>Rewards for length and repetition, all in tokens.</summary>
internal static class LengthRewards
{
    /// <summary>
    /// Kimi 1.5: 0.5 - (length - shortest) / (longest - shortest) within the group; a wrong answer gets at most 0, equal lengths give 0. Null without a gold answer.
    /// </summary>
    internal static RewardFunction Length(RewardSettings settings) => group =>
    {
        if (Correct(group, settings) is not { } correct)
            return new double?[group.Completions.Count];
        int min = group.Completions.Min(c => c.TokenIds.Count), max = group.Completions.Max(c => c.TokenIds.Count);
        return [.. group.Completions.Select((c, i) =>
        {
            double value = max == min ? 0 : 0.5 - (double)(c.TokenIds.Count - min) / (max - min);
            return (double?)(correct[i] ? value : Math.Min(0, value));
        })];
    };

    /// <summary>
    /// A correct answer falls from 1 to 0.5 over the allowed length, a wrong one rises from -1 to -0.5. Beyond the limit the value stays (open-r1's cosine turns back there).
    /// </summary>
    internal static RewardFunction Cosine(RewardSettings settings) => group =>
    {
        if (Correct(group, settings) is not { } correct)
            return new double?[group.Completions.Count];
        return [.. group.Completions.Select((c, i) => (double?)CosineOf((double)c.TokenIds.Count / settings.MaxCompletionLength, correct[i] ? 1 : -1, correct[i] ? 0.5 : -0.5))];
    };

    /// <summary>From <paramref name="atZero"/> to <paramref name="atLimit"/> along half a cosine.</summary>
    private static double CosineOf(double share, double atZero, double atLimit) => atLimit + 0.5 * (atZero - atLimit) * (1 + Math.Cos(Math.PI * Math.Min(share, 1)));

    /// <summary>(1 - distinct runs / runs) x penalty over runs of n tokens.</summary>
    internal static RewardFunction RepetitionPenalty(RewardSettings settings)
    {
        if (settings.RepetitionLength < 1 || settings.MaxRepetitionPenalty > 0)
            throw new ArgumentException($"repetition_penalty needs runs of at least 1 token and a penalty of at most 0, not {settings.RepetitionLength} and {settings.MaxRepetitionPenalty}.");
        return group => [.. group.Completions.Select(c => (double?)Repetition(c.TokenIds, settings.RepetitionLength) * settings.MaxRepetitionPenalty)];
    }

    private static double Repetition(IReadOnlyList<int> ids, int n)
    {
        int total = ids.Count - n + 1;
        if (total <= 0)
            return 0;
        var runs = new HashSet<string>();
        for (int i = 0; i < total; i++)
            runs.Add(string.Join(' ', ids.Skip(i).Take(n)));
        return 1 - (double)runs.Count / total;
    }

    /// <summary>DAPO: 0 up to the buffer, then down to -1 at the longest completion.</summary>
    internal static RewardFunction SoftOverlong(RewardSettings settings)
    {
        if (settings.OverlongBuffer <= 0 || settings.OverlongBuffer > settings.MaxCompletionLength)
            throw new ArgumentException($"The overlong buffer is {settings.OverlongBuffer}; it must be between 1 and max_completion_length {settings.MaxCompletionLength}.");
        return group => [.. group.Completions.Select(c =>
        {
            double over = c.TokenIds.Count - (settings.MaxCompletionLength - settings.OverlongBuffer);
            return (double?)-Math.Clamp(over / settings.OverlongBuffer, 0, 1);
        })];
    }

    private static bool[]? Correct(RewardGroup group, RewardSettings settings)
        => GoldAnswer.Of(group.Row) is { Length: > 0 } gold && MathGrader.CanRead(gold) ? [.. group.Completions.Select(c => AnswerRewards.IsCorrect(gold, c, settings))] : null;
}
