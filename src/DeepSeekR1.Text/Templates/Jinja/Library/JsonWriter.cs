using System.Globalization;
using System.Numerics;
using System.Text;

namespace DeepSeekR1.Text.Templates;

/// <summary>Python's json.dumps as the filter tojson of chat templates calls it.</summary>
internal sealed class JinjaJson
{
    private readonly JinjaRun _run;
    private readonly StringBuilder _text = new();
    private readonly bool _ensureAscii;
    private readonly bool _sortKeys;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;
    private bool _hasRequestText;

    private JinjaJson(JinjaRun run, object?[] options)
    {
        _run = run;
        _ensureAscii = options[1] is not null && JinjaTypes.IsTrue(options[1]!);
        _indent = options[2] switch
        {
            null or JinjaNone => null,
            JinjaString text => text.Text,
            var width => new string(' ', Math.Clamp(JinjaTypes.ToInt32(width!), 0, 1000)),
        };
        _sortKeys = options[4] is not null && JinjaTypes.IsTrue(options[4]!);
        (_itemSeparator, _keySeparator) = (_indent is null ? ", " : ",", ": ");
        if (options[3] is null or JinjaNone)
            return;
        var separators = JinjaTypes.Iterate(options[3]!).Select(separator => JinjaTypes.ToText(separator).Text).ToList();
        if (separators.Count != 2)
            throw JinjaErrors.Value($"separators must be a pair, not {separators.Count} items");
        (_itemSeparator, _keySeparator) = (separators[0], separators[1]);
    }

    /// <summary>
    /// Writes a value. The whole text counts as request text when the value holds any: JSON punctuation around a request's strings must
    /// not become control tokens either.
    /// </summary>
    /// <param name="run">The rendering.</param>
    /// <param name="arguments">value, ensure_ascii, indent, separators, sort_keys.</param>
    public static JinjaString Dump(JinjaRun run, object?[] arguments)
    {
        var writer = new JinjaJson(run, arguments);
        writer.Write(arguments[0]!, 0);
        return JinjaString.Of(writer._text.ToString(), writer._hasRequestText);
    }

    private void Write(object value, int depth)
    {
        JinjaRun.EnsureStack();
        switch (value)
        {
            case JinjaString text:
                WriteString(text);
                break;
            case JinjaNone or bool or BigInteger or double:
                Append(Scalar(value));
                break;
            case JinjaList list:
                WriteItems('[', ']', list.Items, depth, item => Write(item, depth + 1));
                break;
            case JinjaTuple tuple:
                WriteItems('[', ']', tuple.Items, depth, item => Write(item, depth + 1));
                break;
            case JinjaDict dict:
                WriteItems('{', '}', Ordered(dict), depth, pair => WritePair(pair, depth));
                break;
            default:
                throw JinjaErrors.Type($"Object of type {JinjaTypes.Name(value)} is not JSON serializable");
        }
    }

    private static string Scalar(object value) => value switch
    {
        JinjaNone => "null",
        bool flag => flag ? "true" : "false",
        double.PositiveInfinity => "Infinity",
        double.NegativeInfinity => "-Infinity",
        double.NaN => "NaN",
        double number => JinjaPrinter.Float(number),
        _ => JinjaPrinter.Integer((BigInteger)value),
    };

    private IReadOnlyCollection<KeyValuePair<object, object>> Ordered(JinjaDict dict) => _sortKeys
        ? [.. JinjaSorting.Sort(_run, dict.Keys, key => key).Select(key => KeyValuePair.Create(key, dict.Find(key)!))]
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
            JinjaString text => text,
            JinjaNone or bool or BigInteger or double => JinjaString.Literal(Scalar(pair.Key)),
            _ => throw JinjaErrors.Type($"keys must be str, int, float, bool or None, not {JinjaTypes.Name(pair.Key)}"),
        });
        Append(_keySeparator);
        Write(pair.Value, depth + 1);
    }

    private void WriteString(JinjaString value)
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
