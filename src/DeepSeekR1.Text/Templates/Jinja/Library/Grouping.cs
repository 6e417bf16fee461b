namespace DeepSeekR1.Text.Templates;

/// <summary>The filters that order and group: sort, dictsort, groupby, unique, min, max, batch, slice.</summary>
internal static class JinjaGrouping
{
    /// <summary>sort(value, reverse, case_sensitive, attribute).</summary>
    public static object Sort(JinjaRun run, object?[] a)
    {
        var key = JinjaSelection.MultiGetter(run, a[3], Finish(run, a[2]));
        return new JinjaList(JinjaSorting.Sort(run, JinjaTypes.Iterate(a[0]!), key, IsSet(a[1])));
    }

    /// <summary>dictsort(value, case_sensitive, by, reverse).</summary>
    public static object DictSort(JinjaRun run, object?[] a)
    {
        var dict = a[0] as JinjaDict ?? throw (a[0] is JinjaUndefined undefined
            ? undefined.Error()
            : new TemplateException("AttributeError", $"'{JinjaTypes.Name(a[0]!)}' object has no attribute 'items'"));
        var by = a[2] is null ? "key" : JinjaTypes.ToText(a[2]!).Text;
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
            if (best is null || JinjaOperators.Compare(run, isMaximum ? ">" : "<", itemKey, bestKey!))
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
