using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>Python's two ways to fill in a pattern: <c>'%s' % x</c> and <c>'{}'.format(x)</c>. Inserted text keeps its origin.</summary>
internal static class JinjaFormat
{
    /// <summary><c>format % values</c>.</summary>
    public static JinjaString Percent(JinjaRun run, JinjaString format, object values)
    {
        var builder = new JinjaStringBuilder(run);
        var positional = values is JinjaTuple tuple ? tuple.Items : [values];
        var next = 0;
        object Take() => next < positional.Count ? positional[next++] : throw JinjaErrors.Type("not enough arguments for format string");
        var usesNames = false;
        for (var position = 0; position < format.Text.Length;)
        {
            var mark = format.Text.IndexOf('%', position);
            builder.Append(format, position, mark < 0 ? format.Text.Length : mark);
            if (mark < 0)
                break;
            position = mark + 1;
            object? named = null;
            if (position < format.Text.Length && format.Text[position] == '(')
                (named, usesNames) = (ReadName(format, values, ref position), true);
            var spec = JinjaFormatSpec.ReadPercent(format.Text, ref position, () => JinjaTypes.ToInt32(Take()));
            builder.Append(spec.Type == '%' ? JinjaString.Literal("%") : spec.Apply(run, named ?? Take(), isPercent: true));
        }
        if (next < positional.Count && !usesNames && values is not (JinjaDict or JinjaList or JinjaRange or JinjaBytes or JinjaUndefined))
            throw JinjaErrors.Type("not all arguments converted during string formatting");
        return builder.Build().AsMarkup(format.IsMarkup);
    }

    /// <summary><c>format.format(*args, **kwargs)</c>; the format string is the first positional argument.</summary>
    public static object Format(JinjaRun run, JinjaArguments arguments)
    {
        var format = (JinjaString)arguments.Positional[0];
        return new Filler(run, arguments.Positional[1..], name => arguments.Find(name) ?? throw MissingKey(name)).Fill(format, 0);
    }

    /// <summary><c>format.format_map(mapping)</c>.</summary>
    public static object FormatMap(JinjaRun run, JinjaString format, object mapping) => mapping is JinjaDict dict
        ? new Filler(run, [], name => dict.Find(JinjaString.Literal(name)) ?? throw MissingKey(name)).Fill(format, 0)
        : throw JinjaErrors.Type("format_map() requires a mapping");

    private static TemplateException MissingKey(string name) => new("KeyError", $"'{name}'");

    private static object ReadName(JinjaString format, object values, ref int position)
    {
        var close = format.Text.IndexOf(')', position);
        if (close < 0)
            throw JinjaErrors.Value("incomplete format key");
        if (values is not JinjaDict dict)
            throw JinjaErrors.Type("format requires a mapping");
        var name = format.Text[(position + 1)..close];
        position = close + 1;
        return dict.Find(JinjaString.Literal(name)) ?? throw MissingKey(name);
    }

    // Replacement fields of str.format: {name.attribute[item]!conversion:spec}, where the spec may hold fields itself.
    private sealed class Filler(JinjaRun run, object[] positional, Func<string, object> find)
    {
        private int _next;

        public JinjaString Fill(JinjaString format, int depth)
        {
            if (depth > 2)
                throw JinjaErrors.Value("Max string recursion exceeded");
            var builder = new JinjaStringBuilder(run);
            var text = format.Text;
            for (var position = 0; position < text.Length; position++)
            {
                if (text[position] is not ('{' or '}'))
                    builder.Append(format, position, position + 1);
                else if (position + 1 < text.Length && text[position + 1] == text[position])
                    builder.Append(format, position, ++position);
                else if (text[position] == '}')
                    throw JinjaErrors.Value("Single '}' encountered in format string");
                else
                {
                    var end = EndOfField(text, position);
                    builder.Append(FillField(format.Slice(position + 1, end), depth));
                    position = end;
                }
            }
            return builder.Build();
        }

        private static int EndOfField(string text, int start)
        {
            var depth = 0;
            for (var position = start; position < text.Length; position++)
            {
                depth += text[position] == '{' ? 1 : text[position] == '}' ? -1 : 0;
                if (depth == 0)
                    return position;
            }
            throw JinjaErrors.Value("expected '}' before end of string");
        }

        private JinjaString FillField(JinjaString field, int depth)
        {
            var text = field.Text;
            var colon = text.IndexOf(':');
            var spec = colon < 0 ? JinjaString.Empty : Fill(field.Slice(colon + 1, text.Length), depth + 1);
            var head = colon < 0 ? text : text[..colon];
            var mark = head.IndexOf('!');
            var value = Lookup(mark < 0 ? head : head[..mark]);
            if (mark >= 0)
                value = head[(mark + 1)..] switch
                {
                    "s" => JinjaPrinter.Str(run, value),
                    "r" or "a" => JinjaPrinter.Repr(run, value),
                    var conversion => throw JinjaErrors.Value($"Unknown conversion specifier {conversion}"),
                };
            return JinjaFormatSpec.Parse(spec.Text).Apply(run, value, isPercent: false);
        }

        private object Lookup(string path)
        {
            var end = path.AsSpan().IndexOfAny('.', '[');
            var name = end < 0 ? path : path[..end];
            var value = name.Length == 0 ? At(_next++) : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? At(index) : find(name);
            for (var position = end < 0 ? path.Length : end; position < path.Length;)
            {
                var isItem = path[position] == '[';
                var stop = isItem ? path.IndexOf(']', position) : path.AsSpan(position + 1).IndexOfAny('.', '[') is var found and >= 0 ? position + 1 + found : path.Length;
                if (stop < 0)
                    throw JinjaErrors.Value("Missing ']' in format string");
                var part = path[(position + 1)..stop];
                value = isItem ? JinjaAttributes.GetItem(run, value, Key(part)) : JinjaAttributes.GetAttribute(run, value, JinjaString.Literal(part));
                position = isItem ? stop + 1 : stop;
            }
            return value is JinjaUndefined undefined && end >= 0 ? throw undefined.Error() : value;
        }

        private static object Key(string part) =>
            BigInteger.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : JinjaString.Literal(part);

        private object At(int index) => index < positional.Length
            ? positional[index]
            : throw new TemplateException("IndexError", "Replacement index out of range for positional args tuple");
    }
}

/// <summary>How one value is written: the format mini-language of Python, and the conversions behind a percent sign.</summary>
internal sealed record JinjaFormatSpec(char Type, int Width, int? Precision, string Fill, char Align, char Sign, bool Alternate, char Grouping)
{
    private const int MaxWidth = 1 << 20;

    /// <summary>Reads the mini-language of str.format.</summary>
    public static JinjaFormatSpec Parse(string text)
    {
        var position = 0;
        var (fill, align) = (" ", '\0');
        if (text.Length >= 2 && text[JinjaString.WidthAt(text, 0)..] is [var second, ..] && second is '<' or '>' or '^' or '=' && text[JinjaString.WidthAt(text, 0)] is '<' or '>' or '^' or '=')
            (fill, align, position) = (text[..JinjaString.WidthAt(text, 0)], text[JinjaString.WidthAt(text, 0)], JinjaString.WidthAt(text, 0) + 1);
        else if (text.Length >= 1 && text[0] is '<' or '>' or '^' or '=')
            (align, position) = (text[0], 1);
        var sign = At(text, position) is '+' or '-' or ' ' ? text[position++] : '-';
        var alternate = At(text, position) == '#';
        position += alternate ? 1 : 0;
        if (At(text, position) == '0' && align == '\0')
            (fill, align) = ("0", '=');
        var width = ReadInt(text, ref position) ?? 0;
        var grouping = At(text, position) is ',' or '_' ? text[position++] : '\0';
        int? precision = null;
        if (At(text, position) == '.')
        {
            position++;
            precision = ReadInt(text, ref position) ?? throw JinjaErrors.Value("Format specifier missing precision");
        }
        var type = position < text.Length ? text[position++] : '\0';
        if (position < text.Length)
            throw JinjaErrors.Value("Invalid format specifier");
        return new JinjaFormatSpec(type, width, precision, fill, align, sign, alternate, grouping);
    }

    /// <summary>Reads flags, width, precision and type behind a percent sign; <c>*</c> takes an argument.</summary>
    public static JinjaFormatSpec ReadPercent(string text, ref int position, Func<int> take)
    {
        bool left = false, zero = false, alternate = false;
        var sign = '-';
        for (; At(text, position) is '-' or '+' or ' ' or '0' or '#'; position++)
        {
            left |= text[position] == '-';
            zero |= text[position] == '0';
            alternate |= text[position] == '#';
            sign = text[position] == '+' || (text[position] == ' ' && sign != '+') ? text[position] : sign;
        }
        var width = ReadStarOrInt(text, ref position, take) ?? 0;
        int? precision = null;
        if (At(text, position) == '.')
        {
            position++;
            precision = ReadStarOrInt(text, ref position, take) ?? 0;
        }
        while (At(text, position) is 'h' or 'l' or 'L')
            position++;
        if (position >= text.Length)
            throw JinjaErrors.Value("incomplete format");
        left |= width < 0;
        return new JinjaFormatSpec(text[position++], Math.Abs(width), precision, zero && !left ? "0" : " ", left ? '<' : zero ? '=' : '>', sign, alternate, '\0');
    }

    /// <summary>Writes a value.</summary>
    public JinjaString Apply(JinjaRun run, object value, bool isPercent)
    {
        if (Width > MaxWidth || Precision > MaxWidth)
            throw JinjaErrors.Value("Too many decimal digits in format string");
        if (isPercent && Type is 's' or 'r' or 'a' or 'c')
            return WriteText(run, Type == 's' ? JinjaPrinter.Str(run, value) : Type == 'c' ? Character(value) : JinjaPrinter.Repr(run, value), isNumber: true);
        if (!isPercent && (value is not (BigInteger or double or bool) || (value is bool && Type is '\0' or 's')))
            return Type is '\0' or 's'
                ? WriteText(run, JinjaPrinter.Str(run, value), isNumber: false)
                : throw JinjaErrors.Value($"Unknown format code '{Type}' for object of type '{JinjaTypes.Name(value)}'");
        if (!JinjaOperators.IsNumber(value))
            throw JinjaErrors.Type($"%{Type} format: a real number is required, not {JinjaTypes.Name(value)}");
        return WriteNumber(run, value);
    }

    private static char At(string text, int position) => position < text.Length ? text[position] : '\0';

    private static int? ReadInt(string text, ref int position)
    {
        var start = position;
        while (char.IsAsciiDigit(At(text, position)))
            position++;
        if (position == start)
            return null;
        return int.TryParse(text.AsSpan(start, position - start), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw JinjaErrors.Value("Too many decimal digits in format string");
    }

    private static int? ReadStarOrInt(string text, ref int position, Func<int> take)
    {
        if (At(text, position) != '*')
            return ReadInt(text, ref position);
        position++;
        return take();
    }

    private static JinjaString Character(object value) => value is JinjaString { Length: 1 } text
        ? text
        : value is BigInteger number && number >= 0 && number <= 0x10ffff && ((int)number is < 0xd800 or > 0xdfff)
            ? JinjaString.Literal(char.ConvertFromUtf32((int)number))
            : throw JinjaErrors.Type("%c requires int or char");

    private JinjaString WriteText(JinjaRun run, JinjaString text, bool isNumber)
    {
        if (Precision is { } precision && precision < text.Length)
            text = text.Slice(0, text.OffsetOf(precision));
        return Pad(run, JinjaString.Empty, text, Align == '\0' ? (isNumber ? '>' : '<') : Align, isNumber ? " " : Fill);
    }

    private JinjaString WriteNumber(JinjaRun run, object value)
    {
        var digits = value is double || Type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%'
            ? FloatDigits(JinjaArithmetic.ToDouble(value))
            : IntegerDigits(JinjaTypes.ToInteger(value));
        var isNegative = digits.StartsWith('-');
        var sign = isNegative ? "-" : Sign == '-' ? "" : Sign.ToString();
        return Pad(run, JinjaString.Literal(sign + Prefix), JinjaString.Literal(isNegative ? digits[1..] : digits), Align == '\0' ? '>' : Align, Fill);
    }

    private string Prefix => !Alternate ? "" : Type switch { 'x' => "0x", 'X' => "0X", 'o' => "0o", 'b' => "0b", _ => "" };

    private string IntegerDigits(BigInteger value)
    {
        var magnitude = BigInteger.Abs(value);
        var digits = Type switch
        {
            'x' => Trim(magnitude.ToString("x", CultureInfo.InvariantCulture)),
            'X' => Trim(magnitude.ToString("X", CultureInfo.InvariantCulture)),
            'b' => Trim(magnitude.ToString("b", CultureInfo.InvariantCulture)),
            'o' => Octal(magnitude),
            '\0' or 'd' or 'i' or 'u' or 'n' => JinjaPrinter.Integer(magnitude),
            _ => throw JinjaErrors.Value($"Unknown format code '{Type}' for object of type 'int'"),
        };
        digits = digits.PadLeft(Precision ?? 0, '0');
        return (value.Sign < 0 ? "-" : "") + Group(digits, Type is 'x' or 'X' or 'b' or 'o' ? 4 : 3);
    }

    private static string Trim(string digits) => digits.TrimStart('0') is { Length: > 0 } trimmed ? trimmed : "0";

    private static string Octal(BigInteger value)
    {
        var bits = Trim(value.ToString("b", CultureInfo.InvariantCulture));
        bits = bits.PadLeft((bits.Length + 2) / 3 * 3, '0');
        return Trim(string.Concat(bits.Chunk(3).Select(chunk => (char)('0' + ((chunk[0] - '0') * 4) + ((chunk[1] - '0') * 2) + (chunk[2] - '0')))));
    }

    private string FloatDigits(double value)
    {
        if (!double.IsFinite(value))
            return JinjaPrinter.Float(value) is var text && Type is 'E' or 'F' or 'G' ? text.ToUpperInvariant() : text;
        var digits = Type switch
        {
            'f' or 'F' or 'd' or 'i' or 'u' => Type is 'f' or 'F' ? JinjaFloats.Fixed(value, Precision ?? 6) : JinjaFloats.Fixed(Math.Truncate(value), 0),
            '%' => JinjaFloats.Fixed(value * 100, Precision ?? 6) + "%",
            'e' or 'E' => JinjaFloats.Scientific(value, Precision ?? 6),
            'g' or 'G' => JinjaFloats.General(value, Precision ?? 6),
            '\0' => Precision is { } precision ? JinjaFloats.General(value, precision) : JinjaPrinter.Float(value),
            _ => throw JinjaErrors.Value($"Unknown format code '{Type}' for object of type 'float'"),
        };
        var point = digits.IndexOf('.') is var found and >= 0 ? found : digits.Length;
        var sign = digits.StartsWith('-') ? 1 : 0;
        digits = digits[..sign] + Group(digits[sign..point], 3) + digits[point..];
        return Type is 'E' or 'G' ? digits.ToUpperInvariant() : digits;
    }

    private string Group(string digits, int size)
    {
        if (Grouping != '\0')
            for (var position = digits.Length - size; position > 0; position -= size)
                digits = digits.Insert(position, Grouping.ToString());
        return digits;
    }

    private JinjaString Pad(JinjaRun run, JinjaString prefix, JinjaString text, char align, string fill)
    {
        var missing = Math.Max(0, Width - prefix.Length - text.Length);
        if (missing == 0 && prefix.Text.Length == 0)
            return text;
        run.ChargeText(0, (long)missing * fill.Length);
        var before = align switch { '<' => 0, '^' => missing / 2, _ => missing };
        var left = string.Concat(Enumerable.Repeat(fill, before));
        var right = string.Concat(Enumerable.Repeat(fill, missing - before));
        var builder = new JinjaStringBuilder(run);
        _ = align == '=' ? builder.Append(prefix).Append(left) : builder.Append(left).Append(prefix);
        return builder.Append(text).Append(right).Build();
    }
}

/// <summary>Floats with a given number of digits, rounded half to even on their exact value as C does.</summary>
internal static class JinjaFloats
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
        var digits = (scale >= 0 ? scaled << scale : RoundShift(scaled, -scale)).ToString(CultureInfo.InvariantCulture).PadLeft(precision + 1, '0');
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
