using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary><c>if</c>, <c>elif</c>, <c>else</c>: no scope of their own.</summary>
internal sealed class IfStatement(Expression test, Body then, List<IfStatement> elifs, Body otherwise) : Statement
{
    protected override void OnDeclare(Scope scope)
    {
        var wasSoft = scope.IsSoft;
        scope.IsSoft = true;
        test.Declare(scope);
        scope.IsSoft = wasSoft;
        scope.Branches(
            then.Declare,
            branch => elifs.ForEach(elif => elif.Declare(branch)),
            otherwise.Declare);
    }

    protected override Flow OnExecute(Frame frame)
    {
        if (Protocols.IsTrue(test.Evaluate(frame)))
            return then.Execute(frame);
        foreach (var elif in elifs)
            if (Protocols.IsTrue(elif.Test.Evaluate(frame)))
                return elif.Then.Execute(frame);
        return otherwise.Execute(frame);
    }

    private Expression Test => test;

    private Body Then => then;
}
