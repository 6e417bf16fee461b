using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>What a loop runs over.</summary>
/// <param name="Items">The iterable.</param>
/// <param name="Test">Which items count; null for all.</param>
/// <param name="IsRecursive">The body may call <c>loop</c>.</param>
/// <param name="UsesLoop">The body reads <c>loop</c>; without that the name belongs to the loop around.</param>
internal sealed record Iteration(Expression Items, Expression? Test, bool IsRecursive, bool UsesLoop);

/// <summary><c>for target in iterable if test recursive</c>, with <c>else</c>.</summary>
internal sealed class ForStatement(AssignmentTarget target, Iteration iteration, Body body, Body otherwise) : Statement
{
    private FrameLayout _layout = null!;
    private FrameLayout _testLayout = null!;
    private FrameLayout _elseLayout = null!;
    private int _loopSlot;

    protected override void OnDeclare(Scope scope)
    {
        iteration.Items.Declare(scope);
        scope.Inner(DeclareBody);
    }

    protected override Flow OnExecute(Frame frame)
    {
        var items = iteration.Items.Evaluate(frame);
        return iteration.IsRecursive ? Print(frame, Recurse(frame, items, depth: 0)) : Run(frame, items, depth: 0);
    }

    private static Flow Print(Frame frame, StringValue text)
    {
        frame.Execution.Output.Append(text);
        return Flow.Next;
    }

    private void DeclareBody(Scope outer)
    {
        var inner = new Scope(outer);
        if (iteration.UsesLoop)
            inner.Parameter("loop");
        target.DeclareParameter(inner);
        body.Declare(inner);
        _layout = inner.Complete();
        _loopSlot = iteration.UsesLoop ? inner.SlotOf("loop") : -1;
        var last = new Scope(outer);
        otherwise.Declare(last);
        _elseLayout = last.Complete();
        var filter = new Scope(outer);
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

    private StringValue Recurse(Frame frame, object items, int depth) => frame.Execution.CaptureCall(() => Run(frame, items, depth));

    private Flow Run(Frame frame, object iterable, int depth)
    {
        var items = Select(frame, Protocols.Iterate(iterable));
        var inner = new Frame(frame.Execution, _layout, frame);
        var loop = new LoopContext(items, depth, iteration.IsRecursive ? nested => Recurse(frame, nested, depth + 1) : null);
        var completed = false;
        while (loop.MoveNext())
        {
            frame.Run.Charge(16);
            inner.Reset();
            if (_loopSlot >= 0)
                inner.SetParameter(_loopSlot, loop);
            target.Assign(inner, loop.Current);
            var flow = body.Execute(inner);
            if (flow == Flow.Break)
                break;
            completed |= flow == Flow.Next;
        }
        return completed || otherwise.IsEmpty ? Flow.Next : otherwise.Execute(new Frame(frame.Execution, _elseLayout, frame));
    }

    private List<object> Select(Frame frame, IEnumerable<object> items)
    {
        var selected = new List<object>();
        var filter = iteration.Test is null ? null : new Frame(frame.Execution, _testLayout, frame);
        foreach (var item in items)
        {
            frame.Run.ChargeItems(1);
            if (filter is not null)
            {
                filter.Reset();
                target.Assign(filter, item);
            }
            if (filter is null || Protocols.IsTrue(iteration.Test!.Evaluate(filter)))
                selected.Add(item);
        }
        return selected;
    }
}
