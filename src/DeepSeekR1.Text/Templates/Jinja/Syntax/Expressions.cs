using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>A literal.</summary>
internal sealed class ConstantExpression(object value) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
    }

    protected override object OnEvaluate(Frame frame) => value;
}

/// <summary>A variable.</summary>
internal sealed class NameExpression(string name) : Expression
{
    /// <summary>The identifier and where its value lives.</summary>
    public NameUse Use { get; } = new(name);

    protected override void OnDeclare(Scope scope)
    {
        scope.Load(Use.Name);
        scope.Bind(Use);
    }

    protected override object OnEvaluate(Frame frame) => frame.Get(Use.Address) ?? new UndefinedValue(Use.Name);
}

/// <summary><c>namespace.attribute</c> as the target of an assignment.</summary>
internal sealed class NamespaceReferenceExpression(NameExpression owner, string attribute) : Expression
{
    protected override void OnDeclare(Scope scope) => owner.Declare(scope);

    protected override object OnEvaluate(Frame frame) => throw Errors.Syntax("a namespace reference is not an expression");

    /// <summary>Assigns.</summary>
    public void Assign(Frame frame, object value)
    {
        if (owner.Evaluate(frame) is not NamespaceValue space)
            throw new TemplateException("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
        space.Set(attribute, value);
    }
}

/// <summary>A list or tuple display.</summary>
internal sealed class SequenceExpression(Expression[] items, bool isTuple) : Expression
{
    /// <summary>Its elements.</summary>
    public Expression[] Items => items;

    /// <summary>A tuple, not a list.</summary>
    public bool IsTuple => isTuple;

    protected override void OnDeclare(Scope scope) => Array.ForEach(items, item => item.Declare(scope));

    protected override object OnEvaluate(Frame frame)
    {
        var values = Array.ConvertAll(items, item => item.Evaluate(frame));
        return isTuple ? new TupleValue(values) : new ListValue(values);
    }
}

/// <summary>A dict display.</summary>
internal sealed class DictDisplayExpression(List<(Expression Key, Expression Value)> pairs) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        foreach (var (key, value) in pairs)
        {
            key.Declare(scope);
            value.Declare(scope);
        }
    }

    protected override object OnEvaluate(Frame frame)
    {
        var dict = new DictValue();
        foreach (var (key, value) in pairs)
            dict.Set(key.Evaluate(frame), value.Evaluate(frame));
        return dict;
    }
}

/// <summary><c>not x</c>.</summary>
internal sealed class NotExpression(Expression operand) : Expression
{
    protected override void OnDeclare(Scope scope) => operand.Declare(scope);

    protected override object OnEvaluate(Frame frame) => Boxed.Bool(!Protocols.IsTrue(operand.Evaluate(frame)));
}

/// <summary><c>and</c>, <c>or</c>: give the operand that decides.</summary>
internal sealed class LogicalExpression(Expression left, Expression right, bool isAnd) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        left.Declare(scope);
        right.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame)
    {
        var value = left.Evaluate(frame);
        return Protocols.IsTrue(value) == isAnd ? right.Evaluate(frame) : value;
    }
}

/// <summary><c>a if test else b</c>.</summary>
internal sealed class ConditionalExpression(Expression test, Expression then, Expression? otherwise) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        var wasSoft = scope.IsSoft;
        scope.IsSoft = true;
        test.Declare(scope);
        then.Declare(scope);
        otherwise?.Declare(scope);
        scope.IsSoft = wasSoft;
    }

    protected override object OnEvaluate(Frame frame) => Protocols.IsTrue(test.Evaluate(frame))
        ? then.Evaluate(frame)
        : otherwise?.Evaluate(frame)
            ?? UndefinedValue.WithHint("the inline if-expression evaluated to false and no else section was defined.");
}

/// <summary>A chain of comparisons; each operand is evaluated once.</summary>
internal sealed class ComparisonExpression(Expression first, List<(string Symbol, Expression Operand)> rest) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        first.Declare(scope);
        foreach (var (_, operand) in rest)
            operand.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame)
    {
        var left = first.Evaluate(frame);
        foreach (var (symbol, operand) in rest)
        {
            var right = operand.Evaluate(frame);
            if (!Comparison.Compare(frame.Run, symbol, left, right))
                return Boxed.False;
            left = right;
        }
        return Boxed.True;
    }
}

/// <summary>An arithmetic operator.</summary>
internal sealed class BinaryExpression(string symbol, Expression left, Expression right) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        left.Declare(scope);
        right.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame) =>
        Arithmetic.Apply(frame.Run, symbol, left.Evaluate(frame), right.Evaluate(frame));
}

/// <summary>Unary plus or minus.</summary>
internal sealed class UnaryExpression(string symbol, Expression operand) : Expression
{
    protected override void OnDeclare(Scope scope) => operand.Declare(scope);

    protected override object OnEvaluate(Frame frame) => Arithmetic.Sign(symbol, operand.Evaluate(frame));
}

/// <summary><c>a ~ b ~ c</c>: the operands as text, joined.</summary>
internal sealed class ConcatenationExpression(List<Expression> operands) : Expression
{
    protected override void OnDeclare(Scope scope) => operands.ForEach(operand => operand.Declare(scope));

    protected override object OnEvaluate(Frame frame)
    {
        var builder = new StringValueBuilder(frame.Run);
        foreach (var value in operands.ConvertAll(operand => operand.Evaluate(frame)))
            builder.Append(Printer.Str(frame.Run, value));
        return builder.Build();
    }
}

/// <summary><c>owner.name</c>: attribute first, then entry.</summary>
internal sealed class AttributeExpression(Expression owner, string name) : Expression
{
    private readonly StringValue _name = StringValue.Literal(name);

    protected override void OnDeclare(Scope scope) => owner.Declare(scope);

    protected override object OnEvaluate(Frame frame) => Attributes.GetAttribute(frame.Run, owner.Evaluate(frame), _name);
}

/// <summary><c>owner[key]</c>: entry first, then attribute.</summary>
internal sealed class SubscriptExpression(Expression owner, Expression key) : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        owner.Declare(scope);
        key.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame)
    {
        var value = owner.Evaluate(frame);
        return Attributes.GetItem(frame.Run, value, key.Evaluate(frame));
    }
}

/// <summary><c>owner[start:stop:step]</c>.</summary>
internal sealed class SliceExpression(Expression owner, Expression? start, Expression? stop, Expression? step)
    : Expression
{
    protected override void OnDeclare(Scope scope)
    {
        owner.Declare(scope);
        start?.Declare(scope);
        stop?.Declare(scope);
        step?.Declare(scope);
    }

    protected override object OnEvaluate(Frame frame)
    {
        var value = owner.Evaluate(frame);
        return Slicing.Slice(frame.Run, value, start?.Evaluate(frame), stop?.Evaluate(frame), step?.Evaluate(frame));
    }
}
