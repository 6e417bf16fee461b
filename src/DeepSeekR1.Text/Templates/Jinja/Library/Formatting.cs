using System.Globalization;
using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>Python's two ways to fill in a pattern: <c>'%s' % x</c> and <c>'{}'.format(x)</c>. Inserted text keeps its origin.</summary>
internal static class Formatting
{
    /// <summary><c>format % values</c>.</summary>
    public static StringValue Percent(Rendering run, StringValue format, object values)
    {
        var builder = new StringValueBuilder(run);
        var positional = values is TupleValue tuple ? tuple.Items : [values];
        var next = 0;
        object Take() => next < positional.Count ? positional[next++] : throw Errors.Type("not enough arguments for format string");
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
            var spec = FormatSpec.ReadPercent(format.Text, ref position, () => Protocols.ToInt32(Take()));
            builder.Append(spec.Type == '%' ? StringValue.Literal("%") : spec.Apply(run, named ?? Take(), isPercent: true));
        }
        if (next < positional.Count && !usesNames && values is not (DictValue or ListValue or RangeValue or BytesValue or UndefinedValue))
            throw Errors.Type("not all arguments converted during string formatting");
        return builder.Build().AsMarkup(format.IsMarkup);
    }

    /// <summary><c>format.format(*args, **kwargs)</c>; the format string is the first positional argument.</summary>
    public static object Format(Rendering run, Arguments arguments)
    {
        var format = (StringValue)arguments.Positional[0];
        return new Filler(run, arguments.Positional[1..], name => arguments.Find(name) ?? throw MissingKey(name)).Fill(format, 0);
    }

    /// <summary><c>format.format_map(mapping)</c>.</summary>
    public static object FormatMap(Rendering run, StringValue format, object mapping) => mapping is DictValue dict
        ? new Filler(run, [], name => dict.Find(StringValue.Literal(name)) ?? throw MissingKey(name)).Fill(format, 0)
        : throw Errors.Type("format_map() requires a mapping");

    private static TemplateException MissingKey(string name) => new("KeyError", $"'{name}'");

    private static object ReadName(StringValue format, object values, ref int position)
    {
        var close = format.Text.IndexOf(')', position);
        if (close < 0)
            throw Errors.Value("incomplete format key");
        if (values is not DictValue dict)
            throw Errors.Type("format requires a mapping");
        var name = format.Text[(position + 1)..close];
        position = close + 1;
        return dict.Find(StringValue.Literal(name)) ?? throw MissingKey(name);
    }

    // Replacement fields of str.format: {name.attribute[item]!conversion:spec}, where the spec may hold fields itself.
    private sealed class Filler(Rendering run, object[] positional, Func<string, object> find)
    {
        private int _next;

        public StringValue Fill(StringValue format, int depth)
        {
            if (depth > 2)
                throw Errors.Value("Max string recursion exceeded");
            var builder = new StringValueBuilder(run);
            var text = format.Text;
            for (var position = 0; position < text.Length; position++)
            {
                if (text[position] is not ('{' or '}'))
                    builder.Append(format, position, position + 1);
                else if (position + 1 < text.Length && text[position + 1] == text[position])
                    builder.Append(format, position, ++position);
                else if (text[position] == '}')
                    throw Errors.Value("Single '}' encountered in format string");
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
            throw Errors.Value("expected '}' before end of string");
        }

        private StringValue FillField(StringValue field, int depth)
        {
            var text = field.Text;
            var colon = text.IndexOf(':');
            var spec = colon < 0 ? StringValue.Empty : Fill(field.Slice(colon + 1, text.Length), depth + 1);
            var head = colon < 0 ? text : text[..colon];
            var mark = head.IndexOf('!');
            var value = Lookup(mark < 0 ? head : head[..mark]);
            if (mark >= 0)
                value = head[(mark + 1)..] switch
                {
                    "s" => Printer.Str(run, value),
                    "r" or "a" => Printer.Repr(run, value),
                    var conversion => throw Errors.Value($"Unknown conversion specifier {conversion}"),
                };
            return FormatSpec.Parse(spec.Text).Apply(run, value, isPercent: false);
        }

        private object Lookup(string path)
        {
            var end = EndOfName(path, 0);
            var name = path[..end];
            var value = name.Length == 0 ? At(_next++) : Key(name) is BigInteger index ? At(index) : find(name);
            for (var position = end; position < path.Length;)
            {
                var isItem = path[position] == '[';
                var stop = isItem ? path.IndexOf(']', position) : EndOfName(path, position + 1);
                if (stop < 0)
                    throw Errors.Value("Missing ']' in format string");
                var part = path[(position + 1)..stop];
                value = isItem
                    ? Attributes.GetItem(run, value, Key(part))
                    : Attributes.GetAttribute(run, value, StringValue.Literal(part));
                position = isItem ? stop + 1 : stop;
            }
            return value is UndefinedValue undefined && end < path.Length ? throw undefined.Error() : value;
        }

        private static object Key(string part) =>
            BigInteger.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : StringValue.Literal(part);

        private static int EndOfName(string path, int start) =>
            path.AsSpan(start).IndexOfAny('.', '[') is var found and >= 0 ? start + found : path.Length;

        private object At(BigInteger index) => index < positional.Length
            ? positional[(int)index]
            : throw new TemplateException("IndexError", "Replacement index out of range for positional args tuple");
    }
}
