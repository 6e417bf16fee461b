using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>Floats with a given number of digits, rounded half to even on their exact value as C does.</summary>
internal static class FloatFormat
{
    /// <summary>So many digits behind the point.</summary>
    public static string Fixed(double value, int precision)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)((bits >> 52) & 0x7ff);
        var mantissa = new BigInteger(exponent == 0 ? bits & 0xfffffffffffff : (bits & 0xfffffffffffff) | 0x10000000000000);
        var scale = Math.Max(exponent, 1) - 1075;
        precision = Math.Min(precision, 1100);
        var scaled = mantissa * BigInteger.Pow(10, precision);
        var rounded = scale >= 0 ? scaled << scale : RoundShift(scaled, -scale);
        var digits = rounded.ToString(CultureInfo.InvariantCulture).PadLeft(precision + 1, '0');
        var text = precision == 0 ? digits : $"{digits[..^precision]}.{digits[^precision..]}";
        return bits < 0 ? "-" + text : text;
    }

    /// <summary>One digit, point, so many digits, exponent.</summary>
    public static string Scientific(double value, int precision)
    {
        var text = value.ToString("e" + Math.Min(precision, 1100).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        var mark = text.IndexOf('e');
        var exponent = text[(mark + 2)..].TrimStart('0').PadLeft(2, '0');
        return $"{text[..mark]}e{text[mark + 1]}{exponent}";
    }

    /// <summary>So many significant digits, without trailing zeros, in the shorter of the two forms.</summary>
    public static string General(double value, int precision)
    {
        precision = Math.Max(precision, 1);
        var scientific = Scientific(value, precision - 1);
        var mark = scientific.IndexOf('e');
        var exponent = int.Parse(scientific[(mark + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        var isPlain = exponent >= -4 && exponent < precision;
        var text = isPlain ? Fixed(value, precision - 1 - exponent) : scientific[..mark];
        if (text.Contains('.'))
            text = text.TrimEnd('0').TrimEnd('.');
        return isPlain ? text : text + scientific[mark..];
    }

    /// <summary>Python's round(value, digits).</summary>
    public static double Round(double value, int digits)
    {
        if (!double.IsFinite(value) || digits > 323)
            return value;
        if (digits >= 0)
            return double.Parse(Fixed(value, digits), CultureInfo.InvariantCulture);
        var unit = Math.Pow(10, -Math.Max(digits, -309));
        return double.IsInfinity(unit) ? 0 * value : Math.Round(value / unit, MidpointRounding.ToEven) * unit;
    }

    private static BigInteger RoundShift(BigInteger value, int shift)
    {
        var quotient = value >> shift;
        var twice = (value - (quotient << shift)).CompareTo(BigInteger.One << (shift - 1));
        return twice > 0 || (twice == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }
}
