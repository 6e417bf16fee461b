using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>Python's slices.</summary>
internal static class JinjaSlicing
{
    /// <summary><c>owner[start:stop:step]</c> of a string, list, tuple or range; null and None mean left out.</summary>
    public static object Slice(JinjaRun run, object owner, object? start, object? stop, object? step)
    {
        if (owner is JinjaUndefined undefined)
            throw undefined.Error();
        if (owner is not (JinjaString or JinjaList or JinjaTuple or JinjaRange))
            throw JinjaErrors.Type(owner is JinjaDict
                ? "unhashable type: 'slice'"
                : $"'{JinjaTypes.Name(owner)}' object is not subscriptable");
        var (from, to, by) = Bounds(JinjaTypes.Length(owner), start, stop, step);
        if (owner is JinjaString text)
            return SliceText(run, text, from, to, by);
        var items = owner switch
        {
            JinjaList list => list.Items,
            JinjaTuple tuple => tuple.Items,
            _ => [.. JinjaTypes.Iterate(owner)],
        };
        object[] selected = [.. Indices(from, to, by).Select(index => items[index])];
        run.ChargeItems(selected.Length);
        return owner is JinjaTuple ? new JinjaTuple(selected) : new JinjaList(selected);
    }

    /// <summary>Start, stop and step within a sequence of the given length.</summary>
    public static (int Start, int Stop, int Step) Bounds(int length, object? start, object? stop, object? step)
    {
        var by = Bound(step) ?? 1;
        if (by == 0)
            throw JinjaErrors.Value("slice step cannot be zero");
        int low = by < 0 ? -1 : 0, high = by < 0 ? length - 1 : length;
        int Place(int? bound, int missing) => bound is not { } value ? missing : Math.Clamp(value < 0 ? value + length : value, low, high);
        return (Place(Bound(start), by < 0 ? high : low), Place(Bound(stop), by < 0 ? low : high), by);
    }

    private static int? Bound(object? value) => value switch
    {
        null or JinjaNone => null,
        BigInteger or bool => JinjaTypes.Clamp(value),
        _ => throw JinjaErrors.Type("slice indices must be integers or None or have an __index__ method"),
    };

    private static IEnumerable<int> Indices(int start, int stop, int step)
    {
        for (long index = start; step > 0 ? index < stop : index > stop; index += step)
            yield return (int)index;
    }

    private static JinjaString SliceText(JinjaRun run, JinjaString text, int start, int stop, int step)
    {
        run.Charge(text.SeekCost);
        if (step == 1)
            return start >= stop ? JinjaString.Empty : text.Slice(text.OffsetOf(start), text.OffsetOf(stop));
        var characters = text.CodePoints().ToList();
        run.ChargeItems(characters.Count);
        var builder = new JinjaStringBuilder(run);
        foreach (var index in Indices(start, stop, step))
            builder.Append(characters[index]);
        return builder.Build().AsMarkup(text.IsMarkup);
    }
}
