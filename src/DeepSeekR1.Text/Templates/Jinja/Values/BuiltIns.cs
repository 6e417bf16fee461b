using System.Collections.Frozen;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// What templates know by name besides their variables. Whoever makes an environment hands it in, so neither the language nor the values
/// know where a filter comes from. Immutable.
/// </summary>
internal sealed record BuiltIns
{
    /// <summary>Nothing at all: enough to write a value into a message.</summary>
    public static readonly BuiltIns None = new();

    /// <summary>What may stand behind a bar; the value in front of it is the first argument.</summary>
    public IReadOnlyDictionary<string, Callable> Filters { get; init; } = FrozenDictionary<string, Callable>.Empty;

    /// <summary>What may stand behind <c>is</c>; the value in front of it is the first argument.</summary>
    public IReadOnlyDictionary<string, Callable> Tests { get; init; } = FrozenDictionary<string, Callable>.Empty;

    /// <summary>Values of the names that are not variables.</summary>
    public IReadOnlyDictionary<string, object> Globals { get; init; } = FrozenDictionary<string, object>.Empty;

    /// <summary>Methods of the values of each class; the value is the first argument. Python's names: <c>str % x</c> is __mod__.</summary>
    public IReadOnlyDictionary<Type, IReadOnlyDictionary<string, Callable>> Methods { get; init; } =
        FrozenDictionary<Type, IReadOnlyDictionary<string, Callable>>.Empty;

    /// <summary>A method of a value; null when there is none.</summary>
    public BoundMethod? Method(object owner, string name) =>
        Methods.TryGetValue(owner.GetType(), out var table) && table.TryGetValue(name, out var function)
            ? new BoundMethod(function, owner)
            : null;
}
