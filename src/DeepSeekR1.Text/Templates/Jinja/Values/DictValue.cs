namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's dict: insertion order, keys compared as Python does (1, 1.0 and True are one key).</summary>
internal sealed class DictValue
{
    private readonly OrderedDictionary<object, object> _entries = new(KeyComparer.Instance);

    /// <summary>Keys and values in insertion order.</summary>
    public IEnumerable<KeyValuePair<object, object>> Entries => _entries;

    /// <summary>Keys in insertion order.</summary>
    public IReadOnlyList<object> Keys => _entries.Keys;

    /// <summary>Values in insertion order.</summary>
    public IReadOnlyList<object> Values => _entries.Values;

    /// <summary>Number of entries.</summary>
    public int Count => _entries.Count;

    /// <summary>The value of a key; null when there is none. A key that cannot be hashed is a TypeError.</summary>
    public object? Find(object key) => _entries.TryGetValue(key, out var value) ? value : null;

    /// <summary>Sets an entry; an existing key keeps its place and its own form.</summary>
    public void Set(object key, object value) => _entries[key] = value;
}

/// <summary>What keys(), values() and items() give.</summary>
internal sealed class DictView(DictValue dict, string kind)
{
    /// <summary>dict_keys, dict_values or dict_items.</summary>
    public string Kind => kind;

    /// <summary>The dict behind the view.</summary>
    public DictValue Dict => dict;

    /// <summary>Its elements.</summary>
    public IEnumerable<object> Items => kind switch
    {
        "dict_keys" => dict.Keys,
        "dict_values" => dict.Values,
        _ => dict.Entries.Select(entry => (object)new TupleValue([entry.Key, entry.Value])),
    };
}
