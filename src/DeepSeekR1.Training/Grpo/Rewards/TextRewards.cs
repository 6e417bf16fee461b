using System.Text.RegularExpressions;
using DeepSeekR1.Evaluation.Grading;
using DeepSeekR1.Text;

namespace DeepSeekR1.Training.Grpo.Rewards;

/// <summary>Rewards for the form of a completion. A thought that the prompt has opened counts as opened by the model.</summary>
internal static partial class TextRewards
{
    private static readonly string[] Tags = [Dialect.ThinkOpen, Dialect.ThinkClose, "<answer>", "</answer>"];

    /// <summary>1 if the whole completion is the template's form: of R1-Zero thoughts and answer in their tags, of R1 thoughts and a text with a box.</summary>
    internal static RewardFunction Format(RewardSettings settings)
        => settings.Template == AnswerTemplate.Zero ? Each((text, _) => ZeroForm().IsMatch(text) && Tags.All(tag => Count(text, tag) == 1) ? 1 : 0) : ThinkFormat(settings);

    /// <summary>1 if the completion begins with its only thought, closes it once and an answer of some text follows; with TRL the answer may be empty.</summary>
    internal static RewardFunction ThinkFormat(RewardSettings settings) => Each((text, completion) =>
    {
        bool once = Count(text, Dialect.ThinkOpen) == 1 && Count(text, Dialect.ThinkClose) == 1 && text.StartsWith(Dialect.ThinkOpen, StringComparison.Ordinal);
        return once && !completion.IsTruncated
            && !string.IsNullOrWhiteSpace(text[(text.IndexOf(Dialect.ThinkClose, StringComparison.Ordinal) + Dialect.ThinkClose.Length)..]) ? 1 : 0;
    });

    /// <summary>A quarter for each of R1-Zero's four tags that stands there exactly once with its line break.</summary>
    internal static RewardFunction TagCount(RewardSettings settings) => Each(
        (text, _) => 0.25 * ((string[])[Dialect.ThinkOpen + "\n", "\n" + Dialect.ThinkClose + "\n", "\n<answer>\n", "\n</answer>"]).Count(tag => Count(text, tag) == 1 && Count(text, tag.Trim()) == 1));

    /// <summary>min(1, marks of steps / 3). Rewards keywords, so a model learns to write keywords: use it only to show that.</summary>
    internal static RewardFunction ReasoningSteps(RewardSettings settings) => Each((text, _) => Math.Min(1, StepMarks().Count(text) / 3.0));

    /// <summary>
    /// Share of the thought's words that are of the wanted language (R1); every Chinese character is a word. 0 without a thought, null where a thought has no
    /// words, only figures.
    /// </summary>
    internal static RewardFunction LanguageConsistency(RewardSettings settings)
    {
        if (settings.Language is not ("en" or "zh"))
            throw new ArgumentException($"language is '{settings.Language}'; language_consistency knows en and zh.");
        return group => [.. group.Completions.Select(c => Consistency(Whole(c, group), settings.Language))];
    }

    private static double? Consistency(string text, string language)
    {
        int open = text.IndexOf(Dialect.ThinkOpen, StringComparison.Ordinal), close = text.IndexOf(Dialect.ThinkClose, StringComparison.Ordinal);
        if (open < 0 || close < open || string.IsNullOrWhiteSpace(text[(open + Dialect.ThinkOpen.Length)..close]))
            return 0;
        string thought = Commands().Replace(text[(open + Dialect.ThinkOpen.Length)..close], " ");
        int chinese = Han().Count(thought), latin = LatinWords().Count(thought), words = chinese + OtherWords().Count(Han().Replace(thought, " "));
        return words == 0 ? null : (language == "zh" ? chinese : latin) / (double)words;
    }

    private static RewardFunction Each(Func<string, Completion, double> score) => group => [.. group.Completions.Select(c => (double?)score(Whole(c, group), c))];

    /// <summary>The completion with the opening tag that the prompt ends with.</summary>
    private static string Whole(Completion completion, RewardGroup group) => group.ThinkPrefilled ? Dialect.R1.Opening + completion.Text.TrimStart('\n') : completion.Text;

    private static int Count(string text, string part)
    {
        int count = 0;
        for (int at = text.IndexOf(part, StringComparison.Ordinal); at >= 0; at = text.IndexOf(part, at + part.Length, StringComparison.Ordinal))
            count++;
        return count;
    }

    [GeneratedRegex(@"\A" + Dialect.ThinkOpen + @"\n.*?\n" + Dialect.ThinkClose + @"\n<answer>\n.*?\n</answer>\z", RegexOptions.Singleline)]
    private static partial Regex ZeroForm();

    [GeneratedRegex(@"(Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,)", RegexOptions.Multiline)]
    private static partial Regex StepMarks();

    [GeneratedRegex(@"\\[A-Za-z]+")]
    private static partial Regex Commands();

    [GeneratedRegex(@"[\u3400-\u9fff]")]
    private static partial Regex Han();

    [GeneratedRegex(@"(?<!\p{L})[A-Za-z]+(?:'[A-Za-z]+)?(?!\p{L})")]
    private static partial Regex LatinWords();

    [GeneratedRegex(@"\p{L}+(?:'\p{L}+)?")]
    private static partial Regex OtherWords();
}
