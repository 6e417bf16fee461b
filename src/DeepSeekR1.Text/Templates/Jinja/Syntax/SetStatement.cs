using DeepSeekR1.Text.Templates.Jinja.Evaluation;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary><c>set target = value</c>.</summary>
internal sealed class SetStatement(AssignmentTarget target, Expression value) : Statement
{
    protected override void OnDeclare(Scope scope)
    {
        value.Declare(scope);
        target.DeclareStore(scope);
    }

    protected override Flow OnExecute(Frame frame)
    {
        target.Assign(frame, value.Evaluate(frame));
        return Flow.Next;
    }
}
