namespace DeepSeekR1.Text.Templates;

/// <summary>Part of a compiled template: declares the names it uses once, then is evaluated by many threads.</summary>
internal abstract class JinjaNode
{
    /// <summary>Tells the scope which names are read and assigned.</summary>
    public void Declare(JinjaScope scope)
    {
        JinjaRun.EnsureStack();
        OnDeclare(scope);
    }

    /// <summary>See <see cref="Declare"/>.</summary>
    protected abstract void OnDeclare(JinjaScope scope);
}

/// <summary>An expression.</summary>
internal abstract class JinjaExpression : JinjaNode
{
    /// <summary>Its value.</summary>
    public object Evaluate(JinjaFrame frame)
    {
        JinjaRun.EnsureStack();
        frame.Run.Charge(16);
        return OnEvaluate(frame);
    }

    /// <summary>See <see cref="Evaluate"/>.</summary>
    protected abstract object OnEvaluate(JinjaFrame frame);
}

/// <summary>A literal.</summary>
internal sealed class JinjaConstant(object value) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
    }

    protected override object OnEvaluate(JinjaFrame frame) => value;
}

/// <summary>A variable.</summary>
internal sealed class JinjaName(string name) : JinjaExpression
{
    /// <summary>The identifier.</summary>
    public string Name => name;

    /// <summary>Where it lives; set when its scope is complete.</summary>
    public JinjaPlace Place { get; set; } = null!;

    protected override void OnDeclare(JinjaScope scope)
    {
        scope.Load(name);
        scope.Bind(this);
    }

    protected override object OnEvaluate(JinjaFrame frame) => frame.Get(Place) ?? new JinjaUndefined(name);
}

/// <summary><c>namespace.attribute</c> as the target of an assignment.</summary>
internal sealed class JinjaNamespaceReference(JinjaName owner, string attribute) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope) => owner.Declare(scope);

    protected override object OnEvaluate(JinjaFrame frame) => throw JinjaErrors.Syntax("a namespace reference is not an expression");

    /// <summary>Assigns.</summary>
    public void Assign(JinjaFrame frame, object value)
    {
        if (owner.Evaluate(frame) is not JinjaNamespace space)
            throw new TemplateException("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
        space.Set(attribute, value);
    }
}

/// <summary>A list or tuple display.</summary>
internal sealed class JinjaSequence(JinjaExpression[] items, bool isTuple) : JinjaExpression
{
    /// <summary>Its elements.</summary>
    public JinjaExpression[] Items => items;

    /// <summary>A tuple, not a list.</summary>
    public bool IsTuple => isTuple;

    protected override void OnDeclare(JinjaScope scope) => Array.ForEach(items, item => item.Declare(scope));

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var values = Array.ConvertAll(items, item => item.Evaluate(frame));
        return isTuple ? new JinjaTuple(values) : new JinjaList(values);
    }
}

/// <summary>A dict display.</summary>
internal sealed class JinjaDictDisplay(List<(JinjaExpression Key, JinjaExpression Value)> pairs) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        foreach (var (key, value) in pairs)
        {
            key.Declare(scope);
            value.Declare(scope);
        }
    }

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var dict = new JinjaDict();
        foreach (var (key, value) in pairs)
            dict.Set(key.Evaluate(frame), value.Evaluate(frame));
        return dict;
    }
}

/// <summary><c>not x</c>.</summary>
internal sealed class JinjaNot(JinjaExpression operand) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope) => operand.Declare(scope);

    protected override object OnEvaluate(JinjaFrame frame) => JinjaBox.Bool(!JinjaTypes.IsTrue(operand.Evaluate(frame)));
}

/// <summary><c>and</c>, <c>or</c>: give the operand that decides.</summary>
internal sealed class JinjaLogical(JinjaExpression left, JinjaExpression right, bool isAnd) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        left.Declare(scope);
        right.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var value = left.Evaluate(frame);
        return JinjaTypes.IsTrue(value) == isAnd ? right.Evaluate(frame) : value;
    }
}

/// <summary><c>a if test else b</c>.</summary>
internal sealed class JinjaConditional(JinjaExpression test, JinjaExpression then, JinjaExpression? otherwise) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        var wasSoft = scope.IsSoft;
        scope.IsSoft = true;
        test.Declare(scope);
        then.Declare(scope);
        otherwise?.Declare(scope);
        scope.IsSoft = wasSoft;
    }

    protected override object OnEvaluate(JinjaFrame frame) => JinjaTypes.IsTrue(test.Evaluate(frame))
        ? then.Evaluate(frame)
        : otherwise?.Evaluate(frame)
            ?? JinjaUndefined.WithHint("the inline if-expression evaluated to false and no else section was defined.");
}

/// <summary>A chain of comparisons; each operand is evaluated once.</summary>
internal sealed class JinjaComparison(JinjaExpression first, List<(string Symbol, JinjaExpression Operand)> rest) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        first.Declare(scope);
        foreach (var (_, operand) in rest)
            operand.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var left = first.Evaluate(frame);
        foreach (var (symbol, operand) in rest)
        {
            var right = operand.Evaluate(frame);
            if (!JinjaOperators.Compare(frame.Run, symbol, left, right))
                return JinjaBox.False;
            left = right;
        }
        return JinjaBox.True;
    }
}

/// <summary>An arithmetic operator.</summary>
internal sealed class JinjaBinary(string symbol, JinjaExpression left, JinjaExpression right) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        left.Declare(scope);
        right.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame) =>
        JinjaArithmetic.Apply(frame.Run, symbol, left.Evaluate(frame), right.Evaluate(frame));
}

/// <summary>Unary plus or minus.</summary>
internal sealed class JinjaUnary(string symbol, JinjaExpression operand) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope) => operand.Declare(scope);

    protected override object OnEvaluate(JinjaFrame frame) => JinjaArithmetic.Sign(symbol, operand.Evaluate(frame));
}

/// <summary><c>a ~ b ~ c</c>: the operands as text, joined.</summary>
internal sealed class JinjaConcatenation(List<JinjaExpression> operands) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope) => operands.ForEach(operand => operand.Declare(scope));

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var builder = new JinjaStringBuilder(frame.Run);
        foreach (var value in operands.ConvertAll(operand => operand.Evaluate(frame)))
            builder.Append(JinjaPrinter.Str(frame.Run, value));
        return builder.Build();
    }
}

/// <summary><c>owner.name</c>: attribute first, then entry.</summary>
internal sealed class JinjaAttribute(JinjaExpression owner, string name) : JinjaExpression
{
    private readonly JinjaString _name = JinjaString.Literal(name);

    protected override void OnDeclare(JinjaScope scope) => owner.Declare(scope);

    protected override object OnEvaluate(JinjaFrame frame) => JinjaAttributes.GetAttribute(frame.Run, owner.Evaluate(frame), _name);
}

/// <summary><c>owner[key]</c>: entry first, then attribute.</summary>
internal sealed class JinjaSubscript(JinjaExpression owner, JinjaExpression key) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        owner.Declare(scope);
        key.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var value = owner.Evaluate(frame);
        return JinjaAttributes.GetItem(frame.Run, value, key.Evaluate(frame));
    }
}

/// <summary><c>owner[start:stop:step]</c>.</summary>
internal sealed class JinjaSlice(JinjaExpression owner, JinjaExpression? start, JinjaExpression? stop, JinjaExpression? step)
    : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        owner.Declare(scope);
        start?.Declare(scope);
        stop?.Declare(scope);
        step?.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var value = owner.Evaluate(frame);
        return JinjaSlicing.Slice(frame.Run, value, start?.Evaluate(frame), stop?.Evaluate(frame), step?.Evaluate(frame));
    }
}
