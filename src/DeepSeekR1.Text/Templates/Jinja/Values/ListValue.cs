namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's list.</summary>
internal sealed class ListValue(IReadOnlyList<object> items)
{
    public IReadOnlyList<object> Items { get; } = items;
}

/// <summary>Python's tuple; groupby's have names for their two items.</summary>
internal sealed class TupleValue(IReadOnlyList<object> items, bool isGroup = false)
{
    public static readonly TupleValue Empty = new([]);

    public IReadOnlyList<object> Items { get; } = items;

    /// <summary>A pair of groupby: (grouper, list).</summary>
    public bool IsGroup { get; } = isGroup;
}
