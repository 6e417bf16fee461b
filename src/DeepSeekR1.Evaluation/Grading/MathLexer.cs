using System.Text.RegularExpressions;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>What was written is not mathematics that the grader reads: it equals only its identical text.</summary>
internal sealed class MathFormatException(string what) : Exception($"Not readable: {what}.");

/// <summary>Kinds of tokens.</summary>
internal enum MathTokenKind
{
    Number,
    Letter,
    Word,
    Command,
    Symbol,
}

/// <summary>One token. Words are lower-case; commands come without their backslash; Position is its index in the LaTeX text.</summary>
internal readonly record struct MathToken(MathTokenKind Kind, string Text, int Position, bool SpaceBefore);

/// <summary>
/// LaTeX or plain text to tokens. Formatting, currency signs and dollar signs disappear here; words are told from products of variables; thousands
/// are read as one number, inside brackets only when the comma is written in braces.
/// </summary>
internal sealed partial class MathLexer
{
    private const int MaxTokens = 20_000;
    private const int MaxDigits = 12_000;
    private const int MaxTextDepth = 50;

    private static readonly HashSet<string> Ignored =
    [
        "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "middle", "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits",
        "quad", "qquad", "hspace", "vspace", "enspace", "thinspace", "phantom", "rm", "bf", "it", "normalsize", "large", "Large", "$", "!", ";", ":", ",", " ", ">", "&", "(", ")", "[", "]", "pounds", "euro", "yen",
        "hfill", "strut", "relax", "nonumber", "notag", "allowbreak", "boxed", "fbox", "mathbf", "boldsymbol", "bm", "mathit", "mathsf", "mathtt", "mathcal", "ensuremath", "underline", "hbox", "newline",
    ];

    /// <summary>Commands whose first argument is no mathematics.</summary>
    private static readonly HashSet<string> Skipping = ["hspace", "vspace", "phantom", "hphantom", "vphantom", "color", "textcolor"];

    /// <summary>Commands that are another way to write a symbol.</summary>
    private static readonly Dictionary<string, char> Symbols = new() { ["langle"] = '(', ["rangle"] = ')', ["vert"] = '|', ["colon"] = ':' };

    private static readonly HashSet<string> Dots = ["dots", "cdots", "dotsc", "dotsb", "hdots"];

    private static readonly HashSet<string> TextCommands = ["text", "textbf", "textit", "textrm", "textsf", "texttt", "textnormal", "mbox", "mathrm", "operatorname", "emph", "unit"];

    private readonly List<MathToken> _tokens = [];
    private readonly bool _commaGroups;
    private int _depth;

    private MathLexer(bool commaGroups) => _commaGroups = commaGroups;

    /// <summary>Whether a comma stood between groups of three digits outside brackets, so that the text can be read in two ways.</summary>
    internal bool HasCommaGroups { get; private set; }

    /// <summary>Tokens of a text that <see cref="MathCharacters"/> has prepared.</summary>
    /// <param name="latex">The text.</param>
    /// <param name="commaGroups">Reads 1,234 outside brackets as one number.</param>
    /// <param name="ambiguous">True when the text has such commas.</param>
    /// <exception cref="MathFormatException">Too long, or braces of a text command that do not close.</exception>
    internal static List<MathToken> Read(string latex, bool commaGroups, out bool ambiguous)
    {
        var lexer = new MathLexer(commaGroups);
        lexer.Lex(latex, 0, isText: false, 0);
        while (lexer._tokens is [.., { Text: "." or "\\" }])
            lexer._tokens.RemoveAt(lexer._tokens.Count - 1);
        ambiguous = lexer.HasCommaGroups;
        return lexer._tokens;
    }

    private void Lex(string s, int offset, bool isText, int nesting)
    {
        if (nesting > MaxTextDepth)
            throw new MathFormatException("text in text too deep");
        bool space = true;
        for (int i = 0; i < s.Length;)
        {
            char c = s[i];
            int start = i;
            if (char.IsWhiteSpace(c) || c == '~' || c == '$')
            {
                i++;
                space = true;
                continue;
            }

            if (c == '\\')
                i = Command(s, i, offset, space, nesting);
            else if (char.IsAsciiDigit(c) || c == '.' && (i + 1 < s.Length && char.IsAsciiDigit(s[i + 1]) || Repeating().IsMatch(s, i + 1)))
                i = Number(s, i, offset, space);
            else if (char.IsAsciiLetter(c))
                i = Letters(s, i, offset, isText, space);
            else if (c == '(' && Based(s, i, offset, space) is { } basedEnd)
                i = basedEnd;
            else
            {
                if (c != '.' || space || _tokens is not [.., { Kind: MathTokenKind.Word }]) // the full stop of an abbreviation
                    Symbol(c, offset + start, space);
                i++;
            }

            space = false;
        }
    }

    private void Symbol(char c, int position, bool space)
    {
        if (c is '(' or '[')
            _depth++;
        else if (c is ')' or ']')
            _depth--;
        Add(MathTokenKind.Symbol, c.ToString(), position, space);
    }

    private void Add(MathTokenKind kind, string text, int position, bool space)
    {
        if (_tokens.Count >= MaxTokens)
            throw new MathFormatException($"more than {MaxTokens} tokens");
        _tokens.Add(new MathToken(kind, text, position, space));
    }

    private int Command(string s, int i, int offset, bool space, int nesting)
    {
        int start = i++;
        if (i >= s.Length)
            return i;
        if (!char.IsAsciiLetter(s[i]))
        {
            string symbol = s[i].ToString();
            if (symbol is "{" or "}")
                _depth += symbol == "{" ? 1 : -1;
            if (!Ignored.Contains(symbol))
                Add(MathTokenKind.Command, symbol, offset + start, space);
            return i + 1;
        }

        while (i < s.Length && char.IsAsciiLetter(s[i]))
            i++;
        string name = s[(start + 1)..i];
        if (name is "begin" or "end")
            return Environment(s, i, offset, space, name);
        if (TextCommands.Contains(name))
            return TextArgument(s, i, offset, nesting, name);
        if (Skipping.Contains(name))
            return SkipArgument(s, i);
        if (Symbols.TryGetValue(name, out char same))
            Symbol(same, offset + start, space);
        else if (!Ignored.Contains(name))
            Add(MathTokenKind.Command, Dots.Contains(name) ? "ldots" : name, offset + start, space);
        bool empty = name is "left" or "right" && i < s.Length && s[i] == '.'; // no bracket on that side
        return empty ? i + 1 : i;
    }

    private int TextArgument(string s, int i, int offset, int nesting, string name)
    {
        if (i < s.Length && s[i] == '*')
            i++;
        int open = i;
        while (open < s.Length && s[open] == ' ')
            open++;
        if (open >= s.Length || s[open] != '{')
            return i;
        int close = ClosingBrace(s, open);
        if (close < 0)
            throw new MathFormatException($"\\{name} without a closing brace");
        Lex(s[(open + 1)..close], offset + open + 1, isText: true, nesting + 1);
        return close + 1;
    }

    /// <summary>\begin{name} as one command "begin:name"; the columns of an array are skipped.</summary>
    private int Environment(string s, int i, int offset, bool space, string name)
    {
        int close = i < s.Length && s[i] == '{' ? ClosingBrace(s, i) : -1;
        if (close < 0)
            throw new MathFormatException($"\\{name} without a name");
        _depth += name == "begin" ? 1 : -1;
        string environment = s[(i + 1)..close];
        Add(MathTokenKind.Command, $"{name}:{environment}", offset + i, space);
        return environment == "array" && name == "begin" ? SkipArgument(s, close + 1) : close + 1;
    }

    private static int SkipArgument(string s, int i)
    {
        int close = i < s.Length && s[i] == '{' ? ClosingBrace(s, i) : -1;
        return close < 0 ? i : close + 1;
    }

    /// <summary>Index of the brace that closes the one at <paramref name="open"/>, -1 when there is none. Escaped braces do not count.</summary>
    internal static int ClosingBrace(string s, int open)
    {
        int depth = 0;
        for (int i = open; i < s.Length; i++)
        {
            if (s[i] == '\\')
                i++;
            else if (s[i] == '{')
                depth++;
            else if (s[i] == '}' && --depth == 0)
                return i;
        }

        return -1;
    }

    private int Number(string s, int i, int offset, bool space)
    {
        if (Based(s, i, offset, space) is { } basedEnd)
            return basedEnd;
        int end = Grouped(s, i, out string digits);
        if (end < s.Length && s[end] == '.' && end + 1 < s.Length && char.IsAsciiDigit(s[end + 1]))
        {
            int fraction = end + 1;
            while (fraction < s.Length && char.IsAsciiDigit(s[fraction]))
                fraction++;
            digits += s[end..fraction];
            end = fraction;
        }
        else if (end < s.Length && s[end] == '.')
        {
            end++; // the full stop of 42., or 0.\overline{3}
            if (Repeating().IsMatch(s, end))
                digits += ".";
        }

        if (Exponent().Match(s, end) is { Success: true } exponent)
        {
            digits += exponent.Value;
            end += exponent.Length;
        }

        if (digits.Contains('.', StringComparison.Ordinal) && Repeating().Match(s, end) is { Success: true } repeating)
        {
            digits += "r" + repeating.Groups[1].Value;
            end += repeating.Length;
        }

        if (digits.Length > MaxDigits)
            throw new MathFormatException($"a number of more than {MaxDigits} digits");
        Add(MathTokenKind.Number, digits, offset + i, space);
        return end;
    }

    /// <summary>11_2, 1A_{16}: digits with a base are one token. Its end, null where there is none.</summary>
    private int? Based(string s, int i, int offset, bool space)
    {
        var match = BasedNumber().Match(s, i);
        if (!match.Success)
            return null;
        int radix = int.Parse(match.Groups[2].Value + match.Groups[3].Value, System.Globalization.CultureInfo.InvariantCulture);
        string digits = match.Groups[1].Value.Trim('(', ')');
        if (radix is < 2 or > 36 || digits.Any(d => MathNumbers.Digit(d) >= radix))
            return null;
        Add(MathTokenKind.Number, $"{digits}_{radix}", offset + i, space);
        return i + match.Length;
    }

    /// <summary>End of the whole part, and its digits without separators.</summary>
    private int Grouped(string s, int i, out string digits)
    {
        foreach (var pattern in (ReadOnlySpan<Regex>)[BraceGroups(), SpaceGroups(), CommaGroups()])
        {
            var match = pattern.Match(s, i);
            if (!match.Success)
                continue;
            if (ReferenceEquals(pattern, CommaGroups()))
            {
                if (_depth > 0)
                    continue;
                HasCommaGroups = true;
                if (!_commaGroups)
                    continue;
            }

            digits = string.Concat(match.Value.Where(char.IsAsciiDigit));
            return i + match.Length;
        }

        int end = i;
        while (end < s.Length && char.IsAsciiDigit(s[end]))
            end++;
        digits = s[i..end];
        return end;
    }

    private int Letters(string s, int i, int offset, bool isText, bool space)
    {
        if (!isText && Based(s, i, offset, space) is { } basedEnd)
            return basedEnd;
        int end = i;
        while (end < s.Length && char.IsAsciiLetter(s[end]))
            end++;
        string run = s[i..end];
        var next = end < s.Length ? s[end] : ' ';
        foreach (var (kind, text) in MathWords.Classify(run, isText, AfterValue(), next))
            Add(kind, text, offset + i, space);
        return end;
    }

    /// <summary>True when the token before can end a value, so that a unit may follow.</summary>
    private bool AfterValue()
        => _tokens.Count > 0 && _tokens[^1] is { } last
            && (last.Kind is MathTokenKind.Number or MathTokenKind.Word || last.Text is ")" or "}" or "]" or "!" or "%" or "pi");

    [GeneratedRegex(@"\G(\([0-9][0-9A-Z]*\)|[0-9][0-9A-Z]*|[A-Z]+[0-9][0-9A-Z]*|[A-F]{2,}(?=_\{\s*16\s*\}))_(?:\{\s*(\d{1,2})\s*\}|(\d{1,2}))")]
    private static partial Regex BasedNumber();

    [GeneratedRegex(@"\G[1-9]\d{0,2}(?:\{,\}\d{3})+(?!\d)")]
    private static partial Regex BraceGroups();

    [GeneratedRegex(@"\G[1-9]\d{0,2}(?:\\[,; ]\d{3})+(?!\d)")]
    private static partial Regex SpaceGroups();

    [GeneratedRegex(@"\G[1-9]\d{0,2}(?:,(?:\\!\s*)?\d{3})+(?!,?\d)")]
    private static partial Regex CommaGroups();

    [GeneratedRegex(@"\G[eE][+-]?\d+")]
    private static partial Regex Exponent();

    [GeneratedRegex(@"\G\\(?:overline|bar|dot)\s*\{?(\d{1,50})\}?")]
    private static partial Regex Repeating();
}
