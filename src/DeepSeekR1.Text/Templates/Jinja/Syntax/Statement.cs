using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>How a statement ended.</summary>
internal enum Flow
{
    /// <summary>Go on.</summary>
    Next,

    /// <summary>Leave the loop.</summary>
    Break,

    /// <summary>Go to the next turn of the loop.</summary>
    Continue,
}

/// <summary>A statement: prints into the rendering's output.</summary>
internal abstract class Statement : Node
{
    /// <summary>Runs it.</summary>
    public Flow Execute(Frame frame)
    {
        Rendering.EnsureStack();
        frame.Run.Charge(16);
        return OnExecute(frame);
    }

    /// <summary>See <see cref="Execute"/>.</summary>
    protected abstract Flow OnExecute(Frame frame);
}

/// <summary>Statements in order.</summary>
internal sealed class Body(List<Statement> statements) : Statement
{
    /// <summary>Nothing between the tags.</summary>
    public bool IsEmpty => statements.Count == 0;

    protected override void OnDeclare(Scope scope) => statements.ForEach(statement => statement.Declare(scope));

    protected override Flow OnExecute(Frame frame)
    {
        foreach (var statement in statements)
            if (statement.Execute(frame) is var flow and not Flow.Next)
                return flow;
        return Flow.Next;
    }
}

/// <summary>Template text.</summary>
internal sealed class DataStatement(string text) : Statement
{
    protected override void OnDeclare(Scope scope)
    {
    }

    protected override Flow OnExecute(Frame frame)
    {
        frame.Execution.Output.Append(text);
        return Flow.Next;
    }
}

/// <summary><c>{{ expression }}</c>.</summary>
internal sealed class PrintStatement(Expression expression) : Statement
{
    protected override void OnDeclare(Scope scope) => expression.Declare(scope);

    protected override Flow OnExecute(Frame frame)
    {
        frame.Execution.Output.Append(Printer.Str(frame.Run, expression.Evaluate(frame)));
        return Flow.Next;
    }
}

/// <summary><c>break</c> or <c>continue</c>.</summary>
internal sealed class JumpStatement(Flow flow) : Statement
{
    protected override void OnDeclare(Scope scope)
    {
    }

    protected override Flow OnExecute(Frame frame) => flow;
}

/// <summary><c>include</c>, <c>import</c>, <c>from</c>, <c>extends</c>: there is nothing to load from.</summary>
internal sealed class LoaderStatement : Statement
{
    protected override void OnDeclare(Scope scope)
    {
    }

    protected override Flow OnExecute(Frame frame) => throw Errors.Type("no loader for this environment specified");
}
