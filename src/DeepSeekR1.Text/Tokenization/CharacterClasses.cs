using System.Globalization;
using System.Text;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>The character classes that split patterns speak of, as flags.</summary>
[Flags]
internal enum CharacterClass : byte
{
    None = 0,

    /// <summary>\p{L}</summary>
    Letter = 1,

    /// <summary>\p{M}</summary>
    Mark = 2,

    /// <summary>\p{N}: decimal digits, letter numbers (U+2167) and other numbers (U+00B2).</summary>
    Number = 4,

    /// <summary>\p{P}</summary>
    Punctuation = 8,

    /// <summary>\p{S}</summary>
    Symbol = 16,

    /// <summary>\s: the property White_Space.</summary>
    Space = 32,

    /// <summary>[\r\n]</summary>
    NewLine = 64,
}

/// <summary>
/// Classes of whole code points: .NET's regular expressions see UTF-16 units and take the halves of U+1D400 for no letters.
/// The tables are .NET's; those of .NET 10 are Unicode 16.0, as the reference's. Immutable.
/// </summary>
internal static class CharacterClasses
{
    private static readonly CharacterClass[] Bmp = BuildBmp();

    /// <summary>The class of the code point at an index; a lone surrogate has none. <paramref name="units"/> is its size.</summary>
    public static CharacterClass At(ReadOnlySpan<char> text, int index, out int units)
    {
        var unit = text[index];
        units = 1;
        if (!char.IsHighSurrogate(unit) || index + 1 == text.Length || !char.IsLowSurrogate(text[index + 1]))
            return Bmp[unit];
        units = 2;
        return Of(CharUnicodeInfo.GetUnicodeCategory(char.ConvertToUtf32(unit, text[index + 1])));
    }

    /// <summary>The class of a character of the basic plane; none for a surrogate.</summary>
    public static CharacterClass Of(char unit) => Bmp[unit];

    /// <summary>First index at or after <paramref name="index"/> whose code point has none of the classes wanted.</summary>
    public static int SkipAny(ReadOnlySpan<char> text, int index, CharacterClass wanted)
    {
        while (index < text.Length && (At(text, index, out var units) & wanted) != 0)
            index += units;
        return index;
    }

    /// <summary>First index at or after <paramref name="index"/> whose code point has one of the classes refused.</summary>
    public static int SkipNone(ReadOnlySpan<char> text, int index, CharacterClass refused)
    {
        while (index < text.Length && (At(text, index, out var units) & refused) == 0)
            index += units;
        return index;
    }

    /// <summary>
    /// \w of the reference's added-token search: Alphabetic, \p{M}, \p{Nd}, \p{Pc}, Join_Control. Alphabetic beyond letters, letter
    /// numbers and marks is just the circled and squared letters.
    /// </summary>
    public static bool IsWord(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        <= UnicodeCategory.OtherLetter or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark
            or UnicodeCategory.EnclosingMark or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber
            or UnicodeCategory.ConnectorPunctuation => true,
        UnicodeCategory.OtherSymbol => rune.Value is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149)
            or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
        _ => rune.Value is 0x200C or 0x200D,
    };

    private static CharacterClass[] BuildBmp()
    {
        var classes = new CharacterClass[0x10000];
        for (var unit = 0; unit < classes.Length; unit++)
        {
            classes[unit] = Of(char.GetUnicodeCategory((char)unit));
            if (char.IsWhiteSpace((char)unit))
                classes[unit] |= CharacterClass.Space;
        }
        classes['\r'] |= CharacterClass.NewLine;
        classes['\n'] |= CharacterClass.NewLine;
        return classes;
    }

    private static CharacterClass Of(UnicodeCategory category) => category switch
    {
        <= UnicodeCategory.OtherLetter => CharacterClass.Letter,
        <= UnicodeCategory.EnclosingMark => CharacterClass.Mark,
        <= UnicodeCategory.OtherNumber => CharacterClass.Number,
        >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation => CharacterClass.Punctuation,
        >= UnicodeCategory.MathSymbol and <= UnicodeCategory.OtherSymbol => CharacterClass.Symbol,
        _ => CharacterClass.None,
    };
}
