using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>A call.</summary>
internal sealed class CallExpression(Expression callee, ArgumentList arguments) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        callee.Declare(scope);
        arguments.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame) => Evaluate(frame, caller: null);

    /// <summary>Calls, with the body of a call block where there is one.</summary>
    public object Evaluate(Frame frame, Callable? caller)
    {
        var target = callee.Evaluate(frame);
        var values = arguments.Evaluate(frame, caller: caller);
        return target switch
        {
            Callable callable => callable.Call(frame.Run, values),
            UndefinedValue undefined => throw undefined.Error(),
            _ => throw Errors.Type($"'{Protocols.TypeName(target)}' object is not callable"),
        };
    }
}

/// <summary><c>value | name(...)</c>; without a value (in filter blocks) the value is given.</summary>
internal sealed class FilterCallExpression(Expression? value, string name, ArgumentList arguments) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        if (!scope.IsSoft && !scope.BuiltIns.Filters.ContainsKey(name))
            throw new TemplateException("TemplateAssertionError", $"No filter named '{name}'.");
        value?.Declare(scope);
        arguments.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame) => Apply(frame, value!.Evaluate(frame));

    /// <summary>The filter's result for a captured text: the innermost filter of a chain takes it.</summary>
    public object EvaluateWith(Frame frame, object captured) =>
        Apply(frame, value is FilterCallExpression inner ? inner.EvaluateWith(frame, captured) : captured);

    private object Apply(Frame frame, object input) => frame.Run.BuiltIns.Filters.TryGetValue(name, out var filter)
        ? filter.Call(frame.Run, arguments.Evaluate(frame, input))
        : throw new TemplateException("TemplateRuntimeError", $"No filter named '{name}' found.");
}

/// <summary><c>value is name(...)</c>.</summary>
internal sealed class TestCallExpression(Expression value, string name, ArgumentList arguments) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        if (!scope.IsSoft && !scope.BuiltIns.Tests.ContainsKey(name))
            throw new TemplateException("TemplateAssertionError", $"No test named '{name}'.");
        value.Declare(scope);
        arguments.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame)
    {
        var input = value.Evaluate(frame);
        return frame.Run.BuiltIns.Tests.TryGetValue(name, out var test)
            ? test.Call(frame.Run, arguments.Evaluate(frame, input))
            : throw new TemplateException("TemplateRuntimeError", $"No test named '{name}' found.");
    }
}
