using System.Globalization;
using System.Text;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>
/// Python's case mappings: full ones, where one character may become several (U+00DF becomes SS), and the final sigma. Every resulting
/// character has the origin of the one it came from. .NET maps one to one; the tables hold what differs (Unicode SpecialCasing.txt).
/// </summary>
internal static class Casing
{
    // code=code+code..., hexadecimal: upper case that is longer than one character.
    private const string UpperTable =
        "DF=53+53;149=2BC+4E;1F0=4A+30C;390=399+308+301;3B0=3A5+308+301;587=535+552;1E96=48+331;1E97=54+308;1E98=57+30A;" +
        "1E99=59+30A;1E9A=41+2BE;1F50=3A5+313;1F52=3A5+313+300;1F54=3A5+313+301;1F56=3A5+313+342;1F80=1F08+399;1F81=1F09+399;" +
        "1F82=1F0A+399;1F83=1F0B+399;1F84=1F0C+399;1F85=1F0D+399;1F86=1F0E+399;1F87=1F0F+399;1F88=1F08+399;1F89=1F09+399;" +
        "1F8A=1F0A+399;1F8B=1F0B+399;1F8C=1F0C+399;1F8D=1F0D+399;1F8E=1F0E+399;1F8F=1F0F+399;1F90=1F28+399;1F91=1F29+399;" +
        "1F92=1F2A+399;1F93=1F2B+399;1F94=1F2C+399;1F95=1F2D+399;1F96=1F2E+399;1F97=1F2F+399;1F98=1F28+399;1F99=1F29+399;" +
        "1F9A=1F2A+399;1F9B=1F2B+399;1F9C=1F2C+399;1F9D=1F2D+399;1F9E=1F2E+399;1F9F=1F2F+399;1FA0=1F68+399;1FA1=1F69+399;" +
        "1FA2=1F6A+399;1FA3=1F6B+399;1FA4=1F6C+399;1FA5=1F6D+399;1FA6=1F6E+399;1FA7=1F6F+399;1FA8=1F68+399;1FA9=1F69+399;" +
        "1FAA=1F6A+399;1FAB=1F6B+399;1FAC=1F6C+399;1FAD=1F6D+399;1FAE=1F6E+399;1FAF=1F6F+399;1FB2=1FBA+399;1FB3=391+399;" +
        "1FB4=386+399;1FB6=391+342;1FB7=391+342+399;1FBC=391+399;1FC2=1FCA+399;1FC3=397+399;1FC4=389+399;1FC6=397+342;" +
        "1FC7=397+342+399;1FCC=397+399;1FD2=399+308+300;1FD3=399+308+301;1FD6=399+342;1FD7=399+308+342;1FE2=3A5+308+300;" +
        "1FE3=3A5+308+301;1FE4=3A1+313;1FE6=3A5+342;1FE7=3A5+308+342;1FF2=1FFA+399;1FF3=3A9+399;1FF4=38F+399;1FF6=3A9+342;" +
        "1FF7=3A9+342+399;1FFC=3A9+399;FB00=46+46;FB01=46+49;FB02=46+4C;FB03=46+46+49;FB04=46+46+4C;FB05=53+54;FB06=53+54;" +
        "FB13=544+546;FB14=544+535;FB15=544+53B;FB16=54E+546;FB17=544+53D;";

    // Title case where it is not the upper case. Georgian (10D0 to 10FF) has none and stays as it is.
    private const string TitleTable =
        "DF=53+73;1C4=1C5;1C5=1C5;1C6=1C5;1C7=1C8;1C8=1C8;1C9=1C8;1CA=1CB;1CB=1CB;1CC=1CB;1F1=1F2;1F2=1F2;1F3=1F2;587=535+582;" +
        "1F80=1F88;1F81=1F89;1F82=1F8A;1F83=1F8B;1F84=1F8C;1F85=1F8D;1F86=1F8E;1F87=1F8F;1F88=1F88;1F89=1F89;1F8A=1F8A;" +
        "1F8B=1F8B;1F8C=1F8C;1F8D=1F8D;1F8E=1F8E;1F8F=1F8F;1F90=1F98;1F91=1F99;1F92=1F9A;1F93=1F9B;1F94=1F9C;1F95=1F9D;" +
        "1F96=1F9E;1F97=1F9F;1F98=1F98;1F99=1F99;1F9A=1F9A;1F9B=1F9B;1F9C=1F9C;1F9D=1F9D;1F9E=1F9E;1F9F=1F9F;1FA0=1FA8;" +
        "1FA1=1FA9;1FA2=1FAA;1FA3=1FAB;1FA4=1FAC;1FA5=1FAD;1FA6=1FAE;1FA7=1FAF;1FA8=1FA8;1FA9=1FA9;1FAA=1FAA;1FAB=1FAB;" +
        "1FAC=1FAC;1FAD=1FAD;1FAE=1FAE;1FAF=1FAF;1FB2=1FBA+345;1FB3=1FBC;1FB4=386+345;1FB7=391+342+345;1FBC=1FBC;1FC2=1FCA+345;" +
        "1FC3=1FCC;1FC4=389+345;1FC7=397+342+345;1FCC=1FCC;1FF2=1FFA+345;1FF3=1FFC;1FF4=38F+345;1FF7=3A9+342+345;1FFC=1FFC;" +
        "FB00=46+66;FB01=46+69;FB02=46+6C;FB03=46+66+69;FB04=46+66+6C;FB05=53+74;FB06=53+74;FB13=544+576;FB14=544+565;" +
        "FB15=544+56B;FB16=54E+576;FB17=544+56D;";

    private static readonly Dictionary<int, string> UpperExceptions = Read(UpperTable);
    private static readonly Dictionary<int, string> TitleExceptions = Read(TitleTable);

    /// <summary>str.upper().</summary>
    public static StringValue Upper(Rendering run, StringValue value) => Map(run, value, UpperAt);

    /// <summary>str.lower().</summary>
    public static StringValue Lower(Rendering run, StringValue value) => Map(run, value, LowerAt);

    /// <summary>str.swapcase().</summary>
    public static StringValue Swap(Rendering run, StringValue value) =>
        Map(run, value, (text, offset) => IsUpper(text, offset) ? LowerAt(text, offset)
            : IsLower(text, offset) ? UpperAt(text, offset)
            : null);

    /// <summary>str.capitalize(): the first character in title case, the others in lower case.</summary>
    public static StringValue Capitalize(Rendering run, StringValue value) =>
        Map(run, value, (text, offset) => offset == 0 ? TitleAt(text, offset) : LowerAt(text, offset));

    /// <summary>str.title(): a word begins where a cased character follows one that is not cased.</summary>
    public static StringValue Title(Rendering run, StringValue value) =>
        Map(run, value, (text, offset) => offset > 0 && IsCased(text, Before(text, offset))
            ? LowerAt(text, offset)
            : TitleAt(text, offset));

    /// <summary>The filter title: words begin behind blanks, hyphens and opening brackets; apostrophes do not count.</summary>
    public static StringValue TitleWords(Rendering run, StringValue value) =>
        Map(run, value, (text, offset) => offset == 0 || IsWordBreak(text[offset - 1]) || IsWordBreak(text[offset])
            ? UpperAt(text, offset)
            : LowerAt(text, offset));

    /// <summary>str.isupper() or str.islower(): some cased characters and none of the other case.</summary>
    public static bool IsAll(StringValue value, bool upper)
    {
        var found = false;
        for (var offset = 0; offset < value.Text.Length; offset += StringValue.WidthAt(value.Text, offset))
        {
            if (!IsCased(value.Text, offset))
                continue;
            if (!(upper ? IsUpper(value.Text, offset) : IsLower(value.Text, offset)))
                return false;
            found = true;
        }
        return found;
    }

    private static StringValue Map(Rendering run, StringValue value, Func<string, int, string?> map)
    {
        var text = value.Text;
        var builder = new StringValueBuilder(run);
        for (var offset = 0; offset < text.Length;)
        {
            var width = StringValue.WidthAt(text, offset);
            builder.Append(map(text, offset) ?? text.AsSpan(offset, width), value.IsRequestAt(offset));
            offset += width;
        }
        return builder.Build().AsMarkup(value.IsMarkup);
    }

    private static string? UpperAt(string text, int offset) =>
        UpperExceptions.GetValueOrDefault(StringValue.CodePointAt(text, offset)) ?? Simple(text, offset, Rune.ToUpperInvariant);

    private static string? TitleAt(string text, int offset)
    {
        var code = StringValue.CodePointAt(text, offset);
        return TitleExceptions.TryGetValue(code, out var title) ? title : code is >= 0x10d0 and <= 0x10ff ? null : UpperAt(text, offset);
    }

    private static string? LowerAt(string text, int offset) => text[offset] switch
    {
        '\u0130' => "i\u0307",
        '\u03a3' => IsFinalSigma(text, offset) ? "\u03c2" : "\u03c3",
        _ => Simple(text, offset, Rune.ToLowerInvariant),
    };

    private static string? Simple(string text, int offset, Func<Rune, Rune> map) =>
        Rune.TryCreate(StringValue.CodePointAt(text, offset), out var rune) && map(rune) is var mapped && mapped != rune
            ? mapped.ToString()
            : null;

    private static bool IsFinalSigma(string text, int offset)
    {
        var before = offset;
        do
            before = before > 0 ? Before(text, before) : -1;
        while (before >= 0 && IsCaseIgnorable(text, before));
        if (before < 0 || !IsCased(text, before))
            return false;
        var after = offset + 1;
        while (after < text.Length && IsCaseIgnorable(text, after))
            after += StringValue.WidthAt(text, after);
        return after >= text.Length || !IsCased(text, after);
    }

    private static int Before(string text, int offset) =>
        offset >= 2 && char.IsLowSurrogate(text[offset - 1]) && char.IsHighSurrogate(text[offset - 2]) ? offset - 2 : offset - 1;

    private static bool IsUpper(string text, int offset) => StringValue.CategoryAt(text, offset) == UnicodeCategory.UppercaseLetter;

    private static bool IsLower(string text, int offset) =>
        StringValue.CategoryAt(text, offset) == UnicodeCategory.LowercaseLetter || text[offset] is '\u00aa' or '\u00ba';

    private static bool IsCased(string text, int offset) => IsUpper(text, offset) || IsLower(text, offset)
        || StringValue.CategoryAt(text, offset) == UnicodeCategory.TitlecaseLetter;

    private static bool IsCaseIgnorable(string text, int offset) => text[offset] is '\'' or '.' or ':' or '^' or '`' or '\u00a8' or '\u00ad'
        or '\u00b7' or '\u2018' or '\u2019' or '\u2024' or '\u2027'
        || StringValue.CategoryAt(text, offset) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
            or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;

    private static bool IsWordBreak(char character) => character is '-' or '(' or '{' or '[' or '<' || WhiteSpace.IsSpace(character);

    private static Dictionary<int, string> Read(string table) => table.Split(';', StringSplitOptions.RemoveEmptyEntries)
        .Select(entry => entry.Split('='))
        .ToDictionary(
            entry => int.Parse(entry[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture),
            entry => string.Concat(entry[1].Split('+').Select(code =>
                char.ConvertFromUtf32(int.Parse(code, NumberStyles.HexNumber, CultureInfo.InvariantCulture)))));
}
