using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>
/// Countdown: an expression of + - * / and brackets that uses every given number exactly once and reaches the target. An own reader computes it in
/// exact fractions; nothing is ever evaluated by a script engine.
/// </summary>
public static class CountdownGrader
{
    private const int MaxLength = 500;
    private const int MaxDepth = 40;

    /// <summary>Whether the expression (what stands before an equals sign) is right.</summary>
    public static bool IsCorrect(string expression, IReadOnlyList<long> numbers, long target)
    {
        string text = MathCharacters.ToLatex(expression.Split('=')[0]).Replace(@"\times", "*", StringComparison.Ordinal)
            .Replace(@"\cdot", "*", StringComparison.Ordinal).Replace(@"\div", "/", StringComparison.Ordinal).Replace(@"\left", "", StringComparison.Ordinal)
                .Replace(@"\right", "", StringComparison.Ordinal);
        if (text.Length is 0 or > MaxLength)
            return false;
        try
        {
            var reader = new Reader(text);
            var value = reader.ReadAll();
            return value.Equals(target) && reader.Numbers.Order().SequenceEqual(numbers.Select(n => (BigInteger)n).Order());
        }
        catch (Exception e) when (e is MathFormatException or NotComputableException)
        {
            return false;
        }
    }

    private sealed class Reader(string text)
    {
        private int _at;
        private int _depth;

        internal List<BigInteger> Numbers { get; } = [];

        internal BigRational ReadAll()
        {
            var value = Sum();
            return Peek() == '\0' ? value : throw new MathFormatException($"'{Peek()}'");
        }

        private BigRational Sum()
        {
            if (++_depth > MaxDepth)
                throw new MathFormatException("too many brackets");
            var value = Product();
            while (Peek() is '+' or '-')
                value = text[_at++] == '+' ? value + Product() : value - Product();
            _depth--;
            return value;
        }

        private BigRational Product()
        {
            var value = Factor();
            while (Peek() is '*' or '/')
                value = text[_at++] == '*' ? value * Factor() : value / Factor();
            return value;
        }

        private BigRational Factor()
        {
            if (Peek() == '(')
            {
                _at++;
                var inner = Sum();
                return Peek() == ')' && ++_at > 0 ? inner : throw new MathFormatException("a bracket that does not close");
            }

            int start = _at;
            while (_at < text.Length && char.IsAsciiDigit(text[_at]))
                _at++;
            if (start == _at)
                throw new MathFormatException("a number expected");
            Numbers.Add(BigInteger.Parse(text.AsSpan(start, _at - start), CultureInfo.InvariantCulture));
            return Numbers[^1];
        }

        private char Peek()
        {
            while (_at < text.Length && char.IsWhiteSpace(text[_at]))
                _at++;
            return _at < text.Length ? text[_at] : '\0';
        }
    }
}
