using System.Globalization;
using System.Text;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>
/// Escapes of string literals, as Python's unicode-escape codec reads them. <c>\N{...}</c> knows the names of punctuation and
/// common symbols only; .NET has no table of all names.
/// </summary>
internal static class EscapeSequences
{
    private const string SymbolNames =
        "SPACE=20;EXCLAMATION MARK=21;QUOTATION MARK=22;NUMBER SIGN=23;DOLLAR SIGN=24;PERCENT SIGN=25;AMPERSAND=26;" +
        "APOSTROPHE=27;LEFT PARENTHESIS=28;RIGHT PARENTHESIS=29;ASTERISK=2A;PLUS SIGN=2B;COMMA=2C;HYPHEN-MINUS=2D;FULL STOP=2E;" +
        "SOLIDUS=2F;DIGIT ZERO=30;DIGIT ONE=31;DIGIT TWO=32;DIGIT THREE=33;DIGIT FOUR=34;DIGIT FIVE=35;DIGIT SIX=36;" +
        "DIGIT SEVEN=37;DIGIT EIGHT=38;DIGIT NINE=39;COLON=3A;SEMICOLON=3B;LESS-THAN SIGN=3C;EQUALS SIGN=3D;" +
        "GREATER-THAN SIGN=3E;QUESTION MARK=3F;COMMERCIAL AT=40;LEFT SQUARE BRACKET=5B;REVERSE SOLIDUS=5C;" +
        "RIGHT SQUARE BRACKET=5D;CIRCUMFLEX ACCENT=5E;LOW LINE=5F;GRAVE ACCENT=60;LEFT CURLY BRACKET=7B;VERTICAL LINE=7C;" +
        "RIGHT CURLY BRACKET=7D;TILDE=7E;NO-BREAK SPACE=A0;INVERTED EXCLAMATION MARK=A1;CENT SIGN=A2;POUND SIGN=A3;" +
        "CURRENCY SIGN=A4;YEN SIGN=A5;BROKEN BAR=A6;SECTION SIGN=A7;DIAERESIS=A8;COPYRIGHT SIGN=A9;" +
        "FEMININE ORDINAL INDICATOR=AA;LEFT-POINTING DOUBLE ANGLE QUOTATION MARK=AB;NOT SIGN=AC;SOFT HYPHEN=AD;" +
        "REGISTERED SIGN=AE;MACRON=AF;DEGREE SIGN=B0;PLUS-MINUS SIGN=B1;SUPERSCRIPT TWO=B2;SUPERSCRIPT THREE=B3;" +
        "ACUTE ACCENT=B4;MICRO SIGN=B5;PILCROW SIGN=B6;MIDDLE DOT=B7;CEDILLA=B8;SUPERSCRIPT ONE=B9;" +
        "MASCULINE ORDINAL INDICATOR=BA;RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK=BB;VULGAR FRACTION ONE QUARTER=BC;" +
        "VULGAR FRACTION ONE HALF=BD;VULGAR FRACTION THREE QUARTERS=BE;INVERTED QUESTION MARK=BF;MULTIPLICATION SIGN=D7;" +
        "DIVISION SIGN=F7;HYPHEN=2010;NON-BREAKING HYPHEN=2011;FIGURE DASH=2012;EN DASH=2013;EM DASH=2014;HORIZONTAL BAR=2015;" +
        "DOUBLE VERTICAL LINE=2016;DOUBLE LOW LINE=2017;LEFT SINGLE QUOTATION MARK=2018;RIGHT SINGLE QUOTATION MARK=2019;" +
        "SINGLE LOW-9 QUOTATION MARK=201A;SINGLE HIGH-REVERSED-9 QUOTATION MARK=201B;LEFT DOUBLE QUOTATION MARK=201C;" +
        "RIGHT DOUBLE QUOTATION MARK=201D;DOUBLE LOW-9 QUOTATION MARK=201E;DOUBLE HIGH-REVERSED-9 QUOTATION MARK=201F;" +
        "DAGGER=2020;DOUBLE DAGGER=2021;BULLET=2022;TRIANGULAR BULLET=2023;ONE DOT LEADER=2024;TWO DOT LEADER=2025;" +
        "HORIZONTAL ELLIPSIS=2026;HYPHENATION POINT=2027;PER MILLE SIGN=2030;PER TEN THOUSAND SIGN=2031;PRIME=2032;" +
        "DOUBLE PRIME=2033;TRIPLE PRIME=2034;REVERSED PRIME=2035;REVERSED DOUBLE PRIME=2036;REVERSED TRIPLE PRIME=2037;" +
        "CARET=2038;SINGLE LEFT-POINTING ANGLE QUOTATION MARK=2039;SINGLE RIGHT-POINTING ANGLE QUOTATION MARK=203A;" +
        "REFERENCE MARK=203B;DOUBLE EXCLAMATION MARK=203C;INTERROBANG=203D;OVERLINE=203E;EURO SIGN=20AC;TRADE MARK SIGN=2122;" +
        "LEFTWARDS ARROW=2190;UPWARDS ARROW=2191;RIGHTWARDS ARROW=2192;DOWNWARDS ARROW=2193;BOX DRAWINGS LIGHT HORIZONTAL=2500;" +
        "BOX DRAWINGS LIGHT VERTICAL=2502;UPPER HALF BLOCK=2580;LOWER ONE EIGHTH BLOCK=2581;FULL BLOCK=2588;BLACK SQUARE=25A0;" +
        "BLACK CIRCLE=25CF;CHECK MARK=2713;HEAVY CHECK MARK=2714;BALLOT X=2717;IDEOGRAPHIC SPACE=3000;" +
        "ZERO WIDTH NO-BREAK SPACE=FEFF;REPLACEMENT CHARACTER=FFFD;FULLWIDTH VERTICAL LINE=FF5C;ZERO WIDTH SPACE=200B;" +
        "ZERO WIDTH NON-JOINER=200C;ZERO WIDTH JOINER=200D;LINE SEPARATOR=2028;PARAGRAPH SEPARATOR=2029;" +
        "NARROW NO-BREAK SPACE=202F;NOT EQUAL TO=2260;LESS-THAN OR EQUAL TO=2264;GREATER-THAN OR EQUAL TO=2265;";

    private static readonly Dictionary<string, char> Symbols = SymbolNames.Split(';', StringSplitOptions.RemoveEmptyEntries)
        .Select(entry => entry.Split('='))
        .ToDictionary(entry => entry[0], entry => (char)int.Parse(entry[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    /// <summary>The text of a literal without its quotes. Unknown escapes stay as they are.</summary>
    /// <exception cref="TemplateException">A TemplateSyntaxError for an incomplete escape.</exception>
    public static string Unescape(string literal)
    {
        if (!literal.Contains('\\'))
            return literal;
        var text = new StringBuilder(literal.Length);
        for (var position = 0; position < literal.Length;)
            if (literal[position] == '\\')
                position = ReadEscape(literal, position + 1, text);
            else
                text.Append(literal[position++]);
        return text.ToString();
    }

    // Position behind the escape whose letter is at the given position.
    private static int ReadEscape(string literal, int position, StringBuilder text)
    {
        var letter = literal[position];
        switch (letter)
        {
            case '\n':
                return position + 1;
            case 'x':
                return ReadHex(literal, position + 1, 2, text);
            case 'u':
                return ReadHex(literal, position + 1, 4, text);
            case 'U':
                return ReadHex(literal, position + 1, 8, text);
            case 'N':
                return ReadNamed(literal, position + 1, text);
            case >= '0' and <= '7':
                return ReadOctal(literal, position, text);
            default:
                _ = "abfnrtv\\'\"".IndexOf(letter) is var known and >= 0
                    ? text.Append("\a\b\f\n\r\t\v\\'\""[known])
                    : text.Append('\\').Append(letter);
                return position + 1;
        }
    }

    private static int ReadHex(string literal, int start, int count, StringBuilder text)
    {
        if (start + count > literal.Length
            || !int.TryParse(literal.AsSpan(start, count), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code))
            throw Errors.Syntax("truncated escape");
        if (code is < 0 or > 0x10ffff)
            throw Errors.Syntax("illegal Unicode character");
        _ = code < 0x10000 ? text.Append((char)code) : text.Append(char.ConvertFromUtf32(code));
        return start + count;
    }

    private static int ReadOctal(string literal, int position, StringBuilder text)
    {
        var code = 0;
        for (var limit = position + 3; position < limit && position < literal.Length && literal[position] is >= '0' and <= '7'; position++)
            code = (code * 8) + (literal[position] - '0');
        text.Append((char)code);
        return position;
    }

    private static int ReadNamed(string literal, int start, StringBuilder text)
    {
        var end = literal.IndexOf('}', start);
        if (start >= literal.Length || literal[start] != '{' || end < 0)
            throw Errors.Syntax("malformed \\\\N character escape");
        if (!Symbols.TryGetValue(literal[(start + 1)..end].ToUpperInvariant(), out var symbol))
            throw Errors.Syntax("unknown Unicode character name");
        text.Append(symbol);
        return end + 1;
    }
}
