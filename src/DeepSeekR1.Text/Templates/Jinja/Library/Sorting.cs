using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>
/// Python's sorted: stable, by &lt; alone, which may be an error. A merge sort of our own, because .NET's wraps such errors.
/// </summary>
internal static class Sorting
{
    /// <summary>The string in lower case; other values as they are.</summary>
    public static object IgnoreCase(Rendering run, object value) => value is StringValue text ? Casing.Lower(run, text) : value;

    /// <summary>Sorts by a key; equal items keep their order, also in reverse.</summary>
    public static List<object> Sort(Rendering run, IEnumerable<object> items, Func<object, object> key, bool reverse = false)
    {
        var pairs = new List<(object Key, object Item)>();
        foreach (var item in items)
        {
            run.ChargeItems(4);
            pairs.Add((key(item), item));
        }
        if (reverse)
            pairs.Reverse();
        var sorted = pairs.ToArray();
        Sort(run, sorted, new (object Key, object Item)[sorted.Length], 0, sorted.Length);
        if (reverse)
            Array.Reverse(sorted);
        return [.. sorted.Select(pair => pair.Item)];
    }

    private static void Sort(Rendering run, (object Key, object Item)[] pairs, (object Key, object Item)[] buffer, int start, int end)
    {
        if (end - start < 2)
            return;
        var middle = start + ((end - start) / 2);
        Sort(run, pairs, buffer, start, middle);
        Sort(run, pairs, buffer, middle, end);
        int left = start, right = middle;
        for (var target = start; target < end; target++)
        {
            run.Charge(16);
            var takeRight = left == middle || (right < end && Comparison.IsLess(pairs[right].Key, pairs[left].Key));
            buffer[target] = pairs[takeRight ? right++ : left++];
        }
        Array.Copy(buffer, start, pairs, start, end - start);
    }
}
