using System.Globalization;
using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The filters of jinja2, with Hugging Face's tojson. The first argument is the value in front of the bar.</summary>
internal static class Filters
{
    /// <summary>All filters by name.</summary>
    public static readonly IReadOnlyDictionary<string, Callable> All = WithAliases(
    [
        new Function("abs", "value", (_, a) => Absolute(a[0]!)),
        new Function("attr", "value, name", (run, a) => Attribute(run, a[0]!, Protocols.ToText(a[1]!))),
        new Function("batch", "value, linecount, fill_with=", (run, a) => new IteratorValue(Grouping.Batch(run, a))),
        new Function("capitalize", "value", (run, a) => Casing.Capitalize(run, Str(run, a[0]!))),
        new Function(
            "center", "value, width=", (run, a) => StringMethods.Center(run, Str(run, a[0]!), [a[0], a[1] ?? Boxed.Int(80), null])),
        new Function("default", "value, default_value=, boolean=", (_, a) => Default(a)),
        new Function("dictsort", "value, case_sensitive=, by=, reverse=", (run, a) => Grouping.DictSort(run, a)),
        new Function("escape", "value", (run, a) => Html.Escape(run, Str(run, a[0]!))),
        new Function("forceescape", "value", (run, a) => Html.Escape(run, Str(run, a[0]!).AsMarkup(false))),
        new Function("filesizeformat", "value, binary=", (_, a) => StringValue.Literal(FileSize(a[0]!, IsSet(a[1])))),
        new Function("first", "seq", (_, a) => First(a[0]!)),
        new Function("float", "value, default=", (_, a) => Number(a[0]!, value => ToFloat(value)) ?? a[1] ?? 0.0),
        new VariadicFunction("format", Format),
        new Function("groupby", "value, attribute, default=, case_sensitive=", (run, a) => Grouping.GroupBy(run, a)),
        new Function("indent", "s, width=, first=, blank=", Indent),
        new Function(
            "int", "value, default=, base=", (_, a) => Number(a[0]!, value => ToInteger(value, a[2])) ?? a[1] ?? Boxed.Int(0)),
        new Function("items", "value", (_, a) => new IteratorValue(Items(a[0]!))),
        new Function("join", "value, d=, attribute=", Join),
        new Function("last", "seq", (_, a) => Last(a[0]!)),
        new Function("length", "value", (_, a) => Boxed.Int(Protocols.Length(a[0]!))),
        new Function("list", "value", (run, a) => new ListValue(Protocols.ToList(run, a[0]!))),
        new Function("lower", "s", (run, a) => Casing.Lower(run, Str(run, a[0]!))),
        new VariadicFunction("map", Selection.Map),
        new Function("max", "value, case_sensitive=, attribute=", (run, a) => Grouping.Extreme(run, a, isMaximum: true)),
        new Function("min", "value, case_sensitive=, attribute=", (run, a) => Grouping.Extreme(run, a, isMaximum: false)),
        new Function("pprint", "value", (run, a) => Printer.Repr(run, a[0]!)),
        new Function("random", "seq", (run, a) => Protocols.ToList(run, a[0]!) is { Count: > 0 } items
            ? items[Random.Shared.Next(items.Count)]
            : UndefinedValue.WithHint("No random item, sequence was empty.")),
        new VariadicFunction("reject", (run, a) => Selection.Select(run, a, byAttribute: false, keep: false)),
        new VariadicFunction("rejectattr", (run, a) => Selection.Select(run, a, byAttribute: true, keep: false)),
        new Function("replace", "s, old, new, count=", Replace),
        new Function("reverse", "value", (run, a) => Reverse(run, a[0]!)),
        new Function("round", "value, precision=, method=", (_, a) => Round(a)),
        new Function("safe", "value", (run, a) => Str(run, a[0]!).AsMarkup(true)),
        new VariadicFunction("select", (run, a) => Selection.Select(run, a, byAttribute: false, keep: true)),
        new VariadicFunction("selectattr", (run, a) => Selection.Select(run, a, byAttribute: true, keep: true)),
        new Function("slice", "value, slices, fill_with=", (run, a) => new IteratorValue(Grouping.Slices(run, a))),
        new Function("sort", "value, reverse=, case_sensitive=, attribute=", (run, a) => Grouping.Sort(run, a)),
        new Function("string", "value", (run, a) => Str(run, a[0]!)),
        new Function("sum", "iterable, attribute=, start=", Sum),
        new Function("title", "s", (run, a) => Casing.TitleWords(run, Str(run, a[0]!))),
        new Function("tojson", "x, ensure_ascii=, indent=, separators=, sort_keys=", JsonWriter.Dump),
        new Function(
            "trim", "value, chars=", (run, a) => StringMethods.Strip(run, Str(run, a[0]!), a[1], left: true, right: true)),
        new Function("truncate", "s, length=, killwords=, end=, leeway=", Truncate),
        new Function("unique", "value, case_sensitive=, attribute=", (run, a) => new IteratorValue(Grouping.Unique(run, a))),
        new Function("upper", "s", (run, a) => Casing.Upper(run, Str(run, a[0]!))),
        new Function("urlencode", "value", (run, a) => UrlEncode(run, a[0]!)),
        new Function("wordcount", "s", (run, a) => Boxed.Int(WordCount(Str(run, a[0]!).Text))),
    ]);

    private static StringValue Str(Rendering run, object value) => Printer.Str(run, value);

    private static bool IsSet(object? flag) => flag is not null && Protocols.IsTrue(flag);

    private static Dictionary<string, Callable> WithAliases(Callable[] filters)
    {
        var table = filters.ToDictionary(filter => filter.Name);
        (table["count"], table["d"], table["e"]) = (table["length"], table["default"], table["escape"]);
        return table;
    }

    private static object Absolute(object value) => value switch
    {
        double number => Math.Abs(number),
        BigInteger or bool => BigInteger.Abs(Protocols.ToInteger(value)),
        _ => throw Errors.Type($"bad operand type for abs(): '{Protocols.TypeName(value)}'"),
    };

    private static object Attribute(Rendering run, object value, StringValue name) => Attributes.HasAttribute(run, value, name.Text)
        ? Attributes.GetAttribute(run, value, name)
        : value is UndefinedValue undefined ? throw undefined.Error() : new UndefinedValue(value, name);

    private static object Default(object?[] a) =>
        a[0] is UndefinedValue || (IsSet(a[2]) && !Protocols.IsTrue(a[0]!)) ? a[1] ?? StringValue.Empty : a[0]!;

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
        return $"{FloatFormat.Fixed(unit * bytes / Math.Pow(unit, power + 2), 1)} {prefix}B";
    }

    private static TemplateException NotANumber(object value) => value switch
    {
        UndefinedValue undefined => undefined.Error(),
        StringValue => Errors.Value($"could not convert string to float: {Printer.ReprText(value)}"),
        _ => Errors.Type($"float() argument must be a string or a real number, not '{Protocols.TypeName(value)}'"),
    };

    // int and float give their default for what cannot be converted, but an undefined value is an error.
    private static object? Number(object value, Func<object, object?> convert) =>
        value is UndefinedValue undefined ? throw undefined.Error() : convert(value);

    private static double? ToFloat(object value) => value switch
    {
        StringValue text => Numerals.ParseFloat(text.Text),
        BigInteger or double or bool => Arithmetic.ToDouble(value),
        _ => null,
    };

    private static object? ToInteger(object value, object? radixOption)
    {
        var radix = radixOption is null ? 10 : Protocols.ToInt32(radixOption);
        if (value is BigInteger or bool)
            return Protocols.ToInteger(value);
        if (value is StringValue text && Numerals.ParseSignedInteger(text.Text, radix) is { } number)
            return number;
        return ToFloat(value) is { } real && double.IsFinite(real) ? new BigInteger(Math.Truncate(real)) : null;
    }

    private static object Format(Rendering run, Arguments arguments)
    {
        if (arguments.Positional.Length > 1 && arguments.Keyword.Count > 0)
            throw new TemplateException("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
        if (arguments.Keyword.Count == 0)
            return Formatting.Percent(run, Str(run, arguments.Positional[0]), new TupleValue(arguments.Positional[1..]));
        var named = new DictValue();
        foreach (var (name, value) in arguments.Keyword)
            named.Set(StringValue.Literal(name), value);
        return Formatting.Percent(run, Str(run, arguments.Positional[0]), named);
    }

    private static object Indent(Rendering run, object?[] a)
    {
        var text = a[0] as StringValue ?? throw (a[0] switch
        {
            UndefinedValue undefined => undefined.Error(),
            ListValue => new TemplateException("AttributeError", "'list' object has no attribute 'splitlines'"),
            _ => Errors.Type($"unsupported operand type(s) for +=: '{Protocols.TypeName(a[0]!)}' and 'str'"),
        });
        var width = a[1] as StringValue ?? (StringValue)Arithmetic.Apply(run, "*", StringValue.Literal(" "), a[1] ?? Boxed.Int(4));
        var newline = StringValue.Literal("\n");
        var lines = Splitting.SplitLines(run, (StringValue)Arithmetic.Add(run, text, newline), keepEnds: false);
        var builder = new StringValueBuilder(run);
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
        if (value is UndefinedValue)
            yield break;
        if (value is not DictValue dict)
            throw Errors.Type("Can only get item pairs from a mapping.");
        foreach (var item in new DictView(dict, "dict_items").Items)
            yield return item;
    }

    private static object Join(Rendering run, object?[] a)
    {
        var getter = a[2] is null or NoneValue ? null : Selection.Getter(run, a[2]!, null);
        var items = Protocols.Iterate(a[0]!).Select(item => Str(run, getter is null ? item : getter(item)));
        return StringMethods.JoinTexts(run, a[1] is null ? StringValue.Empty : Str(run, a[1]!), items);
    }

    private static object First(object value) =>
        Protocols.Iterate(value).FirstOrDefault() ?? UndefinedValue.WithHint("No first item, sequence was empty.");

    private static object Last(object value)
    {
        if (value is IteratorValue)
            throw Errors.Type($"'{Protocols.TypeName(value)}' object is not reversible");
        return Protocols.Iterate(value).LastOrDefault() ?? UndefinedValue.WithHint("No last item, sequence was empty.");
    }

    private static object Replace(Rendering run, object?[] a)
    {
        var count = a[3] is null or NoneValue ? -1 : Protocols.Clamp(a[3]!);
        return StringMethods.Replace(run, Str(run, a[0]!).AsMarkup(false), Str(run, a[1]!), Str(run, a[2]!), count);
    }

    private static object Reverse(Rendering run, object value)
    {
        if (value is StringValue text)
            return Slicing.Slice(run, text, null, null, Boxed.Int(-1));
        if (!Protocols.IsIterable(value))
            throw new TemplateException("FilterArgumentError", "argument must be iterable");
        var items = Protocols.ToList(run, value);
        items.Reverse();
        return value is IteratorValue
            ? new ListValue(items)
            : new IteratorValue(items, value is TupleValue or UndefinedValue ? "reversed" : Protocols.TypeName(value) + "_reverseiterator");
    }

    private static object Round(object?[] a)
    {
        var precision = a[1] is null ? 0 : Protocols.ToInt32(a[1]!);
        var method = a[2] is null ? "common" : Protocols.ToText(a[2]!).Text;
        if (method is not ("common" or "ceil" or "floor"))
            throw new TemplateException("FilterArgumentError", "method must be common, ceil or floor");
        if (!Comparison.IsNumber(a[0]!))
            throw method != "common" && a[0] is UndefinedValue undefined
                ? undefined.Error()
                : Errors.Type($"type {Protocols.TypeName(a[0]!)} doesn't define __round__ method");
        if (method == "common")
            return a[0] is double value ? FloatFormat.Round(value, precision) : RoundInteger(Protocols.ToInteger(a[0]!), precision);
        var scale = Math.Pow(10, precision);
        var scaled = Arithmetic.ToDouble(a[0]!) * scale;
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

    private static object Sum(Rendering run, object?[] a)
    {
        var getter = a[1] is null or NoneValue ? null : Selection.Getter(run, a[1]!, null);
        var total = a[2] ?? Boxed.Int(0);
        foreach (var item in Protocols.Iterate(a[0]!))
            total = Arithmetic.Apply(run, "+", total, getter is null ? item : getter(item));
        return total;
    }

    private static object Truncate(Rendering run, object?[] a)
    {
        var length = a[1] is null ? 255 : Protocols.ToInt32(a[1]!);
        var end = a[3] is null ? StringValue.Literal("...") : Protocols.ToText(a[3]!);
        var leeway = a[4] is null or NoneValue ? 5 : Protocols.ToInt32(a[4]!);
        if (length < end.Length)
            throw new TemplateException("AssertionError", $"expected length >= {end.Length}, got {length}");
        if (leeway < 0)
            throw new TemplateException("AssertionError", $"expected leeway >= 0, got {leeway}");
        if (Protocols.Length(a[0]!) <= (long)length + leeway)
            return a[0]!;
        var text = Protocols.ToText(a[0]!);
        var head = text.Slice(0, text.OffsetOf(length - end.Length));
        if (!IsSet(a[2]))
            head = Splitting.SplitRight(run, head, StringValue.Literal(" "), 1)[0];
        return new StringValueBuilder(run).Append(head).Append(end).Build();
    }

    private static object UrlEncode(Rendering run, object value)
    {
        if (value is StringValue || !Protocols.IsIterable(value))
            return Quote(run, Str(run, value), "/");
        var pairs = value is DictValue dict ? new DictView(dict, "dict_items").Items : Protocols.Iterate(value);
        return StringMethods.JoinTexts(run, StringValue.Literal("&"), pairs.Select(pair =>
        {
            var parts = Protocols.ToList(run, pair).ConvertAll(part => Quote(run, Str(run, part), ""));
            return parts.Count == 2
                ? new StringValueBuilder(run).Append(parts[0]).Append("=").Append(parts[1]).Build()
                : throw Errors.Value("not enough values to unpack (expected 2)");
        }));
    }

    private static StringValue Quote(Rendering run, StringValue text, string safe)
    {
        var builder = new StringValueBuilder(run);
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
        for (var offset = 0; offset < text.Length; offset += StringValue.WidthAt(text, offset))
        {
            var isWord = text[offset] == '_' || StringMethods.IsAlphanumeric(text, offset);
            count += isWord && !inside ? 1 : 0;
            inside = isWord;
        }
        return count;
    }
}
