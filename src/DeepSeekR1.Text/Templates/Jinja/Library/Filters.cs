using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>The filters of jinja2, with Hugging Face's tojson. The first argument is the value in front of the bar.</summary>
internal static class JinjaFilters
{
    /// <summary>All filters by name.</summary>
    public static readonly IReadOnlyDictionary<string, JinjaCallable> All = WithAliases(
    [
        new JinjaFunction("abs", "value", (_, a) => Absolute(a[0]!)),
        new JinjaFunction("attr", "value, name", (run, a) => Attribute(run, a[0]!, JinjaTypes.ToText(a[1]!))),
        new JinjaFunction("batch", "value, linecount, fill_with=", (run, a) => new JinjaIterator(JinjaGrouping.Batch(run, a))),
        new JinjaFunction("capitalize", "value", (run, a) => JinjaCasing.Capitalize(run, Str(run, a[0]!))),
        new JinjaFunction(
            "center", "value, width=", (run, a) => JinjaStringMethods.Center(run, Str(run, a[0]!), [a[0], a[1] ?? JinjaBox.Int(80), null])),
        new JinjaFunction("default", "value, default_value=, boolean=", (_, a) => Default(a)),
        new JinjaFunction("dictsort", "value, case_sensitive=, by=, reverse=", (run, a) => JinjaGrouping.DictSort(run, a)),
        new JinjaFunction("escape", "value", (run, a) => JinjaHtml.Escape(run, Str(run, a[0]!))),
        new JinjaFunction("forceescape", "value", (run, a) => JinjaHtml.Escape(run, Str(run, a[0]!).AsMarkup(false))),
        new JinjaFunction("filesizeformat", "value, binary=", (_, a) => JinjaString.Literal(FileSize(a[0]!, IsSet(a[1])))),
        new JinjaFunction("first", "seq", (_, a) => First(a[0]!)),
        new JinjaFunction("float", "value, default=", (_, a) => Number(a[0]!, value => ToFloat(value)) ?? a[1] ?? 0.0),
        new JinjaVariadic("format", Format),
        new JinjaFunction("groupby", "value, attribute, default=, case_sensitive=", (run, a) => JinjaGrouping.GroupBy(run, a)),
        new JinjaFunction("indent", "s, width=, first=, blank=", Indent),
        new JinjaFunction(
            "int", "value, default=, base=", (_, a) => Number(a[0]!, value => ToInteger(value, a[2])) ?? a[1] ?? JinjaBox.Int(0)),
        new JinjaFunction("items", "value", (_, a) => new JinjaIterator(Items(a[0]!))),
        new JinjaFunction("join", "value, d=, attribute=", Join),
        new JinjaFunction("last", "seq", (_, a) => Last(a[0]!)),
        new JinjaFunction("length", "value", (_, a) => JinjaBox.Int(JinjaTypes.Length(a[0]!))),
        new JinjaFunction("list", "value", (run, a) => new JinjaList(JinjaTypes.ToList(run, a[0]!))),
        new JinjaFunction("lower", "s", (run, a) => JinjaCasing.Lower(run, Str(run, a[0]!))),
        new JinjaVariadic("map", JinjaSelection.Map),
        new JinjaFunction("max", "value, case_sensitive=, attribute=", (run, a) => JinjaGrouping.Extreme(run, a, isMaximum: true)),
        new JinjaFunction("min", "value, case_sensitive=, attribute=", (run, a) => JinjaGrouping.Extreme(run, a, isMaximum: false)),
        new JinjaFunction("pprint", "value", (run, a) => JinjaPrinter.Repr(run, a[0]!)),
        new JinjaFunction("random", "seq", (run, a) => JinjaTypes.ToList(run, a[0]!) is { Count: > 0 } items
            ? items[Random.Shared.Next(items.Count)]
            : JinjaUndefined.WithHint("No random item, sequence was empty.")),
        new JinjaVariadic("reject", (run, a) => JinjaSelection.Select(run, a, byAttribute: false, keep: false)),
        new JinjaVariadic("rejectattr", (run, a) => JinjaSelection.Select(run, a, byAttribute: true, keep: false)),
        new JinjaFunction("replace", "s, old, new, count=", Replace),
        new JinjaFunction("reverse", "value", (run, a) => Reverse(run, a[0]!)),
        new JinjaFunction("round", "value, precision=, method=", (_, a) => Round(a)),
        new JinjaFunction("safe", "value", (run, a) => Str(run, a[0]!).AsMarkup(true)),
        new JinjaVariadic("select", (run, a) => JinjaSelection.Select(run, a, byAttribute: false, keep: true)),
        new JinjaVariadic("selectattr", (run, a) => JinjaSelection.Select(run, a, byAttribute: true, keep: true)),
        new JinjaFunction("slice", "value, slices, fill_with=", (run, a) => new JinjaIterator(JinjaGrouping.Slices(run, a))),
        new JinjaFunction("sort", "value, reverse=, case_sensitive=, attribute=", (run, a) => JinjaGrouping.Sort(run, a)),
        new JinjaFunction("string", "value", (run, a) => Str(run, a[0]!)),
        new JinjaFunction("sum", "iterable, attribute=, start=", Sum),
        new JinjaFunction("title", "s", (run, a) => JinjaCasing.TitleWords(run, Str(run, a[0]!))),
        new JinjaFunction("tojson", "x, ensure_ascii=, indent=, separators=, sort_keys=", JinjaJson.Dump),
        new JinjaFunction(
            "trim", "value, chars=", (run, a) => JinjaStringMethods.Strip(run, Str(run, a[0]!), a[1], left: true, right: true)),
        new JinjaFunction("truncate", "s, length=, killwords=, end=, leeway=", Truncate),
        new JinjaFunction("unique", "value, case_sensitive=, attribute=", (run, a) => new JinjaIterator(JinjaGrouping.Unique(run, a))),
        new JinjaFunction("upper", "s", (run, a) => JinjaCasing.Upper(run, Str(run, a[0]!))),
        new JinjaFunction("urlencode", "value", (run, a) => UrlEncode(run, a[0]!)),
        new JinjaFunction("wordcount", "s", (run, a) => JinjaBox.Int(WordCount(Str(run, a[0]!).Text))),
    ]);

    private static JinjaString Str(JinjaRun run, object value) => JinjaPrinter.Str(run, value);

    private static bool IsSet(object? flag) => flag is not null && JinjaTypes.IsTrue(flag);

    private static Dictionary<string, JinjaCallable> WithAliases(JinjaCallable[] filters)
    {
        var table = filters.ToDictionary(filter => filter.Name);
        (table["count"], table["d"], table["e"]) = (table["length"], table["default"], table["escape"]);
        return table;
    }

    private static object Absolute(object value) => value switch
    {
        double number => Math.Abs(number),
        BigInteger or bool => BigInteger.Abs(JinjaTypes.ToInteger(value)),
        _ => throw JinjaErrors.Type($"bad operand type for abs(): '{JinjaTypes.Name(value)}'"),
    };

    private static object Attribute(JinjaRun run, object value, JinjaString name) => JinjaAttributes.HasAttribute(value, name.Text)
        ? JinjaAttributes.GetAttribute(run, value, name)
        : value is JinjaUndefined undefined ? throw undefined.Error() : new JinjaUndefined(value, name);

    private static object Default(object?[] a) =>
        a[0] is JinjaUndefined || (IsSet(a[2]) && !JinjaTypes.IsTrue(a[0]!)) ? a[1] ?? JinjaString.Empty : a[0]!;

    private static string FileSize(object value, bool isBinary)
    {
        var bytes = ToFloat(value) ?? throw NotANumber(value);
        var unit = isBinary ? 1024.0 : 1000.0;
        if (bytes == 1)
            return "1 Byte";
        if (bytes < unit)
            return Math.Truncate(bytes).ToString("F0", CultureInfo.InvariantCulture) + " Bytes";
        var power = 0;
        for (var limit = unit * unit; bytes >= limit && power < 7; limit *= unit)
            power++;
        var prefix = isBinary ? "KMGTPEZY"[power] + "i" : "kMGTPEZY"[power].ToString();
        return $"{JinjaFloats.Fixed(unit * bytes / Math.Pow(unit, power + 2), 1)} {prefix}B";
    }

    private static TemplateException NotANumber(object value) => value switch
    {
        JinjaUndefined undefined => undefined.Error(),
        JinjaString => JinjaErrors.Value($"could not convert string to float: {JinjaPrinter.ReprText(value)}"),
        _ => JinjaErrors.Type($"float() argument must be a string or a real number, not '{JinjaTypes.Name(value)}'"),
    };

    // int and float give their default for what cannot be converted, but an undefined value is an error.
    private static object? Number(object value, Func<object, object?> convert) =>
        value is JinjaUndefined undefined ? throw undefined.Error() : convert(value);

    private static double? ToFloat(object value) => value switch
    {
        JinjaString text => JinjaText.ParseFloat(text.Text),
        BigInteger or double or bool => JinjaArithmetic.ToDouble(value),
        _ => null,
    };

    private static object? ToInteger(object value, object? radixOption)
    {
        var radix = radixOption is null ? 10 : JinjaTypes.ToInt32(radixOption);
        if (value is BigInteger or bool)
            return JinjaTypes.ToInteger(value);
        if (value is JinjaString text && JinjaText.ParseSignedInteger(text.Text, radix) is { } number)
            return number;
        return ToFloat(value) is { } real && double.IsFinite(real) ? new BigInteger(Math.Truncate(real)) : null;
    }

    private static object Format(JinjaRun run, JinjaArguments arguments)
    {
        if (arguments.Positional.Length > 1 && arguments.Keyword.Count > 0)
            throw new TemplateException("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
        if (arguments.Keyword.Count == 0)
            return JinjaFormat.Percent(run, Str(run, arguments.Positional[0]), new JinjaTuple(arguments.Positional[1..]));
        var named = new JinjaDict();
        foreach (var (name, value) in arguments.Keyword)
            named.Set(JinjaString.Literal(name), value);
        return JinjaFormat.Percent(run, Str(run, arguments.Positional[0]), named);
    }

    private static object Indent(JinjaRun run, object?[] a)
    {
        var text = a[0] as JinjaString ?? throw (a[0] switch
        {
            JinjaUndefined undefined => undefined.Error(),
            JinjaList => new TemplateException("AttributeError", "'list' object has no attribute 'splitlines'"),
            _ => JinjaErrors.Type($"unsupported operand type(s) for +=: '{JinjaTypes.Name(a[0]!)}' and 'str'"),
        });
        var width = a[1] as JinjaString ?? (JinjaString)JinjaArithmetic.Apply(run, "*", JinjaString.Literal(" "), a[1] ?? JinjaBox.Int(4));
        var newline = JinjaString.Literal("\n");
        var lines = JinjaSplitting.SplitLines(run, (JinjaString)JinjaArithmetic.Add(run, text, newline), keepEnds: false);
        var builder = new JinjaStringBuilder(run);
        for (var index = 0; index < lines.Count; index++)
        {
            if (index > 0)
                builder.Append(newline);
            if (index == 0 ? IsSet(a[2]) : IsSet(a[3]) || lines[index].Text.Length > 0)
                builder.Append(width);
            builder.Append(lines[index]);
        }
        return builder.Build().AsMarkup(text.IsMarkup);
    }

    // A generator: it fails when it is first asked, as in Python.
    private static IEnumerable<object> Items(object value)
    {
        if (value is JinjaUndefined)
            yield break;
        if (value is not JinjaDict dict)
            throw JinjaErrors.Type("Can only get item pairs from a mapping.");
        foreach (var item in new JinjaDictView(dict, "dict_items").Items)
            yield return item;
    }

    private static object Join(JinjaRun run, object?[] a)
    {
        var getter = a[2] is null or JinjaNone ? null : JinjaSelection.Getter(run, a[2]!, null);
        var items = JinjaTypes.Iterate(a[0]!).Select(item => Str(run, getter is null ? item : getter(item)));
        return JinjaStringMethods.JoinTexts(run, a[1] is null ? JinjaString.Empty : Str(run, a[1]!), items);
    }

    private static object First(object value) =>
        JinjaTypes.Iterate(value).FirstOrDefault() ?? JinjaUndefined.WithHint("No first item, sequence was empty.");

    private static object Last(object value)
    {
        if (value is JinjaIterator)
            throw JinjaErrors.Type($"'{JinjaTypes.Name(value)}' object is not reversible");
        return JinjaTypes.Iterate(value).LastOrDefault() ?? JinjaUndefined.WithHint("No last item, sequence was empty.");
    }

    private static object Replace(JinjaRun run, object?[] a)
    {
        var count = a[3] is null or JinjaNone ? -1 : JinjaTypes.Clamp(a[3]!);
        return JinjaStringMethods.Replace(run, Str(run, a[0]!).AsMarkup(false), Str(run, a[1]!), Str(run, a[2]!), count);
    }

    private static object Reverse(JinjaRun run, object value)
    {
        if (value is JinjaString text)
            return JinjaSlicing.Slice(run, text, null, null, JinjaBox.Int(-1));
        if (!JinjaTypes.IsIterable(value))
            throw new TemplateException("FilterArgumentError", "argument must be iterable");
        var items = JinjaTypes.ToList(run, value);
        items.Reverse();
        return value is JinjaIterator
            ? new JinjaList(items)
            : new JinjaIterator(items, value is JinjaTuple or JinjaUndefined ? "reversed" : JinjaTypes.Name(value) + "_reverseiterator");
    }

    private static object Round(object?[] a)
    {
        var precision = a[1] is null ? 0 : JinjaTypes.ToInt32(a[1]!);
        var method = a[2] is null ? "common" : JinjaTypes.ToText(a[2]!).Text;
        if (method is not ("common" or "ceil" or "floor"))
            throw new TemplateException("FilterArgumentError", "method must be common, ceil or floor");
        if (!JinjaOperators.IsNumber(a[0]!))
            throw method != "common" && a[0] is JinjaUndefined undefined
                ? undefined.Error()
                : JinjaErrors.Type($"type {JinjaTypes.Name(a[0]!)} doesn't define __round__ method");
        if (method == "common")
            return a[0] is double value ? JinjaFloats.Round(value, precision) : RoundInteger(JinjaTypes.ToInteger(a[0]!), precision);
        var scale = Math.Pow(10, precision);
        var scaled = JinjaArithmetic.ToDouble(a[0]!) * scale;
        return (method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled)) / scale;
    }

    private static object RoundInteger(BigInteger value, int precision)
    {
        if (precision >= 0)
            return value;
        var unit = BigInteger.Pow(10, Math.Min(-precision, 5000));
        var rest = BigInteger.Remainder(BigInteger.Remainder(value, unit) + unit, unit);
        var down = value - rest;
        var order = (rest * 2).CompareTo(unit);
        return order > 0 || (order == 0 && !(down / unit).IsEven) ? down + unit : down;
    }

    private static object Sum(JinjaRun run, object?[] a)
    {
        var getter = a[1] is null or JinjaNone ? null : JinjaSelection.Getter(run, a[1]!, null);
        var total = a[2] ?? JinjaBox.Int(0);
        foreach (var item in JinjaTypes.Iterate(a[0]!))
            total = JinjaArithmetic.Apply(run, "+", total, getter is null ? item : getter(item));
        return total;
    }

    private static object Truncate(JinjaRun run, object?[] a)
    {
        var length = a[1] is null ? 255 : JinjaTypes.ToInt32(a[1]!);
        var end = a[3] is null ? JinjaString.Literal("...") : JinjaTypes.ToText(a[3]!);
        var leeway = a[4] is null or JinjaNone ? 5 : JinjaTypes.ToInt32(a[4]!);
        if (length < end.Length)
            throw new TemplateException("AssertionError", $"expected length >= {end.Length}, got {length}");
        if (leeway < 0)
            throw new TemplateException("AssertionError", $"expected leeway >= 0, got {leeway}");
        if (JinjaTypes.Length(a[0]!) <= (long)length + leeway)
            return a[0]!;
        var text = JinjaTypes.ToText(a[0]!);
        var head = text.Slice(0, text.OffsetOf(length - end.Length));
        if (!IsSet(a[2]))
            head = JinjaSplitting.SplitRight(run, head, JinjaString.Literal(" "), 1)[0];
        return new JinjaStringBuilder(run).Append(head).Append(end).Build();
    }

    private static object UrlEncode(JinjaRun run, object value)
    {
        if (value is JinjaString || !JinjaTypes.IsIterable(value))
            return Quote(run, Str(run, value), "/");
        var pairs = value is JinjaDict dict ? new JinjaDictView(dict, "dict_items").Items : JinjaTypes.Iterate(value);
        return JinjaStringMethods.JoinTexts(run, JinjaString.Literal("&"), pairs.Select(pair =>
        {
            var parts = JinjaTypes.ToList(run, pair).ConvertAll(part => Quote(run, Str(run, part), ""));
            return parts.Count == 2
                ? new JinjaStringBuilder(run).Append(parts[0]).Append("=").Append(parts[1]).Build()
                : throw JinjaErrors.Value("not enough values to unpack (expected 2)");
        }));
    }

    private static JinjaString Quote(JinjaRun run, JinjaString text, string safe)
    {
        var builder = new JinjaStringBuilder(run);
        foreach (var character in text.CodePoints())
            if (char.IsAsciiLetterOrDigit(character.Text[0]) || "_.-~".Contains(character.Text[0]) || safe.Contains(character.Text[0]))
                builder.Append(character);
            else if (character.Text == " " && safe.Length == 0)
                builder.Append("+", character.HasRequestText);
            else
                foreach (var item in System.Text.Encoding.UTF8.GetBytes(character.Text))
                    builder.Append($"%{item:X2}", character.HasRequestText);
        return builder.Build();
    }

    private static int WordCount(string text)
    {
        var count = 0;
        var inside = false;
        for (var offset = 0; offset < text.Length; offset += JinjaString.WidthAt(text, offset))
        {
            var isWord = text[offset] == '_' || JinjaStringMethods.IsAlphanumeric(text, offset);
            count += isWord && !inside ? 1 : 0;
            inside = isWord;
        }
        return count;
    }
}
