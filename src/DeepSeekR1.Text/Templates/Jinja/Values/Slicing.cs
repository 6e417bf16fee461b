using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's slices.</summary>
internal static class Slicing
{
    /// <summary><c>owner[start:stop:step]</c> of a string, list, tuple or range; null and None mean left out.</summary>
    public static object Slice(Rendering run, object owner, object? start, object? stop, object? step)
    {
        if (owner is UndefinedValue undefined)
            throw undefined.Error();
        if (owner is not (StringValue or ListValue or TupleValue or RangeValue))
            throw Errors.Type(owner is DictValue
                ? "unhashable type: 'slice'"
                : $"'{Protocols.TypeName(owner)}' object is not subscriptable");
        var (from, to, by) = Bounds(Protocols.Length(owner), start, stop, step);
        if (owner is StringValue text)
            return SliceText(run, text, from, to, by);
        var items = owner switch
        {
            ListValue list => list.Items,
            TupleValue tuple => tuple.Items,
            _ => [.. Protocols.Iterate(owner)],
        };
        object[] selected = [.. Indices(from, to, by).Select(index => items[index])];
        run.ChargeItems(selected.Length);
        return owner is TupleValue ? new TupleValue(selected) : new ListValue(selected);
    }

    /// <summary>Start, stop and step within a sequence of the given length.</summary>
    public static (int Start, int Stop, int Step) Bounds(int length, object? start, object? stop, object? step)
    {
        var by = Bound(step) ?? 1;
        if (by == 0)
            throw Errors.Value("slice step cannot be zero");
        int low = by < 0 ? -1 : 0, high = by < 0 ? length - 1 : length;
        int Place(int? bound, int missing) => bound is not { } value ? missing : Math.Clamp(value < 0 ? value + length : value, low, high);
        return (Place(Bound(start), by < 0 ? high : low), Place(Bound(stop), by < 0 ? low : high), by);
    }

    private static int? Bound(object? value) => value switch
    {
        null or NoneValue => null,
        BigInteger or bool => Protocols.Clamp(value),
        _ => throw Errors.Type("slice indices must be integers or None or have an __index__ method"),
    };

    private static IEnumerable<int> Indices(int start, int stop, int step)
    {
        for (long index = start; step > 0 ? index < stop : index > stop; index += step)
            yield return (int)index;
    }

    private static StringValue SliceText(Rendering run, StringValue text, int start, int stop, int step)
    {
        run.Charge(text.SeekCost);
        if (step == 1)
            return start >= stop ? StringValue.Empty : text.Slice(text.OffsetOf(start), text.OffsetOf(stop));
        var characters = text.CodePoints().ToList();
        run.ChargeItems(characters.Count);
        var builder = new StringValueBuilder(run);
        foreach (var index in Indices(start, stop, step))
            builder.Append(characters[index]);
        return builder.Build().AsMarkup(text.IsMarkup);
    }
}
