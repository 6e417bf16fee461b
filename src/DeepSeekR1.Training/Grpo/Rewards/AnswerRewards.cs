using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Evaluation.Grading;
using DeepSeekR1.Text;

namespace DeepSeekR1.Training.Grpo.Rewards;

/// <summary>
/// Rewards for the answer itself. Only what follows the one end of thought counts: an answer in the thoughts, a second end tag or an answer of
/// absurd length earns nothing.
/// </summary>
internal static class AnswerRewards
{
    private const int MaxAnswerLength = 2_000;

    /// <summary>1 or 0 by the strict grader; null where the gold answer cannot be read.</summary>
    internal static RewardFunction Accuracy(RewardSettings settings) => group => ByGold(group, (gold, completion) => IsCorrect(gold, completion, settings));

    /// <summary>As accuracy, on the text after the last end of thought, however many there are; 0 without one.</summary>
    internal static RewardFunction ReasoningAccuracy(RewardSettings settings) => group => ByGold(group, (gold, completion) =>
    {
        int close = completion.Text.LastIndexOf(Dialect.ThinkClose, StringComparison.Ordinal);
        string answer = close < 0 ? "" : completion.Text[(close + Dialect.ThinkClose.Length)..];
        return !answer.Contains(Dialect.ThinkOpen, StringComparison.Ordinal)
            && Short(MathGrader.Extract(answer, AnswerTemplate.Plain, GraderProfile.Strict)) is { } found && MathGrader.IsEquivalent(gold, found, GraderProfile.Strict);
    });

    /// <summary>1 if the answer is this very integer in plain digits; null where the gold is none.</summary>
    internal static RewardFunction ExactInteger(RewardSettings settings) => group => ByGold(
        group,
        (gold, completion) => Answer(completion, settings) is { } answer && IsInteger(answer) && BigInteger(answer) == BigInteger(gold),
        IsInteger);

    /// <summary>1 if the answer is this option letter; null where the gold is none.</summary>
    internal static RewardFunction MultipleChoice(RewardSettings settings) => group => ByGold(
        group,
        (gold, completion) => Answer(completion, settings) is { } answer && Letter(answer) is { } letter && letter == Letter(gold),
        gold => Letter(gold) is not null);

    /// <summary>Columns numbers (or nums) and target: 1 right, 0.1 for an expression that is wrong, 0 without an answer (TinyZero's values).</summary>
    internal static RewardFunction Countdown(RewardSettings settings) => group =>
    {
        var columns = group.Row.Columns;
        if (!(columns.TryGetValue("numbers", out var list) || columns.TryGetValue("nums", out list)) || list.ValueKind != JsonValueKind.Array
            || !long.TryParse(group.Row.Text("target"), CultureInfo.InvariantCulture, out long target))
            return new double?[group.Completions.Count];
        long[] numbers = [.. list.EnumerateArray().Select(n => n.GetInt64())];
        return [.. group.Completions.Select(c => (double?)(Answer(c, settings) is not { } answer ? 0 : CountdownGrader.IsCorrect(answer, numbers, target) ? 1 : 0.1))];
    };

    /// <summary>1 if the answer is JSON that fits the column schema; null without a schema or with keywords that are not checked.</summary>
    internal static RewardFunction JsonSchema(RewardSettings settings) => group =>
    {
        if (!group.Row.Columns.TryGetValue("schema", out var schema) || !JsonSchemaCheck.IsSupported(schema))
            return new double?[group.Completions.Count];
        return [.. group.Completions.Select(c => (double?)(AnswerText(c, settings) is { } text && JsonSchemaCheck.Fits(text, schema) ? 1 : 0))];
    };

    /// <summary>Whether a completion's answer is right under the strict profile.</summary>
    internal static bool IsCorrect(string gold, Completion completion, RewardSettings settings)
        => Answer(completion, settings) is { } answer && MathGrader.IsEquivalent(gold, answer, GraderProfile.Strict);

    /// <summary>The text after the thoughts, null where there is not exactly one end of thought; the whole text under the plain template.</summary>
    internal static string? AnswerText(Completion completion, RewardSettings settings)
    {
        if (settings.Template == AnswerTemplate.Plain)
            return completion.Text;
        string[] parts = completion.Text.Split(Dialect.ThinkClose);
        return parts.Length == 2 && !parts[1].Contains(Dialect.ThinkOpen, StringComparison.Ordinal) ? parts[1] : null;
    }

    private static string? Answer(Completion completion, RewardSettings settings) => Short(MathGrader.Extract(completion.Text, settings.Template, GraderProfile.Strict));

    private static string? Short(string? answer) => answer is { Length: <= MaxAnswerLength } ? answer : null;

    private static IReadOnlyList<double?> ByGold(RewardGroup group, Func<string, Completion, bool> isCorrect, Func<string, bool>? accepts = null)
    {
        if (GoldAnswer.Of(group.Row) is not { Length: > 0 } gold || !(accepts ?? MathGrader.CanRead)(gold))
            return new double?[group.Completions.Count];
        return [.. group.Completions.Select(c => (double?)(isCorrect(gold, c) ? 1 : 0))];
    }

    private static bool IsInteger(string text)
        => text.Length is > 0 and < 1_000 && text.TrimStart('-') is { Length: > 0 } digits && text.Length - digits.Length <= 1 && digits.All(char.IsAsciiDigit);

    private static System.Numerics.BigInteger BigInteger(string text) => System.Numerics.BigInteger.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>A of "A", "(A)", "A." and \text{A}, upper-case; null for anything else.</summary>
    private static char? Letter(string text)
    {
        string bare = text.Replace("\\text{", "", StringComparison.Ordinal).Replace("\\textbf{", "", StringComparison.Ordinal).Trim(' ', '(', ')', '}', '.', ':');
        return bare.Length == 1 && char.IsAsciiLetter(bare[0]) ? char.ToUpperInvariant(bare[0]) : null;
    }
}
