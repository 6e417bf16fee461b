namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>The variable <c>loop</c>: position in the running loop, its neighbours, and the recursive call.</summary>
internal sealed class LoopContext(List<object> items, int depth, Func<object, StringValue>? recurse) : Callable, IHasAttributes
{
    private int _index = -1;
    private TupleValue? _lastChanged;

    /// <inheritdoc/>
    public override string Name => "loop";

    /// <inheritdoc/>
    public override string TypeName => "LoopContext";

    /// <summary>Number of turns.</summary>
    public int Length => items.Count;

    /// <summary>Number of the turn, from 1.</summary>
    public int Index => _index + 1;

    /// <summary>The item of this turn.</summary>
    public object Current => items[_index];

    /// <summary>Goes to the next turn.</summary>
    public bool MoveNext() => ++_index < items.Count;

    /// <inheritdoc/>
    public object? Find(string name) => name switch
    {
        "index" => Boxed.Int(_index + 1),
        "index0" => Boxed.Int(_index),
        "revindex" => Boxed.Int(items.Count - _index),
        "revindex0" => Boxed.Int(items.Count - _index - 1),
        "first" => Boxed.Bool(_index == 0),
        "last" => Boxed.Bool(_index == items.Count - 1),
        "length" => Boxed.Int(items.Count),
        "depth" => Boxed.Int(depth + 1),
        "depth0" => Boxed.Int(depth),
        "previtem" => _index > 0 ? items[_index - 1] : UndefinedValue.WithHint("there is no previous item"),
        "nextitem" => _index + 1 < items.Count ? items[_index + 1] : UndefinedValue.WithHint("there is no next item"),
        "cycle" => new VariadicFunction("cycle", (_, arguments) => Cycle(arguments.Positional)),
        "changed" => new VariadicFunction("changed", (_, arguments) => Changed(arguments.Positional)),
        _ => null,
    };

    /// <inheritdoc/>
    public override object Call(Rendering run, Arguments arguments) => recurse is null
        ? throw Errors.Type("The loop must have the 'recursive' marker to be called recursively.")
        : recurse(arguments.Positional.Length == 1
            ? arguments.Positional[0]
            : throw Errors.Type("LoopContext.__call__() missing 1 required positional argument: 'iterable'"));

    private object Cycle(object[] values) =>
        values.Length == 0 ? throw Errors.Type("no items for cycling given") : values[_index % values.Length];

    private object Changed(object[] values)
    {
        var value = new TupleValue(values);
        if (_lastChanged is not null && Comparison.AreEqual(_lastChanged, value))
            return Boxed.False;
        _lastChanged = value;
        return Boxed.True;
    }
}
