using DeepSeekR1.Engine;
using static DeepSeekR1.Text.Tokenization.CharacterClass;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// One split pattern as a hand-written scanner. The text given is one piece of the stage before: look-ahead sees its end. All
/// scanners are stateless; alternatives are tried in the order of the pattern.
/// </summary>
internal abstract class SplitRule
{
    /// <summary>End of the match that starts at an index, or the index itself when none does.</summary>
    public abstract int Match(ReadOnlySpan<char> text, int start);

    /// <summary>The scanner of a stage; an unknown pattern is refused with its text.</summary>
    public static SplitRule Create(PreTokenizerStage stage) => (stage.Kind, stage.Pattern) switch
    {
        (PreTokenizerKind.Gpt2, _) or (PreTokenizerKind.Split, PreTokenizerPatterns.Gpt2) => new Gpt2Rule(),
        (PreTokenizerKind.IndividualDigits, _) => new NumberRule(1),
        (PreTokenizerKind.Split, PreTokenizerPatterns.NumbersByThree) => new NumberRule(3),
        (PreTokenizerKind.Split, PreTokenizerPatterns.CjkRuns) => new CjkRule(),
        (PreTokenizerKind.Split, PreTokenizerPatterns.DeepSeekV3) => new DeepSeekRule(),
        (PreTokenizerKind.Split, PreTokenizerPatterns.Qwen2) => new TiktokenRule(1),
        (PreTokenizerKind.Split, PreTokenizerPatterns.Llama3) => new TiktokenRule(3),
        _ => throw new StartupException($"The pre-tokenizer stage {stage.Kind} with the pattern '{stage.Pattern}' is not supported: only "
            + "the patterns of DeepSeek V3, Qwen 2, Llama 3 and GPT-2 are known, and an approximation would give other token ids."),
    };

    /// <summary>Where a run begins that one space may precede.</summary>
    protected static int AfterOptionalSpace(ReadOnlySpan<char> text, int start) =>
        text[start] == ' ' && start + 1 < text.Length ? start + 1 : start;

    /// <summary><c>\s+(?!\S)|\s+</c>: all the white space but its last character, unless the piece ends with it.</summary>
    protected static int MatchSpaces(ReadOnlySpan<char> text, int start)
    {
        var end = CharacterClasses.SkipAny(text, start, Space);
        return end == text.Length || end <= start + 1 ? end : end - 1;
    }

    /// <summary><c>\s*[\r\n]+|\s+(?!\S)|\s+</c>: up to the last line end of the white space, else as <see cref="MatchSpaces"/>.</summary>
    protected static int MatchLinesOrSpaces(ReadOnlySpan<char> text, int start)
    {
        var end = CharacterClasses.SkipAny(text, start, Space);
        var lastLineEnd = text[start..end].LastIndexOfAny('\r', '\n');
        return lastLineEnd >= 0 ? start + lastLineEnd + 1 : MatchSpaces(text, start);
    }

    /// <summary><c>\p{N}{1,max}</c></summary>
    protected static int MatchNumbers(ReadOnlySpan<char> text, int start, int max)
    {
        var end = start;
        for (var count = 0; count < max && end < text.Length && (CharacterClasses.At(text, end, out var units) & Number) != 0; count++)
            end += units;
        return end;
    }

    /// <summary><c>'s|'t|'re|'ve|'m|'ll|'d</c>; without case also U+017F, whose upper case is S.</summary>
    protected static int MatchContraction(ReadOnlySpan<char> text, int start, bool ignoreCase)
    {
        if (text[start] != '\'' || start + 1 == text.Length)
            return start;
        var first = Fold(text[start + 1], ignoreCase);
        if (first is 's' or 't' or 'm' or 'd')
            return start + 2;
        var second = start + 2 < text.Length ? Fold(text[start + 2], ignoreCase) : '\0';
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? start + 3 : start;
    }

    private static char Fold(char unit, bool ignoreCase) => !ignoreCase ? unit : unit == '\u017F' ? 's' : char.ToLowerInvariant(unit);
}

/// <summary><c>\p{N}{1,max}</c></summary>
internal sealed class NumberRule(int max) : SplitRule
{
    /// <inheritdoc/>
    public override int Match(ReadOnlySpan<char> text, int start) => MatchNumbers(text, start, max);
}

/// <summary><see cref="PreTokenizerPatterns.CjkRuns"/></summary>
internal sealed class CjkRule : SplitRule
{
    /// <inheritdoc/>
    public override int Match(ReadOnlySpan<char> text, int start)
    {
        while (start < text.Length && text[start] is (>= '\u4e00' and <= '\u9fa5') or (>= '\u3040' and <= '\u30ff'))
            start++;
        return start;
    }
}

/// <summary><see cref="PreTokenizerPatterns.Gpt2"/></summary>
internal sealed class Gpt2Rule : SplitRule
{
    /// <inheritdoc/>
    public override int Match(ReadOnlySpan<char> text, int start)
    {
        if (MatchContraction(text, start, ignoreCase: false) is var end && end > start)
            return end;
        var run = AfterOptionalSpace(text, start);
        var first = CharacterClasses.At(text, run, out _);
        if ((first & Letter) != 0)
            return CharacterClasses.SkipAny(text, run, Letter);
        if ((first & Number) != 0)
            return CharacterClasses.SkipAny(text, run, Number);
        return (first & Space) == 0 ? CharacterClasses.SkipNone(text, run, Space | Letter | Number) : MatchSpaces(text, start);
    }
}

/// <summary>
/// <see cref="PreTokenizerPatterns.Qwen2"/> and <see cref="PreTokenizerPatterns.Llama3"/>, which differ in how many numbers go together.
/// </summary>
internal sealed class TiktokenRule(int maxNumbers) : SplitRule
{
    /// <inheritdoc/>
    public override int Match(ReadOnlySpan<char> text, int start)
    {
        if (MatchContraction(text, start, ignoreCase: true) is var end && end > start)
            return end;
        var first = CharacterClasses.At(text, start, out var units);
        if ((first & Letter) != 0)
            return CharacterClasses.SkipAny(text, start, Letter);
        if ((first & Number) != 0)
            return MatchNumbers(text, start, maxNumbers);
        if ((first & NewLine) == 0 && CharacterClasses.SkipAny(text, start + units, Letter) is var letters && letters > start + units)
            return letters;
        var run = AfterOptionalSpace(text, start);
        end = CharacterClasses.SkipNone(text, run, Space | Letter | Number);
        return end > run ? CharacterClasses.SkipAny(text, end, NewLine) : MatchLinesOrSpaces(text, start);
    }
}

/// <summary><see cref="PreTokenizerPatterns.DeepSeekV3"/>. Matches nothing at controls, private use and unassigned characters.</summary>
internal sealed class DeepSeekRule : SplitRule
{
    /// <inheritdoc/>
    public override int Match(ReadOnlySpan<char> text, int start)
    {
        if (char.IsAscii(text[start]) && (CharacterClasses.Of(text[start]) & (Punctuation | Symbol)) != 0
            && start + 1 < text.Length && char.IsAsciiLetter(text[start + 1]))
            return SkipAsciiLetters(text, start + 1);
        var first = CharacterClasses.At(text, start, out var units);
        var word = (first & Letter) != 0 ? start : start + units;
        if ((first & (NewLine | Punctuation | Symbol)) == 0 && CharacterClasses.SkipAny(text, word, Letter | Mark) is var letters
            && letters > word)
            return letters;
        if ((first & Mark) != 0)
            return start + units; // a mark is both prefix and word; no word follows, so it is the word
        var run = AfterOptionalSpace(text, start);
        var end = CharacterClasses.SkipAny(text, run, Punctuation | Symbol);
        return end > run ? CharacterClasses.SkipAny(text, end, NewLine) : MatchLinesOrSpaces(text, start);
    }

    private static int SkipAsciiLetters(ReadOnlySpan<char> text, int start)
    {
        while (start < text.Length && char.IsAsciiLetter(text[start]))
            start++;
        return start;
    }
}
