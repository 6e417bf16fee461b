using System.Text.RegularExpressions;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>How forgiving the grader is.</summary>
public enum GraderProfile
{
    /// <summary>For rewards: the answer stands in a box after exactly one end of thought, in well-formed LaTeX.</summary>
    Strict,

    /// <summary>For evaluation: phrases, bold text and the last formula are answers too, and \frac12 is a half.</summary>
    Lenient,
}

/// <summary>
/// Is it the right answer? Extraction and exact verdict without a script engine: fractions exactly, roots and functions to 77 digits, functions
/// of variables in a finite field or at random points. Every text gets a verdict in bounded time and memory. Stateless; any thread.
/// </summary>
public static partial class MathGrader
{
    private const int MaxLength = 50_000;
    private const long MaxEffort = 200_000;

    /// <summary>The final answer in a model's output, trimmed; null when there is none.</summary>
    public static string? Extract(string response, AnswerTemplate template, GraderProfile profile) => AnswerExtractor.Extract(response, template, profile);

    /// <summary>Whether an answer (what stands in the box) equals the gold answer.</summary>
    public static bool IsEquivalent(string gold, string answer, GraderProfile profile)
    {
        gold = Prepare(gold);
        answer = Prepare(answer);
        if (gold.Length > MaxLength || answer.Length > MaxLength)
            return answer.Length > 0 && answer == gold;
        string key = Key(answer);
        if (key.Length == 0)
            return false;
        if (key == Key(gold))
            return true;
        if (Half().Match(gold) is { Success: true } half && Half().Match(answer) is { Success: true } other && half.Groups[1].Value != other.Groups[1].Value)
            return false; // the words am and pm are dropped as units are
        return SameReading(gold, answer, profile, commaGroups: true, out bool ambiguous) || ambiguous && SameReading(gold, answer, profile, commaGroups: false, out _);
    }

    /// <summary>Extraction and verdict in one.</summary>
    public static bool IsCorrect(string gold, string response, AnswerTemplate template, GraderProfile profile)
        => Extract(response, template, profile) is { } answer && IsEquivalent(gold, answer, profile);

    /// <summary>Whether a gold answer can be read as mathematics (words included), so that a verdict against it means something.</summary>
    public static bool CanRead(string gold)
    {
        gold = Prepare(gold);
        if (gold.Length is 0 or > MaxLength)
            return false;
        try
        {
            new MathParserAtoms(MathLexer.Read(gold, commaGroups: true, out _), shorthand: true).ParseAll();
            return true;
        }
        catch (MathFormatException)
        {
            return false;
        }
    }

    private static bool SameReading(string gold, string answer, GraderProfile profile, bool commaGroups, out bool ambiguous)
    {
        ambiguous = false;
        try
        {
            var goldTokens = MathLexer.Read(gold, commaGroups, out bool goldGroups);
            var answerTokens = MathLexer.Read(answer, commaGroups, out bool answerGroups);
            ambiguous = goldGroups && answerGroups;
            var goldNode = new MathParserAtoms(goldTokens, shorthand: true).ParseAll();
            var answerNode = new MathParserAtoms(answerTokens, shorthand: profile == GraderProfile.Lenient).ParseAll();
            return new MathComparer(new Effort(MaxEffort)).Same(goldNode, answerNode);
        }
        catch (Exception e) when (e is MathFormatException or NotComputableException)
        {
            return false;
        }
    }

    /// <summary>LaTeX without outer white space, full stop and option letter's bracket.</summary>
    private static string Prepare(string text)
    {
        if (text.Length > MaxLength)
            return text.Trim();
        string latex = MathCharacters.ToLatex(text).Trim();
        latex = Wrapping().Replace(latex, "$1$2$3");
        latex = latex.TrimEnd('.', ' ', '\n');
        latex = HalfDay().Replace(latex, m => $" {char.ToLowerInvariant((m.Groups[1].Value + m.Groups[2].Value)[0])}m");
        latex = latex.Replace(",...", @",\ldots ", StringComparison.Ordinal).Replace(", ...", @",\ldots ", StringComparison.Ordinal);
        latex = LeadingSign().Replace(latex, "");
        latex = SpeedUnit().Replace(latex, "");
        return OptionLetter().Match(latex) is { Success: true } option ? option.Groups[1].Value : latex;
    }

    /// <summary>The tokens as one text: what is equal here differs in formatting only. Case does not matter where there are only words and letters.</summary>
    private static string Key(string latex)
    {
        try
        {
            var tokens = MathLexer.Read(latex, commaGroups: true, out _);
            bool wordsOnly = tokens.All(t => t.Kind is MathTokenKind.Word or MathTokenKind.Letter);
            string key = string.Join(' ', tokens.Select(t => t.Text));
            return wordsOnly ? key.ToLowerInvariant() : key;
        }
        catch (MathFormatException)
        {
            return Spaces().Replace(latex, " ");
        }
    }

    [GeneratedRegex(@"^\(?([A-Za-z])[).:]?$")]
    private static partial Regex OptionLetter();

    /// <summary>Marks of Markdown and quotes around the whole answer.</summary>
    [GeneratedRegex(@"^(?:\*\*([^*]+)\*\*|""([^""]+)""|`([^`]+)`)$")]
    private static partial Regex Wrapping();

    [GeneratedRegex(@"\b([ap])\.\s?m\b\.?|(?<=\d)\s*([AaPp])\.?\s?[Mm]\.?$")]
    private static partial Regex HalfDay();

    [GeneratedRegex(@" ([ap])m\}*$")]
    private static partial Regex Half();

    [GeneratedRegex(@"^(?:=|\\approx\b)\s*(?=\S)")]
    private static partial Regex LeadingSign();

    [GeneratedRegex(@"(?<=\d)\s*(?:m|ft)/s(?:\^2|\^\{2\})?$")]
    private static partial Regex SpeedUnit();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
