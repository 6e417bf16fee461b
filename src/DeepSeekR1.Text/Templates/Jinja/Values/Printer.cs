using System.Globalization;
using System.Numerics;
using System.Text;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's str() and repr(). Characters of a string keep their origin, everything around them is literal.</summary>
internal static class Printer
{
    // Python 3.11 refuses to print longer integers.
    private const int MaxDigits = 4300;

    /// <summary>str(value).</summary>
    public static StringValue Str(Rendering run, object value) => value switch
    {
        StringValue text => text,
        UndefinedValue => StringValue.Empty,
        ListValue or TupleValue or DictValue or DictView or NamespaceValue => Repr(run, value),
        _ => StringValue.Of(Scalar(value), value is BytesValue { FromRequest: true }),
    };

    /// <summary>repr(value).</summary>
    public static StringValue Repr(Rendering run, object value)
    {
        var builder = new StringValueBuilder(run);
        WriteRepr(run, builder, value);
        return builder.Build();
    }

    /// <summary>repr of a name or index for a message.</summary>
    public static string ReprText(object value) => Repr(new Rendering(BuiltIns.None, TimeProvider.System), value).Text;

    /// <summary>repr(float): the shortest text that reads back, exponents from 1e16 and below 1e-4.</summary>
    public static string Float(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        var shortest = value.ToString("R", CultureInfo.InvariantCulture);
        var exponent = value == 0 ? 0 : DecimalExponent(shortest);
        return exponent is >= -4 and < 16 ? Positional(shortest, exponent) : Scientific(shortest, exponent);
    }

    /// <summary>Decimal digits of an int, refused where Python refuses.</summary>
    public static string Integer(BigInteger value)
    {
        var text = value.ToString(CultureInfo.InvariantCulture);
        if (text.Length > MaxDigits + (value.Sign < 0 ? 1 : 0))
            throw Errors.Value($"Exceeds the limit ({MaxDigits} digits) for integer string conversion");
        return text;
    }

    private static string Scalar(object value) => value switch
    {
        NoneValue => "None",
        bool flag => flag ? "True" : "False",
        BigInteger number => Integer(number),
        double number => Float(number),
        RangeValue range => range.Step.IsOne
            ? $"range({range.Start}, {range.Stop})"
            : $"range({range.Start}, {range.Stop}, {range.Step})",
        BytesValue bytes => BytesRepr(bytes.Bytes),
        UndefinedValue => "Undefined",
        LoopContext loop => $"<LoopContext {loop.Index}/{loop.Length}>",
        Macro macro => $"<Macro '{macro.Name}'>",
        _ => $"<{Protocols.TypeName(value)} object>",
    };

    private static void WriteRepr(Rendering run, StringValueBuilder builder, object value)
    {
        Rendering.EnsureStack();
        switch (value)
        {
            case StringValue text:
                WriteString(builder, text);
                break;
            case ListValue list:
                WriteItems(run, builder, "[", list.Items, "]");
                break;
            case TupleValue tuple:
                WriteItems(run, builder, "(", tuple.Items, tuple.Items.Count == 1 ? ",)" : ")");
                break;
            case DictValue dict:
                WritePairs(run, builder, dict.Entries);
                break;
            case DictView view:
                WriteItems(run, builder, view.Kind + "([", view.Items, "])");
                break;
            case NamespaceValue space:
                builder.Append("<Namespace ");
                WritePairs(run, builder, space.Attributes);
                builder.Append(">");
                break;
            default:
                builder.Append(Scalar(value), value is BytesValue { FromRequest: true });
                break;
        }
    }

    private static void WriteItems(Rendering run, StringValueBuilder builder, string open, IEnumerable<object> items, string close)
    {
        builder.Append(open);
        var separator = "";
        foreach (var item in items)
        {
            builder.Append(separator);
            WriteRepr(run, builder, item);
            separator = ", ";
        }
        builder.Append(close);
    }

    private static void WritePairs(Rendering run, StringValueBuilder builder, IEnumerable<KeyValuePair<object, object>> pairs)
    {
        builder.Append("{");
        var separator = "";
        foreach (var (key, item) in pairs)
        {
            builder.Append(separator);
            WriteRepr(run, builder, key);
            builder.Append(": ");
            WriteRepr(run, builder, item);
            separator = ", ";
        }
        builder.Append("}");
    }

    // Single quotes unless the text has some and no double ones; what cannot be printed is escaped.
    private static void WriteString(StringValueBuilder builder, StringValue value)
    {
        var text = value.Text;
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        builder.Append(value.IsMarkup ? $"Markup({quote}" : $"{quote}");
        for (var offset = 0; offset < text.Length;)
        {
            var width = StringValue.WidthAt(text, offset);
            if (EscapeOf(text, offset, quote) is { } escape)
                builder.Append(escape, value.IsRequestAt(offset));
            else
                builder.Append(value, offset, offset + width);
            offset += width;
        }
        builder.Append(value.IsMarkup ? $"{quote})" : $"{quote}");
    }

    private static string? EscapeOf(string text, int offset, char quote)
    {
        var character = text[offset];
        if (character is >= ' ' and < '\u007f')
            return character == '\\' || character == quote ? $"\\{character}" : null;
        if (character is '\n' or '\r' or '\t')
            return character switch { '\n' => "\\n", '\r' => "\\r", _ => "\\t" };
        if (IsPrintable(StringValue.CategoryAt(text, offset)))
            return null;
        var code = StringValue.CodePointAt(text, offset);
        return code < 0x100 ? $"\\x{code:x2}" : code < 0x10000 ? $"\\u{code:x4}" : $"\\U{code:x8}";
    }

    /// <summary>Python's str.isprintable for one code point other than the space.</summary>
    public static bool IsPrintable(UnicodeCategory category) => category is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator
        or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);

    private static string BytesRepr(byte[] bytes)
    {
        var quote = bytes.Contains((byte)'\'') && !bytes.Contains((byte)'"') ? '"' : '\'';
        var text = new StringBuilder().Append('b').Append(quote);
        foreach (var item in bytes)
            text.Append((char)item switch
            {
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\\' => "\\\\",
                var character when character == quote => $"\\{character}",
                var character when item is >= 0x20 and < 0x7f => character.ToString(),
                _ => $"\\x{item:x2}",
            });
        return text.Append(quote).ToString();
    }

    private static string Digits(string shortest)
    {
        var mantissa = shortest.Split('E')[0].Replace(".", "", StringComparison.Ordinal);
        return mantissa.TrimStart('-', '0').TrimEnd('0') is { Length: > 0 } digits ? digits : "0";
    }

    // Exponent of the first digit.
    private static int DecimalExponent(string shortest)
    {
        if (shortest.IndexOf('E', StringComparison.Ordinal) is var mark and >= 0)
            return int.Parse(shortest.AsSpan(mark + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        var plain = shortest.TrimStart('-');
        var point = plain.IndexOf('.', StringComparison.Ordinal) is var found and >= 0 ? found : plain.Length;
        if (plain[0] != '0')
            return point - 1;
        var first = plain.AsSpan(point + 1).IndexOfAnyExcept('0');
        return -first - 1;
    }

    private static string Positional(string shortest, int exponent)
    {
        var sign = shortest.StartsWith('-') ? "-" : "";
        var digits = Digits(shortest);
        if (exponent < 0)
            return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        digits = digits.PadRight(exponent + 1, '0');
        var fraction = digits[(exponent + 1)..];
        return $"{sign}{digits[..(exponent + 1)]}.{(fraction.Length > 0 ? fraction : "0")}";
    }

    private static string Scientific(string shortest, int exponent)
    {
        var sign = shortest.StartsWith('-') ? "-" : "";
        var digits = Digits(shortest);
        var fraction = digits.Length > 1 ? "." + digits[1..] : "";
        return $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
    }
}
