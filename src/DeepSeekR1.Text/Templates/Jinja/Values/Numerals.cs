using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Numbers written as text, as Python reads them.</summary>
internal static class Numerals
{
    private const int MaxDigits = 4300;

    /// <summary>Python's int(text, radix) for an unsigned run of digits; null when it is none or too long.</summary>
    public static BigInteger? ParseInteger(string digits, int radix)
    {
        if (digits.Length == 0 || digits.Length > MaxDigits)
            return null;
        if (radix == 10)
            return BigInteger.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
        var value = BigInteger.Zero;
        foreach (var digit in digits)
        {
            var worth = char.IsAsciiDigit(digit) ? digit - '0'
                : char.IsAsciiLetter(digit) ? char.ToLowerInvariant(digit) - 'a' + 10
                : radix;
            if (worth >= radix)
                return null;
            value = (value * radix) + worth;
        }
        return value;
    }

    /// <summary>Python's int(text, radix): blanks around, sign, prefix and single underscores; null when it is none.</summary>
    public static BigInteger? ParseSignedInteger(string text, int radix)
    {
        var digits = text[WhiteSpace.SkipSpace(text, 0)..Math.Max(WhiteSpace.SkipSpace(text, 0), WhiteSpace.TrimmedEnd(text))];
        var isNegative = digits.StartsWith('-');
        if (isNegative || digits.StartsWith('+'))
            digits = digits[1..];
        var prefix = radix switch { 16 => "0x", 8 => "0o", 2 => "0b", _ => "" };
        if (prefix.Length > 0 && digits.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
            digits = digits[2..].TrimStart('_');
        if (digits.StartsWith('_') || digits.EndsWith('_') || digits.Contains("__", StringComparison.Ordinal))
            return null;
        var value = ParseInteger(digits.Replace("_", "", StringComparison.Ordinal), radix);
        return isNegative ? -value : value;
    }

    /// <summary>Python's float(text); null when it is none.</summary>
    public static double? ParseFloat(string text)
    {
        var start = WhiteSpace.SkipSpace(text, 0);
        var number = text[start..Math.Max(start, WhiteSpace.TrimmedEnd(text))].ToLowerInvariant();
        var plain = number.TrimStart('+', '-');
        if (number.Length - plain.Length <= 1 && plain is "inf" or "infinity" or "nan")
            return plain == "nan" ? double.NaN : number[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
        if (number.StartsWith('_') || number.EndsWith('_') || number.Contains("__", StringComparison.Ordinal))
            return null;
        const NumberStyles Styles = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        number = number.Replace("_", "", StringComparison.Ordinal);
        return double.TryParse(number, Styles, CultureInfo.InvariantCulture, out var value) ? value : null;
    }
}
