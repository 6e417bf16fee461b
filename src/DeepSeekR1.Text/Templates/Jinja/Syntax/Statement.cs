namespace DeepSeekR1.Text.Templates;

/// <summary>How a statement ended.</summary>
internal enum JinjaFlow
{
    /// <summary>Go on.</summary>
    Next,

    /// <summary>Leave the loop.</summary>
    Break,

    /// <summary>Go to the next turn of the loop.</summary>
    Continue,
}

/// <summary>A statement: prints into the rendering's output.</summary>
internal abstract class JinjaStatement : JinjaNode
{
    /// <summary>Runs it.</summary>
    public JinjaFlow Execute(JinjaFrame frame)
    {
        JinjaRun.EnsureStack();
        frame.Run.Charge(16);
        return OnExecute(frame);
    }

    /// <summary>See <see cref="Execute"/>.</summary>
    protected abstract JinjaFlow OnExecute(JinjaFrame frame);
}

/// <summary>Statements in order.</summary>
internal sealed class JinjaBody(List<JinjaStatement> statements) : JinjaStatement
{
    /// <summary>Nothing between the tags.</summary>
    public bool IsEmpty => statements.Count == 0;

    protected override void OnDeclare(JinjaScope scope) => statements.ForEach(statement => statement.Declare(scope));

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        foreach (var statement in statements)
            if (statement.Execute(frame) is var flow and not JinjaFlow.Next)
                return flow;
        return JinjaFlow.Next;
    }
}

/// <summary>Template text.</summary>
internal sealed class JinjaData(string text) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
    {
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        frame.Run.Output.Append(text);
        return JinjaFlow.Next;
    }
}

/// <summary><c>{{ expression }}</c>.</summary>
internal sealed class JinjaPrint(JinjaExpression expression) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope) => expression.Declare(scope);

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        frame.Run.Output.Append(JinjaPrinter.Str(frame.Run, expression.Evaluate(frame)));
        return JinjaFlow.Next;
    }
}

/// <summary><c>break</c> or <c>continue</c>.</summary>
internal sealed class JinjaJump(JinjaFlow flow) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
    {
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame) => flow;
}

/// <summary><c>include</c>, <c>import</c>, <c>from</c>, <c>extends</c>: there is nothing to load from.</summary>
internal sealed class JinjaLoaderStatement : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
    {
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame) => throw JinjaErrors.Type("no loader for this environment specified");
}

/// <summary><c>if</c>, <c>elif</c>, <c>else</c>: no scope of their own.</summary>
internal sealed class JinjaIf(JinjaExpression test, JinjaBody then, List<JinjaIf> elifs, JinjaBody otherwise) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
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

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        if (JinjaTypes.IsTrue(test.Evaluate(frame)))
            return then.Execute(frame);
        foreach (var elif in elifs)
            if (JinjaTypes.IsTrue(elif.Test.Evaluate(frame)))
                return elif.Then.Execute(frame);
        return otherwise.Execute(frame);
    }

    private JinjaExpression Test => test;

    private JinjaBody Then => then;
}

/// <summary>The left side of an assignment: a name, a namespace attribute, or a tuple of them.</summary>
internal sealed class JinjaTarget(JinjaExpression pattern)
{
    /// <summary>Declares an assignment.</summary>
    public void DeclareStore(JinjaScope scope) => Walk(pattern, name => scope.Store(name.Name), scope);

    /// <summary>Declares a loop target or parameter.</summary>
    public void DeclareParameter(JinjaScope scope) => Walk(pattern, name => scope.Parameter(name.Name), scope);

    /// <summary>Assigns.</summary>
    public void Assign(JinjaFrame frame, object value) => Assign(frame, pattern, value);

    private static void Walk(JinjaExpression pattern, Action<JinjaName> declare, JinjaScope scope)
    {
        switch (pattern)
        {
            case JinjaName name:
                declare(name);
                scope.Bind(name);
                break;
            case JinjaSequence sequence:
                Array.ForEach(sequence.Items, item => Walk(item, declare, scope));
                break;
            default:
                pattern.Declare(scope);
                break;
        }
    }

    private static void Assign(JinjaFrame frame, JinjaExpression pattern, object value)
    {
        switch (pattern)
        {
            case JinjaName name:
                frame.Set(name.Place, value);
                break;
            case JinjaNamespaceReference reference:
                reference.Assign(frame, value);
                break;
            default:
                Unpack(frame, ((JinjaSequence)pattern).Items, value);
                break;
        }
    }

    private static void Unpack(JinjaFrame frame, JinjaExpression[] patterns, object value)
    {
        if (!JinjaTypes.IsIterable(value))
            throw JinjaErrors.Type($"cannot unpack non-iterable {JinjaTypes.Name(value)} object");
        var items = JinjaTypes.Iterate(value).Take(patterns.Length + 1).ToList();
        if (items.Count > patterns.Length)
            throw JinjaErrors.Value($"too many values to unpack (expected {patterns.Length})");
        if (items.Count < patterns.Length)
            throw JinjaErrors.Value($"not enough values to unpack (expected {patterns.Length}, got {items.Count})");
        for (var index = 0; index < patterns.Length; index++)
            Assign(frame, patterns[index], items[index]);
    }
}

/// <summary><c>set target = value</c>.</summary>
internal sealed class JinjaSet(JinjaTarget target, JinjaExpression value) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
    {
        value.Declare(scope);
        target.DeclareStore(scope);
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        target.Assign(frame, value.Evaluate(frame));
        return JinjaFlow.Next;
    }
}

/// <summary>A body in a scope of its own: <c>generation</c> and <c>block</c>, and what the captures below build on.</summary>
internal class JinjaScoped(JinjaBody body) : JinjaStatement
{
    private JinjaFrameLayout _layout = null!;

    protected override void OnDeclare(JinjaScope scope) => scope.Inner(outer =>
    {
        var inner = new JinjaScope(outer);
        DeclareInner(inner);
        body.Declare(inner);
        _layout = inner.Complete();
    });

    /// <summary>Declares what the inner scope holds besides the body.</summary>
    protected virtual void DeclareInner(JinjaScope scope)
    {
    }

    /// <summary>A frame for the body.</summary>
    protected JinjaFrame Open(JinjaFrame frame) => new(frame.Run, _layout, frame);

    /// <summary>Runs the body.</summary>
    protected JinjaFlow Run(JinjaFrame inner) => body.Execute(inner);

    protected override JinjaFlow OnExecute(JinjaFrame frame) => Run(Open(frame));
}

/// <summary><c>with a = 1, b = 2</c>: the values see the outer scope.</summary>
internal sealed class JinjaWith(List<(JinjaTarget Target, JinjaExpression Value)> assignments, JinjaBody body) : JinjaScoped(body)
{
    protected override void OnDeclare(JinjaScope scope)
    {
        assignments.ForEach(assignment => assignment.Value.Declare(scope));
        base.OnDeclare(scope);
    }

    protected override void DeclareInner(JinjaScope scope) => assignments.ForEach(assignment => assignment.Target.DeclareParameter(scope));

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        var inner = Open(frame);
        foreach (var (target, value) in assignments)
            target.Assign(inner, value.Evaluate(frame));
        return Run(inner);
    }
}

/// <summary><c>set target | filter</c> with a body.</summary>
internal sealed class JinjaSetBlock(JinjaTarget target, JinjaFilterCall? filter, JinjaBody body) : JinjaScoped(body)
{
    protected override void OnDeclare(JinjaScope scope)
    {
        target.DeclareStore(scope);
        base.OnDeclare(scope);
    }

    protected override void DeclareInner(JinjaScope scope) => filter?.Declare(scope);

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        var inner = Open(frame);
        var flow = JinjaFlow.Next;
        object captured = frame.Run.Capture(() => flow = Run(inner));
        if (flow == JinjaFlow.Next)
            target.Assign(frame, filter?.EvaluateWith(inner, captured) ?? captured);
        return flow;
    }
}

/// <summary><c>filter name</c> with a body.</summary>
internal sealed class JinjaFilterBlock(JinjaFilterCall filter, JinjaBody body) : JinjaScoped(body)
{
    protected override void DeclareInner(JinjaScope scope) => filter.Declare(scope);

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        var inner = Open(frame);
        var flow = JinjaFlow.Next;
        var captured = frame.Run.Capture(() => flow = Run(inner));
        if (flow == JinjaFlow.Next)
            frame.Run.Output.Append(JinjaPrinter.Str(frame.Run, filter.EvaluateWith(inner, captured)));
        return flow;
    }
}
