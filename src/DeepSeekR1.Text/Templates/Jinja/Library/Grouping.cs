using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The filters that order and group: sort, dictsort, groupby, unique, min, max, batch, slice.</summary>
internal static class Grouping
{
    /// <summary>sort(value, reverse, case_sensitive, attribute).</summary>
    public static object Sort(Rendering run, object?[] a)
    {
        var key = Selection.MultiGetter(run, a[3], Finish(run, a[2]));
        return new ListValue(Sorting.Sort(run, Protocols.Iterate(a[0]!), key, IsSet(a[1])));
    }

    /// <summary>dictsort(value, case_sensitive, by, reverse).</summary>
    public static object DictSort(Rendering run, object?[] a)
    {
        var dict = a[0] as DictValue ?? throw (a[0] is UndefinedValue undefined
            ? undefined.Error()
            : new TemplateException("AttributeError", $"'{Protocols.TypeName(a[0]!)}' object has no attribute 'items'"));
        var by = a[2] is null ? "key" : Protocols.ToText(a[2]!).Text;
        if (by is not ("key" or "value"))
            throw new TemplateException("FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
        var finish = Finish(run, a[1]);
        var items = new DictView(dict, "dict_items").Items;
        return new ListValue(Sorting.Sort(run, items, item => finish(((TupleValue)item).Items[by == "key" ? 0 : 1]), IsSet(a[3])));
    }

    /// <summary>groupby(value, attribute, default, case_sensitive).</summary>
    public static object GroupBy(Rendering run, object?[] a)
    {
        var getter = Selection.Getter(run, a[1]!, a[2]);
        var finish = Finish(run, a[3]);
        var groups = new List<object>();
        List<object>? members = null;
        object? last = null;
        foreach (var item in Sorting.Sort(run, Protocols.Iterate(a[0]!), item => finish(getter(item)), reverse: false))
        {
            var key = finish(getter(item));
            if (members is null || !Comparison.AreEqual(key, last!))
            {
                members = [];
                groups.Add(new TupleValue([getter(item), new ListValue(members)], isGroup: true));
            }
            members.Add(item);
            last = key;
        }
        return new ListValue(groups);
    }

    /// <summary>unique(value, case_sensitive, attribute).</summary>
    public static IEnumerable<object> Unique(Rendering run, object?[] a)
    {
        var key = Key(run, a);
        var seen = new HashSet<object>(KeyComparer.Instance);
        foreach (var item in Protocols.Iterate(a[0]!))
        {
            run.ChargeItems(1);
            if (seen.Add(key(item)))
                yield return item;
        }
    }

    /// <summary>min or max(value, case_sensitive, attribute).</summary>
    public static object Extreme(Rendering run, object?[] a, bool isMaximum)
    {
        var key = Key(run, a);
        object? best = null, bestKey = null;
        foreach (var item in Protocols.Iterate(a[0]!))
        {
            run.Charge(16);
            var itemKey = key(item);
            if (best is null || Comparison.Compare(run, isMaximum ? ">" : "<", itemKey, bestKey!))
                (best, bestKey) = (item, itemKey);
        }
        return best ?? UndefinedValue.WithHint("No aggregated item, sequence was empty.");
    }

    /// <summary>batch(value, linecount, fill_with).</summary>
    public static IEnumerable<object> Batch(Rendering run, object?[] a)
    {
        var size = Protocols.ToInt32(a[1]!);
        var batch = new List<object>();
        foreach (var item in Protocols.Iterate(a[0]!))
        {
            if (batch.Count == size)
            {
                yield return new ListValue(batch);
                batch = [];
            }
            run.ChargeItems(1);
            batch.Add(item);
        }
        if (batch.Count == 0)
            yield break;
        run.ChargeItems(Math.Max(0, size - batch.Count));
        while (batch.Count < size && a[2] is not (null or NoneValue))
            batch.Add(a[2]!);
        yield return new ListValue(batch);
    }

    /// <summary>slice(value, slices, fill_with).</summary>
    public static IEnumerable<object> Slices(Rendering run, object?[] a)
    {
        var items = Protocols.ToList(run, a[0]!);
        var count = Protocols.ToInt32(a[1]!);
        if (count == 0)
            throw new TemplateException("ZeroDivisionError", "integer division or modulo by zero");
        var start = 0;
        for (var slice = 0; slice < count; slice++)
        {
            run.ChargeItems(1);
            var isLong = slice < items.Count % count;
            var part = items.GetRange(start, (items.Count / count) + (isLong ? 1 : 0));
            start += part.Count;
            if (a[2] is not (null or NoneValue) && !isLong)
                part.Add(a[2]!);
            yield return new ListValue(part);
        }
    }

    private static bool IsSet(object? flag) => flag is not null && Protocols.IsTrue(flag);

    private static Func<object, object> Finish(Rendering run, object? caseSensitive) =>
        IsSet(caseSensitive) ? value => value : value => Sorting.IgnoreCase(run, value);

    // The key of (value, case_sensitive, attribute).
    private static Func<object, object> Key(Rendering run, object?[] a)
    {
        var finish = Finish(run, a[1]);
        var getter = a[2] is null or NoneValue ? null : Selection.Getter(run, a[2]!, null);
        return getter is null ? finish : item => finish(getter(item));
    }
}
