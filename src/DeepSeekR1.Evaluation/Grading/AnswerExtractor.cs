using System.Text.RegularExpressions;
using DeepSeekR1.Text;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>Where a model was asked to put its answer.</summary>
public enum AnswerTemplate
{
    /// <summary>R1: thoughts, their end tag, then an answer with a box.</summary>
    R1,

    /// <summary>No thoughts: a box anywhere.</summary>
    Plain,

    /// <summary>R1-Zero: after the thoughts, between answer tags.</summary>
    Zero,

    /// <summary>GSM8K: after four hash signs.</summary>
    Gsm8k,
}

/// <summary>Finds the final answer in a model's output. Rules: the README of goldens/grading.</summary>
internal static partial class AnswerExtractor
{
    private const int MaxNesting = 20;
    private const string OpenThink = Dialect.ThinkOpen;
    private const string CloseThink = Dialect.ThinkClose;

    internal static string? Extract(string response, AnswerTemplate template, GraderProfile profile)
    {
        bool lenient = profile == GraderProfile.Lenient;
        string? text = template switch
        {
            AnswerTemplate.Plain => response,
            AnswerTemplate.Gsm8k => response[(response.LastIndexOf(CloseThink, StringComparison.Ordinal) is var end and >= 0 ? end + CloseThink.Length : 0)..],
            _ => lenient ? AfterThoughtsLeniently(response) : AfterThoughts(response),
        };
        string? answer = text is null ? null : template switch
        {
            AnswerTemplate.Zero => Tagged(text, lenient),
            AnswerTemplate.Gsm8k => Hashes(text, lenient),
            _ => Boxed(text, out bool found) is var box && (found || !lenient) ? box : Phrase(text),
        };
        return string.IsNullOrWhiteSpace(answer) ? null : answer.Trim();
    }

    /// <summary>The text after the only end of thought; null unless there is exactly one and no thought is opened behind it.</summary>
    internal static string? AfterThoughts(string response)
    {
        int close = response.IndexOf(CloseThink, StringComparison.Ordinal);
        if (close < 0 || response.IndexOf(CloseThink, close + 1, StringComparison.Ordinal) >= 0)
            return null;
        int open = response.IndexOf(OpenThink, StringComparison.Ordinal);
        bool secondOpen = open >= 0 && response.IndexOf(OpenThink, open + 1, StringComparison.Ordinal) >= 0;
        return open > close || secondOpen ? null : response[(close + CloseThink.Length)..];
    }

    private static string? AfterThoughtsLeniently(string response)
    {
        int close = response.LastIndexOf(CloseThink, StringComparison.Ordinal);
        if (close >= 0)
            return response[(close + CloseThink.Length)..];
        return response.Contains(OpenThink, StringComparison.Ordinal) ? null : response;
    }

    private static string? Tagged(string text, bool lenient)
    {
        const string open = "<answer>", close = "</answer>";
        int end = text.LastIndexOf(close, StringComparison.Ordinal);
        int start = end < 0 ? -1 : text.LastIndexOf(open, end, StringComparison.Ordinal);
        if (start < 0)
            return lenient ? Boxed(text, out _) : null;
        string inner = text[(start + open.Length)..end];
        return Boxed(inner, out bool found) is var box && found ? box : inner;
    }

    private static string? Hashes(string text, bool lenient)
    {
        if (Gsm8kAnswer().Matches(text) is { Count: > 0 } marked)
            return marked[^1].Groups[1].Value.Replace(",", "", StringComparison.Ordinal).Replace("$", "", StringComparison.Ordinal).TrimEnd('.');
        if (!lenient)
            return null;
        return Boxed(text, out bool found) is var box && found ? box : LastNumber(text);
    }

    /// <summary>The last number of a text without thousands separators; what GSM8K falls back to.</summary>
    private static string? LastNumber(string text)
        => AnyNumber().Matches(text) is { Count: > 0 } numbers ? numbers[^1].Value.Replace(",", "", StringComparison.Ordinal) : null;

    /// <summary>Content of the last closed box, joined by commas with the boxes that only commas, "and", "or" or "name =" divide from it.</summary>
    private static string? Boxed(string text, out bool found, int depth = 0)
    {
        var boxes = depth < MaxNesting ? Boxes(text, depth) : [];
        found = boxes.Count > 0;
        if (!found)
            return null;
        int first = boxes.Count - 1;
        while (first > 0 && Joint().IsMatch(text[boxes[first - 1].End..boxes[first].Start]))
            first--;
        return string.Join(",", boxes[first..].Select(b => b.Content.Trim()));
    }

    /// <summary>All outermost closed boxes; of boxes in a box what they hold.</summary>
    private static List<(int Start, int End, string Content)> Boxes(string text, int depth)
    {
        var boxes = new List<(int, int, string)>();
        var match = BoxCommand().Match(text);
        int[] closing = match.Success ? ClosingBraces(text) : [];
        while (match.Success)
        {
            int open = match.Index + match.Length - 1, next = open + 1;
            if (closing[open] is var close and > 0)
            {
                boxes.Add((match.Index, close + 1, Boxed(text[next..close], out bool found, depth + 1) is var inner && found ? inner! : text[next..close]));
                next = close + 1;
            }

            match = BoxCommand().Match(text, next);
        }

        return boxes;
    }

    /// <summary>For the index of each brace that opens the index of the one that closes it, else 0. Escaped braces do not count. One pass, whatever is nested.</summary>
    private static int[] ClosingBraces(string text)
    {
        var closing = new int[text.Length];
        var open = new Stack<int>();
        for (int i = 0; i < text.Length; i++)
            if (text[i] == '\\')
                i++;
            else if (text[i] == '{')
                open.Push(i);
            else if (text[i] == '}' && open.TryPop(out int start))
                closing[start] = i;
        return closing;
    }

    /// <summary>What the lenient profile also takes: \boxed 42, "final answer is", "answer is", bold text, the last formula.</summary>
    private static string? Phrase(string text)
    {
        if (BareBox().Matches(text) is { Count: > 0 } bare)
            return bare[^1].Groups[1].Value;
        foreach (var pattern in (ReadOnlySpan<Regex>)[FinalAnswer(), AnswerIs()])
            if (pattern.Matches(text) is { Count: > 0 } phrases)
                return Clause(text[(phrases[^1].Index + phrases[^1].Length)..]);
        if (Bold().Matches(text) is { Count: > 0 } bold)
            return bold[^1].Groups[1].Value.Trim().TrimEnd('.', ':');
        if (Formula().Matches(text) is { Count: > 0 } formulas)
            return LastMember(formulas[^1].Groups.Values.Skip(1).First(g => g.Success).Value);
        return null;
    }

    /// <summary>The formula at the beginning, or the rest of the sentence.</summary>
    private static string? Clause(string text)
    {
        text = text.TrimStart(' ', ':', '*', '\n');
        if (Formula().Match(text) is { Success: true, Index: 0 } formula)
            return LastMember(formula.Groups.Values.Skip(1).First(g => g.Success).Value);
        var end = SentenceEnd().Match(text);
        return (end.Success ? text[..end.Index] : text).Trim().Trim('*').TrimEnd('.');
    }

    private static string LastMember(string formula) => formula[(formula.LastIndexOf('=') + 1)..];

    [GeneratedRegex(@"####\s*(-?\$?[0-9.,]+)")]
    private static partial Regex Gsm8kAnswer();

    [GeneratedRegex(@"-?\d[\d,]*(?:\.\d+)?")]
    private static partial Regex AnyNumber();

    [GeneratedRegex(@"\\(?:boxed|fbox)\s*\{")]
    private static partial Regex BoxCommand();

    [GeneratedRegex(@"^(?:[\s,;$]|\\[,;()]|\\quad|\\text\{\s*(?:and|or)\s*\}|\band\b|\bor\b|[A-Za-z](?:_\{?\w\}?)?\s*=)*$")]
    private static partial Regex Joint();

    [GeneratedRegex(@"\\boxed\s+([^\s{}$,]+?)(?=[\s$,]|\.?$|\.\s)")]
    private static partial Regex BareBox();

    [GeneratedRegex(@"final answer\**\s*(?:is|:)", RegexOptions.IgnoreCase)]
    private static partial Regex FinalAnswer();

    [GeneratedRegex(@"answer\**\s*(?:is|:)", RegexOptions.IgnoreCase)]
    private static partial Regex AnswerIs();

    [GeneratedRegex(@"\*\*([^*\n]{1,200})\*\*")]
    private static partial Regex Bold();

    [GeneratedRegex(@"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$|\\\(((?:(?!\\[()]).){1,2000})\\\)|(?<!\\)\\\[((?:(?!\\\]|(?<!\\)\\\[)[\s\S]){1,2000})\\\]")]
    private static partial Regex Formula();

    [GeneratedRegex(@"\.(?:\s|$)|\n|[!?;]")]
    private static partial Regex SentenceEnd();
}
