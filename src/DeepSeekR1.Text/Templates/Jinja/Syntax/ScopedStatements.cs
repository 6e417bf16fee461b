using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>A body in a scope of its own: <c>generation</c> and <c>block</c>, and what the captures below build on.</summary>
internal class ScopedStatement(Body body) : Statement
{
    private FrameLayout _layout = null!;

    protected override void OnDeclare(Scope scope) => scope.Inner(outer =>
    {
        var inner = new Scope(outer);
        DeclareInner(inner);
        body.Declare(inner);
        _layout = inner.Complete();
    });

    /// <summary>Declares what the inner scope holds besides the body.</summary>
    protected virtual void DeclareInner(Scope scope)
    {
    }

    /// <summary>A frame for the body.</summary>
    protected Frame Open(Frame frame) => new(frame.Execution, _layout, frame);

    /// <summary>Runs the body.</summary>
    protected Flow Run(Frame inner) => body.Execute(inner);

    protected override Flow OnExecute(Frame frame) => Run(Open(frame));
}

/// <summary><c>with a = 1, b = 2</c>: the values see the outer scope.</summary>
internal sealed class WithStatement(List<(AssignmentTarget Target, Expression Value)> assignments, Body body) : ScopedStatement(body)
{
    protected override void OnDeclare(Scope scope)
    {
        assignments.ForEach(assignment => assignment.Value.Declare(scope));
        base.OnDeclare(scope);
    }

    protected override void DeclareInner(Scope scope) => assignments.ForEach(assignment => assignment.Target.DeclareParameter(scope));

    protected override Flow OnExecute(Frame frame)
    {
        var inner = Open(frame);
        foreach (var (target, value) in assignments)
            target.Assign(inner, value.Evaluate(frame));
        return Run(inner);
    }
}

/// <summary><c>set target | filter</c> with a body.</summary>
internal sealed class SetBlockStatement(AssignmentTarget target, FilterCallExpression? filter, Body body) : ScopedStatement(body)
{
    protected override void OnDeclare(Scope scope)
    {
        target.DeclareStore(scope);
        base.OnDeclare(scope);
    }

    protected override void DeclareInner(Scope scope) => filter?.Declare(scope);

    protected override Flow OnExecute(Frame frame)
    {
        var inner = Open(frame);
        var flow = Flow.Next;
        object captured = frame.Execution.Capture(() => flow = Run(inner));
        if (flow == Flow.Next)
            target.Assign(frame, filter?.EvaluateWith(inner, captured) ?? captured);
        return flow;
    }
}

/// <summary><c>filter name</c> with a body.</summary>
internal sealed class FilterBlockStatement(FilterCallExpression filter, Body body) : ScopedStatement(body)
{
    protected override void DeclareInner(Scope scope) => filter.Declare(scope);

    protected override Flow OnExecute(Frame frame)
    {
        var inner = Open(frame);
        var flow = Flow.Next;
        var captured = frame.Execution.Capture(() => flow = Run(inner));
        if (flow == Flow.Next)
            frame.Execution.Output.Append(Printer.Str(frame.Run, filter.EvaluateWith(inner, captured)));
        return flow;
    }
}
