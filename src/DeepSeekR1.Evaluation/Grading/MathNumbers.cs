using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>Number tokens of <see cref="MathLexer"/> to exact values.</summary>
internal static class MathNumbers
{
    /// <summary>Value of a digit in bases up to 36; 99 for anything else.</summary>
    internal static int Digit(char c) => c is >= '0' and <= '9' ? c - '0' : c is >= 'A' and <= 'Z' ? c - 'A' + 10 : 99;

    /// <summary>Reads 12, 12.5, 1e-3, 0.1r6 (the 6 repeats) and 101_2.</summary>
    /// <exception cref="MathFormatException">An exponent beyond 10,000.</exception>
    internal static NumberNode Read(string token)
    {
        int radix = token.IndexOf('_', StringComparison.Ordinal);
        if (radix >= 0)
            return new NumberNode(InBase(token[..radix], int.Parse(token[(radix + 1)..], CultureInfo.InvariantCulture)));
        string repeating = Cut(ref token, 'r'), exponent = Cut(ref token, 'e');
        string fraction = Cut(ref token, '.');
        var value = new BigRational(BigInteger.Parse("0" + token + fraction, CultureInfo.InvariantCulture), BigInteger.Pow(10, fraction.Length));
        if (repeating.Length > 0)
            value += new BigRational(BigInteger.Parse(repeating, CultureInfo.InvariantCulture), (BigInteger.Pow(10, repeating.Length) - 1) * BigInteger.Pow(10, fraction.Length));
        if (exponent.Length > 0)
            value *= int.TryParse(exponent, CultureInfo.InvariantCulture, out int power) && Math.Abs((long)power) <= 10_000
                ? BigRational.PowerOfTen(power)
                : throw new MathFormatException($"the exponent {exponent}");
        return new NumberNode(value, IsDecimal: fraction.Length > 0 && repeating.Length == 0);
    }

    private static BigRational InBase(string digits, int radix)
    {
        BigInteger value = 0;
        foreach (char c in digits)
            value = value * radix + Digit(c);
        return value;
    }

    /// <summary>Takes away the mark and what follows, and returns what follows.</summary>
    private static string Cut(ref string token, char mark)
    {
        int at = token.IndexOf(mark.ToString(), StringComparison.OrdinalIgnoreCase);
        string rest = at < 0 ? "" : token[(at + 1)..];
        if (at >= 0)
            token = token[..at];
        return rest;
    }
}
