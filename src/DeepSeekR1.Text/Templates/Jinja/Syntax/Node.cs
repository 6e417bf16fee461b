using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>Part of a compiled template: declares the names it uses once, then is evaluated by many threads.</summary>
internal abstract class Node
{
    /// <summary>Tells the scope which names are read and assigned.</summary>
    public void Declare(Scope scope)
    {
        Rendering.EnsureStack();
        OnDeclare(scope);
    }

    /// <summary>See <see cref="Declare"/>.</summary>
    protected abstract void OnDeclare(Scope scope);
}

/// <summary>An expression.</summary>
internal abstract class Expression : Node
{
    /// <summary>Its value.</summary>
    public object Evaluate(Frame frame)
    {
        Rendering.EnsureStack();
        frame.Run.Charge(16);
        return OnEvaluate(frame);
    }

    /// <summary>See <see cref="Evaluate"/>.</summary>
    protected abstract object OnEvaluate(Frame frame);
}
