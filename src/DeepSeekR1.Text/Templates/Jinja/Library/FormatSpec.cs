using System.Globalization;
using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>How one value is written: the format mini-language of Python, and the conversions behind a percent sign.</summary>
internal sealed record FormatSpec(
    char Type, int Width, int? Precision, string Fill, char Align, char Sign, bool Alternate, char Grouping)
{
    private const int MaxWidth = 1 << 20;

    /// <summary>Reads the mini-language of str.format.</summary>
    public static FormatSpec Parse(string text)
    {
        var position = 0;
        var (fill, align) = (" ", '\0');
        var fillWidth = text.Length > 0 ? StringValue.WidthAt(text, 0) : 0;
        if (fillWidth > 0 && IsAlign(At(text, fillWidth)))
            (fill, align, position) = (text[..fillWidth], text[fillWidth], fillWidth + 1);
        else if (IsAlign(At(text, 0)))
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
            precision = ReadInt(text, ref position) ?? throw Errors.Value("Format specifier missing precision");
        }
        var type = position < text.Length ? text[position++] : '\0';
        if (position < text.Length)
            throw Errors.Value("Invalid format specifier");
        return new FormatSpec(type, width, precision, fill, align, sign, alternate, grouping);
    }

    /// <summary>Reads flags, width, precision and type behind a percent sign; <c>*</c> takes an argument.</summary>
    public static FormatSpec ReadPercent(string text, ref int position, Func<int> take)
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
            throw Errors.Value("incomplete format");
        left |= width < 0;
        var (fill, align) = left ? (" ", '<') : zero ? ("0", '=') : (" ", '>');
        return new FormatSpec(text[position++], Math.Abs(width), precision, fill, align, sign, alternate, '\0');
    }

    /// <summary>Writes a value.</summary>
    public StringValue Apply(Rendering run, object value, bool isPercent)
    {
        if (Width > MaxWidth || Precision > MaxWidth)
            throw Errors.Value("Too many decimal digits in format string");
        if (isPercent && Type is 's' or 'r' or 'a' or 'c')
            return WriteText(run, PercentText(run, value), isNumber: true);
        if (!isPercent && (value is not (BigInteger or double or bool) || (value is bool && Type is '\0' or 's')))
            return Type is '\0' or 's'
                ? WriteText(run, Printer.Str(run, value), isNumber: false)
                : throw Errors.Value($"Unknown format code '{Type}' for object of type '{Protocols.TypeName(value)}'");
        if (!Comparison.IsNumber(value))
            throw Errors.Type($"%{Type} format: a real number is required, not {Protocols.TypeName(value)}");
        return WriteNumber(run, value);
    }

    private static char At(string text, int position) => position < text.Length ? text[position] : '\0';

    private static bool IsAlign(char character) => character is '<' or '>' or '^' or '=';

    private static int? ReadInt(string text, ref int position)
    {
        var start = position;
        while (char.IsAsciiDigit(At(text, position)))
            position++;
        if (position == start)
            return null;
        return int.TryParse(text.AsSpan(start, position - start), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw Errors.Value("Too many decimal digits in format string");
    }

    private static int? ReadStarOrInt(string text, ref int position, Func<int> take)
    {
        if (At(text, position) != '*')
            return ReadInt(text, ref position);
        position++;
        return take();
    }

    private StringValue PercentText(Rendering run, object value) => Type switch
    {
        's' => Printer.Str(run, value),
        'c' => Character(value),
        _ => Printer.Repr(run, value),
    };

    private static StringValue Character(object value) => value is StringValue { Length: 1 } text
        ? text
        : value is BigInteger number && number >= 0 && number <= 0x10ffff && ((int)number is < 0xd800 or > 0xdfff)
            ? StringValue.Literal(char.ConvertFromUtf32((int)number))
            : throw Errors.Type("%c requires int or char");

    private StringValue WriteText(Rendering run, StringValue text, bool isNumber)
    {
        if (Precision is { } precision && precision < text.Length)
            text = text.Slice(0, text.OffsetOf(precision));
        return Pad(run, StringValue.Empty, text, Align == '\0' ? (isNumber ? '>' : '<') : Align, isNumber ? " " : Fill);
    }

    private StringValue WriteNumber(Rendering run, object value)
    {
        var digits = value is double || Type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%'
            ? FloatDigits(Arithmetic.ToDouble(value))
            : IntegerDigits(Protocols.ToInteger(value));
        var isNegative = digits.StartsWith('-');
        var sign = isNegative ? "-" : Sign == '-' ? "" : Sign.ToString();
        var text = StringValue.Literal(isNegative ? digits[1..] : digits);
        return Pad(run, StringValue.Literal(sign + Prefix), text, Align == '\0' ? '>' : Align, Fill);
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
            '\0' or 'd' or 'i' or 'u' or 'n' => Printer.Integer(magnitude),
            _ => throw Errors.Value($"Unknown format code '{Type}' for object of type 'int'"),
        };
        digits = digits.PadLeft(Precision ?? 0, '0');
        return (value.Sign < 0 ? "-" : "") + Group(digits, Type is 'x' or 'X' or 'b' or 'o' ? 4 : 3);
    }

    private static string Trim(string digits) => digits.TrimStart('0') is { Length: > 0 } trimmed ? trimmed : "0";

    private static string Octal(BigInteger value)
    {
        var bits = Trim(value.ToString("b", CultureInfo.InvariantCulture));
        bits = bits.PadLeft((bits.Length + 2) / 3 * 3, '0');
        return Trim(string.Concat(bits.Chunk(3).Select(chunk => Convert.ToInt32(new string(chunk), 2))));
    }

    private string FloatDigits(double value)
    {
        if (!double.IsFinite(value))
            return Printer.Float(value) is var text && Type is 'E' or 'F' or 'G' ? text.ToUpperInvariant() : text;
        var digits = Type switch
        {
            'f' or 'F' => FloatFormat.Fixed(value, Precision ?? 6),
            'd' or 'i' or 'u' => FloatFormat.Fixed(Math.Truncate(value), 0),
            '%' => FloatFormat.Fixed(value * 100, Precision ?? 6) + "%",
            'e' or 'E' => FloatFormat.Scientific(value, Precision ?? 6),
            'g' or 'G' => FloatFormat.General(value, Precision ?? 6),
            '\0' => Precision is { } precision ? FloatFormat.General(value, precision) : Printer.Float(value),
            _ => throw Errors.Value($"Unknown format code '{Type}' for object of type 'float'"),
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

    private StringValue Pad(Rendering run, StringValue prefix, StringValue text, char align, string fill)
    {
        var missing = Math.Max(0, Width - prefix.Length - text.Length);
        if (missing == 0 && prefix.Text.Length == 0)
            return text;
        run.ChargeText(0, (long)missing * fill.Length);
        var before = align switch { '<' => 0, '^' => missing / 2, _ => missing };
        var left = string.Concat(Enumerable.Repeat(fill, before));
        var right = string.Concat(Enumerable.Repeat(fill, missing - before));
        var builder = new StringValueBuilder(run);
        _ = align == '=' ? builder.Append(prefix).Append(left) : builder.Append(left).Append(prefix);
        return builder.Append(text).Append(right).Build();
    }
}
