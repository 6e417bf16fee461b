using System.Text.Json;
using System.Text.RegularExpressions;
using DeepSeekR1.Evaluation.Grading;

namespace DeepSeekR1.Training.Grpo.Rewards;

/// <summary>
/// Rewards for programs: the last python block after the thoughts, run on the column tests ([{"input", "output", "subtask"?, "points"?}]). Programs run only through
/// the runner of the settings; without one these functions cannot be made.
/// </summary>
internal static partial class CodeRewards
{
    /// <summary>Share of the tests passed.</summary>
    internal static RewardFunction Code(RewardSettings settings) => Scored(settings, "code", (passed, _) => Share(passed));

    /// <summary>1 if more than 99 % of the tests pass.</summary>
    internal static RewardFunction BinaryCode(RewardSettings settings) => Scored(settings, "binary_code", (passed, _) => Share(passed) > 0.99 ? 1 : 0);

    /// <summary>Points of the subtasks of which every test passes, over all points.</summary>
    internal static RewardFunction Subtasks(RewardSettings settings) => Scored(settings, "ioi_code", (passed, tests) =>
    {
        double won = 0, all = 0;
        foreach (var subtask in tests.Select((test, i) => (Test: test, Passed: passed[i])).GroupBy(t => t.Test.TryGetProperty("subtask", out var name) ? name.ToString() : ""))
        {
            double points = subtask.First().Test.TryGetProperty("points", out var value) ? value.GetDouble() : 1;
            all += points;
            won += subtask.All(t => t.Passed) ? points : 0;
        }

        return all > 0 ? won / all : 0;
    });

    /// <summary>All or nothing, share, or all + 0.1 x share, as the settings say.</summary>
    internal static RewardFunction Codeforces(RewardSettings settings) => settings.CodeScoring switch
    {
        "pass_fail" => Scored(settings, "cf_code", (passed, _) => passed.All(p => p) ? 1 : 0),
        "partial" => Scored(settings, "cf_code", (passed, _) => Share(passed)),
        "weighted_sum" => Scored(settings, "cf_code", (passed, _) => (passed.All(p => p) ? 1 : 0) + 0.1 * Share(passed)),
        _ => throw new ArgumentException($"code_scoring is '{settings.CodeScoring}'; it must be pass_fail, partial or weighted_sum."),
    };

    /// <summary>1 if the answer (of R1-Zero inside its tags) has a fenced block of the row's language.</summary>
    internal static RewardFunction CodeFormat(RewardSettings settings) => group =>
    {
        string language = group.Row.Text("language") ?? "python";
        return [.. group.Completions.Select(c => (double?)(AnswerRewards.AnswerText(c, settings) is { } text && Inside(text, settings) is { } answer
            && Blocks().Matches(answer).Any(b => b.Groups[1].Value == language) ? 1 : 0))];
    };

    private static RewardFunction Scored(RewardSettings settings, string name, Func<bool[], JsonElement[], double> score)
    {
        var run = settings.RunCode ?? throw new ArgumentException($"The reward {name} runs programs that a model wrote; it needs a code runner, and there is none.");
        return group =>
        {
            if (!group.Row.Columns.TryGetValue("tests", out var list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0)
                return new double?[group.Completions.Count];
            JsonElement[] tests = [.. list.EnumerateArray()];
            return [.. group.Completions.Select(c => (double?)(Program(c, settings) is not { } program ? 0 : score([.. tests.Select(t => Passes(run, program, t))], tests)))];
        };
    }

    private static string? Program(Completion completion, RewardSettings settings)
        => AnswerRewards.AnswerText(completion, settings) is { } text
            && Blocks().Matches(text).LastOrDefault(b => b.Groups[1].Value is "python" or "py") is { } block ? block.Groups[2].Value : null;

    /// <summary>Line by line, white space at the ends apart; another number of lines fails (open-r1 compares only as many as both have).</summary>
    private static bool Passes(CodeRunner run, string program, JsonElement test)
    {
        if (run(program, test.GetProperty("input").GetString() ?? "") is not { } output)
            return false;
        return Lines(output).SequenceEqual(Lines(test.GetProperty("output").GetString() ?? ""));
    }

    private static IEnumerable<string> Lines(string text) => text.Trim().Split('\n').Select(line => line.Trim());

    private static double Share(bool[] passed) => passed.Count(p => p) / (double)passed.Length;

    private static string? Inside(string text, RewardSettings settings)
    {
        if (settings.Template != AnswerTemplate.Zero)
            return text;
        int open = text.IndexOf("<answer>", StringComparison.Ordinal), close = text.LastIndexOf("</answer>", StringComparison.Ordinal);
        return open >= 0 && close > open ? text[open..close] : null;
    }

    [GeneratedRegex(@"```(\w+)\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Blocks();
}
