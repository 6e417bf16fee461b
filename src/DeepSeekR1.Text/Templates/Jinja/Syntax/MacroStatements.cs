using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary><c>macro name(...)</c>.</summary>
internal sealed class MacroStatement(AssignmentTarget target, MacroDefinition definition) : Statement
{
    protected override void OnDeclare(Scope scope)
    {
        target.DeclareStore(scope);
        scope.Inner(definition.Declare);
    }

    protected override Flow OnExecute(Frame frame)
    {
        target.Assign(frame, definition.Bind(frame));
        return Flow.Next;
    }
}

/// <summary><c>call macro(...)</c> with a body that the macro calls as <c>caller</c>.</summary>
internal sealed class CallBlockStatement(CallExpression call, MacroDefinition definition) : Statement
{
    protected override void OnDeclare(Scope scope)
    {
        call.Declare(scope);
        scope.Inner(definition.Declare);
    }

    protected override Flow OnExecute(Frame frame)
    {
        var result = call.Evaluate(frame, definition.Bind(frame));
        frame.Execution.Output.Append(Printer.Str(frame.Run, result));
        return Flow.Next;
    }
}
