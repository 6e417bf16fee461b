using System.Globalization;
using System.Numerics;
using System.Text;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>Python's json.dumps as the filter tojson of chat templates calls it.</summary>
internal sealed class JsonWriter
{
    private readonly Rendering _run;
    private readonly StringBuilder _text = new();
    private readonly bool _ensureAscii;
    private readonly bool _sortKeys;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;
    private bool _hasRequestText;

    private JsonWriter(Rendering run, object?[] options)
    {
        _run = run;
        _ensureAscii = options[1] is not null && Protocols.IsTrue(options[1]!);
        _indent = options[2] switch
        {
            null or NoneValue => null,
            StringValue text => text.Text,
            var width => new string(' ', Math.Clamp(Protocols.ToInt32(width!), 0, 1000)),
        };
        _sortKeys = options[4] is not null && Protocols.IsTrue(options[4]!);
        (_itemSeparator, _keySeparator) = (_indent is null ? ", " : ",", ": ");
        if (options[3] is null or NoneValue)
            return;
        var separators = Protocols.Iterate(options[3]!).Select(separator => Protocols.ToText(separator).Text).ToList();
        if (separators.Count != 2)
            throw Errors.Value($"separators must be a pair, not {separators.Count} items");
        (_itemSeparator, _keySeparator) = (separators[0], separators[1]);
    }

    /// <summary>
    /// Writes a value. The whole text counts as request text when the value holds any: JSON punctuation around a request's strings must
    /// not become control tokens either.
    /// </summary>
    /// <param name="run">The rendering.</param>
    /// <param name="arguments">value, ensure_ascii, indent, separators, sort_keys.</param>
    public static StringValue Dump(Rendering run, object?[] arguments)
    {
        var writer = new JsonWriter(run, arguments);
        writer.Write(arguments[0]!, 0);
        return StringValue.Of(writer._text.ToString(), writer._hasRequestText);
    }

    private void Write(object value, int depth)
    {
        Rendering.EnsureStack();
        switch (value)
        {
            case StringValue text:
                WriteString(text);
                break;
            case NoneValue or bool or BigInteger or double:
                Append(Scalar(value));
                break;
            case ListValue list:
                WriteItems('[', ']', list.Items, depth, item => Write(item, depth + 1));
                break;
            case TupleValue tuple:
                WriteItems('[', ']', tuple.Items, depth, item => Write(item, depth + 1));
                break;
            case DictValue dict:
                WriteItems('{', '}', Ordered(dict), depth, pair => WritePair(pair, depth));
                break;
            default:
                throw Errors.Type($"Object of type {Protocols.TypeName(value)} is not JSON serializable");
        }
    }

    private static string Scalar(object value) => value switch
    {
        NoneValue => "null",
        bool flag => flag ? "true" : "false",
        double.PositiveInfinity => "Infinity",
        double.NegativeInfinity => "-Infinity",
        double.NaN => "NaN",
        double number => Printer.Float(number),
        _ => Printer.Integer((BigInteger)value),
    };

    private IReadOnlyCollection<KeyValuePair<object, object>> Ordered(DictValue dict) => _sortKeys
        ? [.. Sorting.Sort(_run, dict.Keys, key => key).Select(key => KeyValuePair.Create(key, dict.Find(key)!))]
        : [.. dict.Entries];

    private void WriteItems<T>(char open, char close, IReadOnlyCollection<T> items, int depth, Action<T> write)
    {
        Append(open.ToString());
        var isFirst = true;
        foreach (var item in items)
        {
            if (!isFirst)
                Append(_itemSeparator);
            NewLine(depth + 1);
            write(item);
            isFirst = false;
        }
        if (items.Count > 0)
            NewLine(depth);
        Append(close.ToString());
    }

    private void NewLine(int depth)
    {
        if (_indent is null)
            return;
        _run.ChargeText(_text.Length, (long)_indent.Length * depth);
        Append("\n");
        for (; depth > 0; depth--)
            Append(_indent);
    }

    private void WritePair(KeyValuePair<object, object> pair, int depth)
    {
        WriteString(pair.Key switch
        {
            StringValue text => text,
            NoneValue or bool or BigInteger or double => StringValue.Literal(Scalar(pair.Key)),
            _ => throw Errors.Type($"keys must be str, int, float, bool or None, not {Protocols.TypeName(pair.Key)}"),
        });
        Append(_keySeparator);
        Write(pair.Value, depth + 1);
    }

    private void WriteString(StringValue value)
    {
        _hasRequestText |= value.HasRequestText;
        _run.ChargeText(_text.Length, value.Text.Length);
        _text.Append('"');
        foreach (var character in value.Text)
            _ = character switch
            {
                '"' => _text.Append("\\\""),
                '\\' => _text.Append("\\\\"),
                '\n' => _text.Append("\\n"),
                '\r' => _text.Append("\\r"),
                '\t' => _text.Append("\\t"),
                '\b' => _text.Append("\\b"),
                '\f' => _text.Append("\\f"),
                < ' ' => _text.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
                > '~' when _ensureAscii => _text.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
                _ => _text.Append(character),
            };
        _text.Append('"');
    }

    private void Append(string text)
    {
        _run.ChargeText(_text.Length, text.Length);
        _text.Append(text);
    }
}
