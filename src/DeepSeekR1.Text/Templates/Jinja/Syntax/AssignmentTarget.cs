using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>The left side of an assignment: a name, a namespace attribute, or a tuple of them.</summary>
internal sealed class AssignmentTarget(Expression pattern)
{
    /// <summary>Declares an assignment.</summary>
    public void DeclareStore(Scope scope) => Walk(pattern, name => scope.Store(name.Use.Name), scope);

    /// <summary>Declares a loop target or parameter.</summary>
    public void DeclareParameter(Scope scope) => Walk(pattern, name => scope.Parameter(name.Use.Name), scope);

    /// <summary>Assigns.</summary>
    public void Assign(Frame frame, object value) => Assign(frame, pattern, value);

    private static void Walk(Expression pattern, Action<NameExpression> declare, Scope scope)
    {
        switch (pattern)
        {
            case NameExpression name:
                declare(name);
                scope.Bind(name.Use);
                break;
            case SequenceExpression sequence:
                Array.ForEach(sequence.Items, item => Walk(item, declare, scope));
                break;
            default:
                pattern.Declare(scope);
                break;
        }
    }

    private static void Assign(Frame frame, Expression pattern, object value)
    {
        switch (pattern)
        {
            case NameExpression name:
                frame.Set(name.Use.Address, value);
                break;
            case NamespaceReferenceExpression reference:
                reference.Assign(frame, value);
                break;
            default:
                Unpack(frame, ((SequenceExpression)pattern).Items, value);
                break;
        }
    }

    private static void Unpack(Frame frame, Expression[] patterns, object value)
    {
        if (!Protocols.IsIterable(value))
            throw Errors.Type($"cannot unpack non-iterable {Protocols.TypeName(value)} object");
        var items = Protocols.Iterate(value).Take(patterns.Length + 1).ToList();
        if (items.Count > patterns.Length)
            throw Errors.Value($"too many values to unpack (expected {patterns.Length})");
        if (items.Count < patterns.Length)
            throw Errors.Value($"not enough values to unpack (expected {patterns.Length}, got {items.Count})");
        for (var index = 0; index < patterns.Length; index++)
            Assign(frame, patterns[index], items[index]);
    }
}
