using System.Globalization;
using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>
/// Cuts a template into tokens with trim_blocks and lstrip_blocks on: a block tag takes the newline behind it and the blanks before it on
/// its line; <c>-</c> takes all white space on its side, <c>+</c> none. One instance per source.
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=",
        "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private int _position;

    // Whether what was consumed last ended a line: blanks before a tag are then at the start of one.
    private bool _atLineStart = true;

    private Lexer(string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        _source = source.EndsWith('\n') ? source[..^1] : source;
    }

    /// <summary>All tokens, ended by <see cref="TokenKind.End"/>.</summary>
    /// <exception cref="TemplateException">A TemplateSyntaxError.</exception>
    public static List<Token> Tokenize(string source)
    {
        var lexer = new Lexer(source);
        while (lexer._position < lexer._source.Length)
            lexer.ReadDataAndTag();
        lexer._tokens.Add(new Token(TokenKind.End, ""));
        return lexer._tokens;
    }

    private void ReadDataAndTag()
    {
        var open = FindTag(_position);
        if (open < 0)
        {
            AddData(_source[_position..]);
            _position = _source.Length;
            return;
        }
        var kind = _source[open + 1];
        var sign = SignAt(open + 2);
        AddData(TrimBefore(_source[_position..open], sign, isPrint: kind == '{'));
        _position = open + 2 + (sign == ' ' ? 0 : 1);
        _atLineStart = false;
        if (kind == '#')
            SkipComment();
        else if (kind == '%' && TryOpenRaw())
            ReadRaw();
        else
            ReadTag(kind == '{');
    }

    private int FindTag(int from)
    {
        for (var open = _source.IndexOf('{', from); open >= 0 && open + 1 < _source.Length; open = _source.IndexOf('{', open + 1))
            if (_source[open + 1] is '{' or '%' or '#')
                return open;
        return -1;
    }

    private char SignAt(int position) => position < _source.Length && _source[position] is '-' or '+' ? _source[position] : ' ';

    private void AddData(string text)
    {
        if (text.Length > 0)
            _tokens.Add(new Token(TokenKind.Data, text));
    }

    private string TrimBefore(string text, char sign, bool isPrint)
    {
        if (sign == '-')
            return text[..WhiteSpace.TrimmedEnd(text)];
        if (sign == '+' || isPrint)
            return text;
        var line = text.LastIndexOf('\n') + 1;
        return (line > 0 || _atLineStart) && WhiteSpace.TrimmedEnd(text) <= line ? text[..line] : text;
    }

    private void SkipComment()
    {
        var close = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (close < 0)
            throw Errors.Syntax("Missing end of comment tag");
        var sign = close > _position ? SignAt(close - 1) : ' ';
        _position = close + 2;
        TrimAfter(sign, trimNewline: true);
    }

    // After a closing tag: '-' takes all white space, '+' nothing, else a block takes one newline.
    private void TrimAfter(char sign, bool trimNewline)
    {
        var start = _position;
        if (sign == '-')
            _position = WhiteSpace.SkipSpace(_source, _position);
        else if (sign != '+' && trimNewline && _position < _source.Length && _source[_position] == '\n')
            _position++;
        _atLineStart = _position > start && _source[_position - 1] == '\n';
    }

    private bool TryOpenRaw()
    {
        var position = WhiteSpace.SkipSpace(_source, _position);
        if (string.CompareOrdinal(_source, position, "raw", 0, 3) != 0)
            return false;
        position = WhiteSpace.SkipSpace(_source, position + 3);
        var sign = SignAt(position) == '-' ? '-' : ' ';
        if (string.CompareOrdinal(_source, position + (sign == '-' ? 1 : 0), "%}", 0, 2) != 0)
            return false;
        _position = position + (sign == '-' ? 3 : 2);
        TrimAfter(sign, trimNewline: false);
        return true;
    }

    private void ReadRaw()
    {
        for (var open = _position; (open = _source.IndexOf("{%", open, StringComparison.Ordinal)) >= 0; open++)
        {
            var sign = SignAt(open + 2);
            var name = WhiteSpace.SkipSpace(_source, open + 2 + (sign == ' ' ? 0 : 1));
            if (string.CompareOrdinal(_source, name, "endraw", 0, 6) != 0)
                continue;
            var close = WhiteSpace.SkipSpace(_source, name + 6);
            var closeSign = SignAt(close);
            if (string.CompareOrdinal(_source, close + (closeSign == ' ' ? 0 : 1), "%}", 0, 2) != 0)
                continue;
            AddData(TrimBefore(_source[_position..open], sign, isPrint: false));
            _position = close + (closeSign == ' ' ? 2 : 3);
            TrimAfter(closeSign, trimNewline: true);
            return;
        }
        throw Errors.Syntax("Missing end of raw directive");
    }

    private void ReadTag(bool isPrint)
    {
        _tokens.Add(new Token(isPrint ? TokenKind.PrintBegin : TokenKind.BlockBegin, ""));
        var brackets = new Stack<char>();
        while (_position < _source.Length)
        {
            if (brackets.Count == 0 && TryCloseTag(isPrint))
                return;
            var character = _source[_position];
            if (WhiteSpace.IsSpace(character))
                _position++;
            else if (char.IsAsciiDigit(character))
                ReadNumber();
            else if (character == '_' || char.IsLetter(character))
                ReadName();
            else if (character is '\'' or '"')
                ReadString(character);
            else
                ReadOperator(brackets);
        }
    }

    private bool TryCloseTag(bool isPrint)
    {
        var sign = SignAt(_position);
        if (isPrint && sign == '+')
            return false;
        if (string.CompareOrdinal(_source, _position + (sign == ' ' ? 0 : 1), isPrint ? "}}" : "%}", 0, 2) != 0)
            return false;
        _position += sign == ' ' ? 2 : 3;
        _tokens.Add(new Token(isPrint ? TokenKind.PrintEnd : TokenKind.BlockEnd, ""));
        TrimAfter(sign, trimNewline: !isPrint);
        return true;
    }

    private void ReadName()
    {
        var start = _position;
        while (_position < _source.Length && (_source[_position] == '_' || char.IsLetterOrDigit(_source[_position])))
            _position++;
        _tokens.Add(new Token(TokenKind.Name, _source[start.._position]));
    }

    private void ReadString(char quote)
    {
        var end = _position + 1;
        while (end < _source.Length && _source[end] != quote)
            end += _source[end] == '\\' ? 2 : 1;
        if (end >= _source.Length)
            throw Unexpected(_source[_position]);
        _tokens.Add(new Token(TokenKind.String, EscapeSequences.Unescape(_source[(_position + 1)..end])));
        _position = end + 1;
    }

    private void ReadOperator(Stack<char> brackets)
    {
        var symbol = Array.Find(Operators, candidate => string.CompareOrdinal(_source, _position, candidate, 0, candidate.Length) == 0)
            ?? throw Unexpected(_source[_position]);
        if (symbol is "(" or "[" or "{")
            brackets.Push(symbol == "(" ? ')' : symbol == "[" ? ']' : '}');
        else if (symbol is ")" or "]" or "}")
        {
            if (!brackets.TryPop(out var expected))
                throw Errors.Syntax($"unexpected '{symbol}'");
            if (expected != symbol[0])
                throw Errors.Syntax($"unexpected '{symbol}', expected '{expected}'");
        }
        _tokens.Add(new Token(TokenKind.Operator, symbol));
        _position += symbol.Length;
    }

    private TemplateException Unexpected(char character) =>
        Errors.Syntax($"unexpected char {Printer.ReprText(StringValue.Literal(character.ToString()))} at {_position}");

    private void ReadNumber()
    {
        var start = _position;
        var end = SkipDigits(start, char.IsAsciiDigit);
        var isFloat = false;
        if (start == 0 || _source[start - 1] != '.')
        {
            if (CharAt(end) == '.' && char.IsAsciiDigit(CharAt(end + 1)))
                (end, isFloat) = (SkipDigits(end + 1, char.IsAsciiDigit), true);
            var exponent = CharAt(end + 1) is '+' or '-' ? end + 2 : end + 1;
            if (CharAt(end) is 'e' or 'E' && char.IsAsciiDigit(CharAt(exponent)))
                (end, isFloat) = (SkipDigits(exponent, char.IsAsciiDigit), true);
        }
        if (isFloat)
            AddNumber(end, double.Parse(_source[start..end].Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture));
        else if (_source[start] == '0')
            ReadRadixOrZero(start);
        else
            AddNumber(end, Numerals.ParseInteger(_source[start..end].Replace("_", "", StringComparison.Ordinal), 10)
                ?? throw Errors.Syntax("Exceeds the limit (4300 digits) for integer string conversion"));
    }

    // 0x1f, 0o17, 0b11, or zeros; other digits after a zero are a token of their own, which the parser refuses.
    private void ReadRadixOrZero(int start)
    {
        var radix = char.ToLowerInvariant(CharAt(start + 1)) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 10 };
        bool IsDigit(char character) => char.IsAsciiHexDigit(character) && Convert.ToInt32(character.ToString(), 16) < radix;
        var digits = start + 2 + (CharAt(start + 2) == '_' ? 1 : 0);
        if (radix != 10 && IsDigit(CharAt(digits)))
        {
            var end = SkipDigits(digits, IsDigit);
            var value = Numerals.ParseInteger(_source[digits..end].Replace("_", "", StringComparison.Ordinal), radix);
            AddNumber(end, value ?? throw Errors.Syntax("integer literal too large"));
            return;
        }
        AddNumber(SkipDigits(start, character => character == '0'), BigInteger.Zero);
    }

    private void AddNumber(int end, object value)
    {
        _tokens.Add(new Token(TokenKind.Number, _source[_position..end], value));
        _position = end;
    }

    private char CharAt(int position) => position < _source.Length ? _source[position] : '\0';

    // End of a run of digits with single underscores between them.
    private int SkipDigits(int position, Func<char, bool> isDigit)
    {
        while (isDigit(CharAt(position)) || (CharAt(position) == '_' && isDigit(CharAt(position + 1))))
            position++;
        return position;
    }
}
