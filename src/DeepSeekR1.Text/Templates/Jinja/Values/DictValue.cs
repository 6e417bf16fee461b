using System.Numerics;

namespace DeepSeekR1.Text.Templates;

// Values of a template are plain objects: JinjaNone, bool, BigInteger (int of Python), double, JinjaString and the classes below. C#'s null
// is never a value; it means "not assigned" or "not given". Nothing a template can reach changes, except namespaces, iterators and cyclers.

/// <summary>Python's None.</summary>
internal sealed class JinjaNone
{
    public static readonly JinjaNone Value = new();
}

/// <summary>Boxed constants.</summary>
internal static class JinjaBox
{
    public static readonly object True = true;
    public static readonly object False = false;

    private static readonly object[] Small = [.. Enumerable.Range(-16, 1040).Select(number => (object)new BigInteger(number))];

    /// <summary>A bool as a value.</summary>
    public static object Bool(bool value) => value ? True : False;

    /// <summary>An int as a value.</summary>
    public static object Int(long value) => value is >= -16 and < 1024 ? Small[value + 16] : new BigInteger(value);
}

/// <summary>
/// What a name, attribute or item is that does not exist: prints nothing, is false, iterates as empty, fails on everything else.
/// </summary>
internal sealed class JinjaUndefined
{
    private readonly object? _owner;
    private readonly object? _name;
    private readonly string? _hint;
    private readonly string _kind = "UndefinedError";

    /// <summary>A missing variable.</summary>
    public JinjaUndefined(string variable) => _name = JinjaString.Literal(variable);

    /// <summary>A missing attribute or item of a value.</summary>
    public JinjaUndefined(object owner, object name) => (_owner, _name) = (owner, name);

    private JinjaUndefined(string hint, string kind) => (_hint, _kind) = (hint, kind);

    /// <summary>An undefined value with a message of its own.</summary>
    public static JinjaUndefined WithHint(string hint) => new(hint, "UndefinedError");

    /// <summary>An attribute that the sandbox hides.</summary>
    public static JinjaUndefined Unsafe(object owner, string attribute) =>
        new($"access to attribute '{attribute}' of '{JinjaTypes.Name(owner)}' object is unsafe.", "SecurityError");

    /// <summary>The error of using this value.</summary>
    public TemplateException Error() => new(_kind, _hint ?? Describe());

    private string Describe()
    {
        if (_owner is null)
            return $"{JinjaPrinter.ReprText(_name!)} is undefined";
        var owner = _owner is JinjaNone ? "None" : JinjaTypes.Name(_owner) + " object";
        return _name is JinjaString
            ? $"'{owner}' has no attribute {JinjaPrinter.ReprText(_name)}"
            : $"{owner} has no element {JinjaPrinter.ReprText(_name!)}";
    }
}

/// <summary>Python's list.</summary>
internal sealed class JinjaList(IReadOnlyList<object> items)
{
    public IReadOnlyList<object> Items { get; } = items;
}

/// <summary>Python's tuple; groupby's have names for their two items.</summary>
internal sealed class JinjaTuple(IReadOnlyList<object> items, bool isGroup = false)
{
    public static readonly JinjaTuple Empty = new([]);

    public IReadOnlyList<object> Items { get; } = items;

    /// <summary>A pair of groupby: (grouper, list).</summary>
    public bool IsGroup { get; } = isGroup;
}

/// <summary>Python's dict: insertion order, keys compared as Python does (1, 1.0 and True are one key).</summary>
internal sealed class JinjaDict
{
    private readonly OrderedDictionary<object, object> _entries = new(JinjaKeyComparer.Instance);

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
internal sealed class JinjaDictView(JinjaDict dict, string kind)
{
    /// <summary>dict_keys, dict_values or dict_items.</summary>
    public string Kind => kind;

    /// <summary>The dict behind the view.</summary>
    public JinjaDict Dict => dict;

    /// <summary>Its elements.</summary>
    public IEnumerable<object> Items => kind switch
    {
        "dict_keys" => dict.Keys,
        "dict_values" => dict.Values,
        _ => dict.Entries.Select(entry => (object)new JinjaTuple([entry.Key, entry.Value])),
    };
}

/// <summary>Python's range, at most <see cref="JinjaRun.MaxRange"/> long.</summary>
internal sealed class JinjaRange(BigInteger start, BigInteger stop, BigInteger step, int count)
{
    public BigInteger Start => start;

    public BigInteger Stop => stop;

    public BigInteger Step => step;

    public int Count => count;

    /// <summary>The number at an index in [0, Count).</summary>
    public object this[int index] => start + (step * index);

    /// <summary>Its numbers.</summary>
    public IEnumerable<object> Items => Enumerable.Range(0, count).Select(index => this[index]);

    /// <summary>Checks the length as the sandbox does.</summary>
    public static JinjaRange Create(BigInteger start, BigInteger stop, BigInteger step)
    {
        if (step.IsZero)
            throw JinjaErrors.Value("range() arg 3 must not be zero");
        var span = step.Sign > 0 ? stop - start : start - stop;
        var count = span.Sign <= 0 ? BigInteger.Zero : (span - 1) / BigInteger.Abs(step) + 1;
        if (count > JinjaRun.MaxRange)
            throw JinjaErrors.Overflow($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({JinjaRun.MaxRange}).");
        return new JinjaRange(start, stop, step, (int)count);
    }
}

/// <summary>A generator or reversed iterator: its items can be taken once.</summary>
internal sealed class JinjaIterator(IEnumerable<object> items, string typeName = "generator")
{
    private readonly IEnumerator<object> _items = items.GetEnumerator();

    /// <summary>Name of the Python type.</summary>
    public string TypeName => typeName;

    // Iterators over iterators recurse.
    private bool MoveNext()
    {
        JinjaRun.EnsureStack();
        return _items.MoveNext();
    }

    /// <summary>The items not taken yet.</summary>
    public IEnumerable<object> Remaining()
    {
        while (MoveNext())
            yield return _items.Current;
    }
}

/// <summary>Result of str.encode; can only be printed and measured.</summary>
internal sealed class JinjaBytes(byte[] bytes, bool fromRequest)
{
    public byte[] Bytes => bytes;

    public bool FromRequest => fromRequest;
}

/// <summary>The one value a template may change: a bag of attributes.</summary>
internal sealed class JinjaNamespace
{
    private readonly JinjaDict _attributes = new();

    /// <summary>Names and values in order of creation.</summary>
    public IEnumerable<KeyValuePair<object, object>> Attributes => _attributes.Entries;

    /// <summary>The value of an attribute; null when there is none.</summary>
    public object? Find(string name) => _attributes.Find(JinjaString.Literal(name));

    /// <summary>Sets an attribute. Names with a leading underscore are refused, as transformers 5 does.</summary>
    public void Set(string name, object value)
    {
        if (name.StartsWith('_'))
            throw new TemplateException(
                "SecurityError",
                $"Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{name}'. "
                + "Please rename the attribute.");
        _attributes.Set(JinjaString.Literal(name), value);
    }
}

/// <summary>Equality of dict keys, as Python's == and hash.</summary>
internal sealed class JinjaKeyComparer : IEqualityComparer<object>
{
    public static readonly JinjaKeyComparer Instance = new();

    /// <inheritdoc/>
    public new bool Equals(object? left, object? right) => JinjaOperators.AreEqual(left!, right!);

    /// <inheritdoc/>
    public int GetHashCode(object value) => value switch
    {
        JinjaString text => text.Text.GetHashCode(),
        bool flag => flag ? BigInteger.One.GetHashCode() : BigInteger.Zero.GetHashCode(),
        BigInteger number => number.GetHashCode(),
        double number => double.IsInteger(number) ? new BigInteger(number).GetHashCode() : number.GetHashCode(),
        JinjaTuple tuple => HashOf(tuple),
        JinjaList or JinjaDict => throw JinjaErrors.Type($"unhashable type: '{JinjaTypes.Name(value)}'"),
        JinjaUndefined => 0,
        _ => value.GetHashCode(),
    };

    private int HashOf(JinjaTuple tuple)
    {
        JinjaRun.EnsureStack();
        return tuple.Items.Aggregate(tuple.Items.Count, (hash, item) => HashCode.Combine(hash, GetHashCode(item)));
    }
}

/// <summary>Errors with the class names of Python.</summary>
internal static class JinjaErrors
{
    public static TemplateException Type(string message) => new("TypeError", message);

    public static TemplateException Value(string message) => new("ValueError", message);

    public static TemplateException Overflow(string message) => new("OverflowError", message);

    public static TemplateException Syntax(string message) => new("TemplateSyntaxError", message);
}
