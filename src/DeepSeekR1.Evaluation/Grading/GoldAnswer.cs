using System.Text.RegularExpressions;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>The gold answer of a data row, whatever the layout: GSM8K, MATH, or a plain answer column.</summary>
public static partial class GoldAnswer
{
    /// <summary>Columns that hold an answer by itself, in order of preference.</summary>
    internal static readonly string[] Columns = ["answer", "gold", "target_answer", "ground_truth"];

    /// <summary>
    /// The column answer (of GSM8K what follows the hash signs), else gold, target_answer or ground_truth, else the last box of solution; null when there is none.
    /// </summary>
    public static string? Of(TaskRow row)
    {
        if (row.FirstText(Columns) is { } answer)
            return Hashes().Match(answer) is { Success: true } marked ? marked.Groups[1].Value.Replace(",", "", StringComparison.Ordinal).Trim() : answer.Trim();
        return row.Text("solution") is { } solution ? MathGrader.Extract(solution, AnswerTemplate.Plain, GraderProfile.Strict) : null;
    }

    [GeneratedRegex(@"####\s*(\S[^\n]*)\s*$")]
    private static partial Regex Hashes();
}
