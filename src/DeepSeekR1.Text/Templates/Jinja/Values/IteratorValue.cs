namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>A generator or reversed iterator: its items can be taken once.</summary>
internal sealed class IteratorValue(IEnumerable<object> items, string typeName = "generator")
{
    private readonly IEnumerator<object> _items = items.GetEnumerator();

    /// <summary>Name of the Python type.</summary>
    public string TypeName => typeName;

    // Iterators over iterators recurse.
    private bool MoveNext()
    {
        Rendering.EnsureStack();
        return _items.MoveNext();
    }

    /// <summary>The items not taken yet.</summary>
    public IEnumerable<object> Remaining()
    {
        while (MoveNext())
            yield return _items.Current;
    }
}
