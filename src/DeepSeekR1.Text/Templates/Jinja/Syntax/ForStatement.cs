namespace DeepSeekR1.Text.Templates;

/// <summary>What a loop runs over.</summary>
/// <param name="Items">The iterable.</param>
/// <param name="Test">Which items count; null for all.</param>
/// <param name="IsRecursive">The body may call <c>loop</c>.</param>
/// <param name="UsesLoop">The body reads <c>loop</c>; without that the name belongs to the loop around.</param>
internal sealed record JinjaIteration(JinjaExpression Items, JinjaExpression? Test, bool IsRecursive, bool UsesLoop);

/// <summary><c>for target in iterable if test recursive</c>, with <c>else</c>.</summary>
internal sealed class JinjaFor(JinjaTarget target, JinjaIteration iteration, JinjaBody body, JinjaBody otherwise) : JinjaStatement
{
    private JinjaFrameLayout _layout = null!;
    private JinjaFrameLayout _testLayout = null!;
    private JinjaFrameLayout _elseLayout = null!;
    private int _loopSlot;

    protected override void OnDeclare(JinjaScope scope)
    {
        iteration.Items.Declare(scope);
        scope.Inner(DeclareBody);
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        var items = iteration.Items.Evaluate(frame);
        return iteration.IsRecursive ? Print(frame, Recurse(frame, items, depth: 0)) : Run(frame, items, depth: 0);
    }

    private static JinjaFlow Print(JinjaFrame frame, JinjaString text)
    {
        frame.Run.Output.Append(text);
        return JinjaFlow.Next;
    }

    private void DeclareBody(JinjaScope outer)
    {
        var inner = new JinjaScope(outer);
        if (iteration.UsesLoop)
            inner.Parameter("loop");
        target.DeclareParameter(inner);
        body.Declare(inner);
        _layout = inner.Complete();
        _loopSlot = iteration.UsesLoop ? inner.SlotOf("loop") : -1;
        var last = new JinjaScope(outer);
        otherwise.Declare(last);
        _elseLayout = last.Complete();
        var filter = new JinjaScope(outer);
        if (iteration.Test is not null)
        {
            // The target has one place in the body's scope; a filter's scope of the same shape puts it in the same slot.
            if (iteration.UsesLoop)
                filter.Parameter(" loop");
            target.DeclareParameter(filter);
            iteration.Test.Declare(filter);
        }
        _testLayout = filter.Complete();
    }

    private JinjaString Recurse(JinjaFrame frame, object items, int depth) => frame.Run.CaptureCall(() => Run(frame, items, depth));

    private JinjaFlow Run(JinjaFrame frame, object iterable, int depth)
    {
        var items = Select(frame, JinjaTypes.Iterate(iterable));
        var inner = new JinjaFrame(frame.Run, _layout, frame);
        var loop = new JinjaLoop(items, depth, iteration.IsRecursive ? nested => Recurse(frame, nested, depth + 1) : null);
        var completed = false;
        while (loop.MoveNext())
        {
            frame.Run.Charge(16);
            inner.Reset();
            if (_loopSlot >= 0)
                inner.SetParameter(_loopSlot, loop);
            target.Assign(inner, loop.Current);
            var flow = body.Execute(inner);
            if (flow == JinjaFlow.Break)
                break;
            completed |= flow == JinjaFlow.Next;
        }
        return completed || otherwise.IsEmpty ? JinjaFlow.Next : otherwise.Execute(new JinjaFrame(frame.Run, _elseLayout, frame));
    }

    private List<object> Select(JinjaFrame frame, IEnumerable<object> items)
    {
        var selected = new List<object>();
        var filter = iteration.Test is null ? null : new JinjaFrame(frame.Run, _testLayout, frame);
        foreach (var item in items)
        {
            frame.Run.ChargeItems(1);
            if (filter is not null)
            {
                filter.Reset();
                target.Assign(filter, item);
            }
            if (filter is null || JinjaTypes.IsTrue(iteration.Test!.Evaluate(filter)))
                selected.Add(item);
        }
        return selected;
    }
}

/// <summary>The variable <c>loop</c>: position in the running loop, its neighbours, and the recursive call.</summary>
internal sealed class JinjaLoop(List<object> items, int depth, Func<object, JinjaString>? recurse) : JinjaCallable
{
    private int _index = -1;
    private JinjaTuple? _lastChanged;

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

    /// <summary>An attribute; null when there is none.</summary>
    public object? Find(string name) => name switch
    {
        "index" => JinjaBox.Int(_index + 1),
        "index0" => JinjaBox.Int(_index),
        "revindex" => JinjaBox.Int(items.Count - _index),
        "revindex0" => JinjaBox.Int(items.Count - _index - 1),
        "first" => JinjaBox.Bool(_index == 0),
        "last" => JinjaBox.Bool(_index == items.Count - 1),
        "length" => JinjaBox.Int(items.Count),
        "depth" => JinjaBox.Int(depth + 1),
        "depth0" => JinjaBox.Int(depth),
        "previtem" => _index > 0 ? items[_index - 1] : JinjaUndefined.WithHint("there is no previous item"),
        "nextitem" => _index + 1 < items.Count ? items[_index + 1] : JinjaUndefined.WithHint("there is no next item"),
        "cycle" => new JinjaVariadic("cycle", (_, arguments) => Cycle(arguments.Positional)),
        "changed" => new JinjaVariadic("changed", (_, arguments) => Changed(arguments.Positional)),
        _ => null,
    };

    /// <inheritdoc/>
    public override object Call(JinjaRun run, JinjaArguments arguments) => recurse is null
        ? throw JinjaErrors.Type("The loop must have the 'recursive' marker to be called recursively.")
        : recurse(arguments.Positional.Length == 1
            ? arguments.Positional[0]
            : throw JinjaErrors.Type("LoopContext.__call__() missing 1 required positional argument: 'iterable'"));

    private object Cycle(object[] values) =>
        values.Length == 0 ? throw JinjaErrors.Type("no items for cycling given") : values[_index % values.Length];

    private object Changed(object[] values)
    {
        var value = new JinjaTuple(values);
        if (_lastChanged is not null && JinjaOperators.AreEqual(_lastChanged, value))
            return JinjaBox.False;
        _lastChanged = value;
        return JinjaBox.True;
    }
}
