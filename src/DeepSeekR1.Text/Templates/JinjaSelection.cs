using System.Globalization;
using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>The filters that take each item through an attribute, a filter or a test: map, select, reject and their like.</summary>
internal static class JinjaSelection
{
    /// <summary>map(attribute=..., default=...) or map(filter, arguments).</summary>
    public static object Map(JinjaRun run, JinjaArguments arguments) => new JinjaIterator(MapItems(run, arguments));

    /// <summary>select, reject, selectattr, rejectattr.</summary>
    public static object Select(JinjaRun run, JinjaArguments arguments, bool byAttribute, bool keep) =>
        new JinjaIterator(SelectItems(run, arguments, byAttribute, keep));

    /// <summary>
    /// A function that takes a value to one of its attributes: an int, or names and numbers with dots between them. A missing one gives the
    /// default where there is one.
    /// </summary>
    public static Func<object, object> Getter(JinjaRun run, object attribute, object? missing)
    {
        object[] parts = attribute is JinjaString text ? [.. text.Text.Split('.').Select(Part)] : [attribute];
        return item =>
        {
            foreach (var part in parts)
            {
                item = JinjaAttributes.GetItem(run, item, part);
                if (item is JinjaUndefined && missing is not (null or JinjaNone))
                    item = missing;
            }
            return item;
        };
    }

    /// <summary>The same for several attributes with commas between them: a list.</summary>
    public static Func<object, object> MultiGetter(JinjaRun run, object? attribute, Func<object, object> finish)
    {
        if (attribute is null or JinjaNone)
            return item => new JinjaList([finish(item)]);
        var getters = attribute is JinjaString text
            ? text.Text.Split(',').Select(part => Getter(run, JinjaString.Literal(part), null)).ToArray()
            : [Getter(run, attribute, null)];
        return item => new JinjaList(Array.ConvertAll(getters, getter => finish(getter(item))));
    }

    private static object Part(string part) => part.Length > 0 && part.All(char.IsAsciiDigit)
        ? BigInteger.Parse(part, CultureInfo.InvariantCulture)
        : JinjaString.Literal(part);

    private static IEnumerable<object> MapItems(JinjaRun run, JinjaArguments arguments)
    {
        var values = Value(arguments);
        if (!JinjaTypes.IsTrue(values))
            yield break;
        var function = Mapping(run, arguments);
        foreach (var item in JinjaTypes.Iterate(values))
        {
            run.Charge(16);
            yield return function(item);
        }
    }

    private static object Value(JinjaArguments arguments) =>
        arguments.Positional.Length > 0 ? arguments.Positional[0] : arguments.Find("value") ?? throw JinjaErrors.Type("missing argument: 'value'");

    private static Func<object, object> Mapping(JinjaRun run, JinjaArguments arguments)
    {
        if (arguments.Positional.Length == 1 && arguments.Find("attribute") is { } attribute)
        {
            foreach (var (name, _) in arguments.Keyword)
                if (name is not ("attribute" or "default"))
                    throw new TemplateException("FilterArgumentError", $"Unexpected keyword argument '{name}'");
            return Getter(run, attribute, arguments.Find("default"));
        }
        if (arguments.Positional.Length == 1)
            throw new TemplateException("FilterArgumentError", "map requires a filter argument");
        var filter = Function(JinjaFilters.All, arguments.Positional[1], "filter");
        return item => filter.Call(run, arguments with { Positional = [item, .. arguments.Positional[2..]] });
    }

    private static JinjaCallable Function(IReadOnlyDictionary<string, JinjaCallable> table, object name, string kind)
    {
        if (name is JinjaString text && table.TryGetValue(text.Text, out var function))
            return function;
        throw new TemplateException("TemplateRuntimeError", $"No {kind} named {JinjaPrinter.ReprText(name)}.");
    }

    private static IEnumerable<object> SelectItems(JinjaRun run, JinjaArguments arguments, bool byAttribute, bool keep)
    {
        var values = Value(arguments);
        if (!JinjaTypes.IsTrue(values))
            yield break;
        var skip = byAttribute ? 2 : 1;
        if (byAttribute && arguments.Positional.Length < 2)
            throw new TemplateException("FilterArgumentError", "Missing parameter for attribute name");
        var getter = byAttribute ? Getter(run, arguments.Positional[1], null) : item => item;
        var test = arguments.Positional.Length > skip ? Function(JinjaTests.All, arguments.Positional[skip], "test") : null;
        foreach (var item in JinjaTypes.Iterate(values))
        {
            run.Charge(16);
            var candidate = getter(item);
            var result = test is null ? candidate : test.Call(run, arguments with { Positional = [candidate, .. arguments.Positional[(skip + 1)..]] });
            if (JinjaTypes.IsTrue(result) == keep)
                yield return item;
        }
    }
}

/// <summary>The filters that order and group: sort, dictsort, groupby, unique, min, max, batch, slice.</summary>
internal static class JinjaGrouping
{
    /// <summary>sort(value, reverse, case_sensitive, attribute).</summary>
    public static object Sort(JinjaRun run, object?[] a) =>
        new JinjaList(JinjaSorting.Sort(run, JinjaTypes.Iterate(a[0]!), JinjaSelection.MultiGetter(run, a[3], Finish(run, a[2])), IsSet(a[1])));

    /// <summary>dictsort(value, case_sensitive, by, reverse).</summary>
    public static object DictSort(JinjaRun run, object?[] a)
    {
        var dict = a[0] as JinjaDict ?? throw (a[0] is JinjaUndefined undefined
            ? undefined.Error()
            : new TemplateException("AttributeError", $"'{JinjaTypes.Name(a[0]!)}' object has no attribute 'items'"));
        var by = a[2] is null ? "key" : JinjaTypes.ToText(a[2]!, "dictsort").Text;
        if (by is not ("key" or "value"))
            throw new TemplateException("FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
        var finish = Finish(run, a[1]);
        var items = new JinjaDictView(dict, "dict_items").Items;
        return new JinjaList(JinjaSorting.Sort(run, items, item => finish(((JinjaTuple)item).Items[by == "key" ? 0 : 1]), IsSet(a[3])));
    }

    /// <summary>groupby(value, attribute, default, case_sensitive).</summary>
    public static object GroupBy(JinjaRun run, object?[] a)
    {
        var getter = JinjaSelection.Getter(run, a[1]!, a[2]);
        var finish = Finish(run, a[3]);
        var groups = new List<object>();
        List<object>? members = null;
        object? last = null;
        foreach (var item in JinjaSorting.Sort(run, JinjaTypes.Iterate(a[0]!), item => finish(getter(item)), reverse: false))
        {
            var key = finish(getter(item));
            if (members is null || !JinjaOperators.AreEqual(key, last!))
            {
                members = [];
                groups.Add(new JinjaTuple([getter(item), new JinjaList(members)], isGroup: true));
            }
            members.Add(item);
            last = key;
        }
        return new JinjaList(groups);
    }

    /// <summary>unique(value, case_sensitive, attribute).</summary>
    public static IEnumerable<object> Unique(JinjaRun run, object?[] a)
    {
        var key = Key(run, a);
        var seen = new HashSet<object>(JinjaKeyComparer.Instance);
        foreach (var item in JinjaTypes.Iterate(a[0]!))
        {
            run.ChargeItems(1);
            if (seen.Add(key(item)))
                yield return item;
        }
    }

    /// <summary>min or max(value, case_sensitive, attribute).</summary>
    public static object Extreme(JinjaRun run, object?[] a, bool isMaximum)
    {
        var key = Key(run, a);
        object? best = null, bestKey = null;
        foreach (var item in JinjaTypes.Iterate(a[0]!))
        {
            run.Charge(16);
            var itemKey = key(item);
            if (best is null || (isMaximum ? JinjaOperators.Compare(run, ">", itemKey, bestKey!) : JinjaOperators.IsLess(itemKey, bestKey!)))
                (best, bestKey) = (item, itemKey);
        }
        return best ?? JinjaUndefined.WithHint("No aggregated item, sequence was empty.");
    }

    /// <summary>batch(value, linecount, fill_with).</summary>
    public static IEnumerable<object> Batch(JinjaRun run, object?[] a)
    {
        var size = JinjaTypes.ToInt32(a[1]!);
        var batch = new List<object>();
        foreach (var item in JinjaTypes.Iterate(a[0]!))
        {
            if (batch.Count == size)
            {
                yield return new JinjaList(batch);
                batch = [];
            }
            run.ChargeItems(1);
            batch.Add(item);
        }
        if (batch.Count == 0)
            yield break;
        run.ChargeItems(Math.Max(0, size - batch.Count));
        while (batch.Count < size && a[2] is not (null or JinjaNone))
            batch.Add(a[2]!);
        yield return new JinjaList(batch);
    }

    /// <summary>slice(value, slices, fill_with).</summary>
    public static IEnumerable<object> Slices(JinjaRun run, object?[] a)
    {
        var items = JinjaTypes.ToList(run, a[0]!);
        var count = JinjaTypes.ToInt32(a[1]!);
        if (count == 0)
            throw new TemplateException("ZeroDivisionError", "integer division or modulo by zero");
        var start = 0;
        for (var slice = 0; slice < count; slice++)
        {
            run.ChargeItems(1);
            var isLong = slice < items.Count % count;
            var part = items.GetRange(start, (items.Count / count) + (isLong ? 1 : 0));
            start += part.Count;
            if (a[2] is not (null or JinjaNone) && !isLong)
                part.Add(a[2]!);
            yield return new JinjaList(part);
        }
    }

    private static bool IsSet(object? flag) => flag is not null && JinjaTypes.IsTrue(flag);

    private static Func<object, object> Finish(JinjaRun run, object? caseSensitive) =>
        IsSet(caseSensitive) ? value => value : value => JinjaSorting.IgnoreCase(run, value);

    // The key of (value, case_sensitive, attribute).
    private static Func<object, object> Key(JinjaRun run, object?[] a)
    {
        var finish = Finish(run, a[1]);
        var getter = a[2] is null or JinjaNone ? null : JinjaSelection.Getter(run, a[2]!, null);
        return getter is null ? finish : item => finish(getter(item));
    }
}
