namespace DeepSeekR1.Text.Templates;

/// <summary>The arguments of a call as written.</summary>
internal sealed record JinjaArgumentList(
    JinjaExpression[] Positional,
    (string Name, JinjaExpression Value)[] Keyword,
    JinjaExpression? MorePositional,
    JinjaExpression? MoreKeyword)
{
    /// <summary>No arguments.</summary>
    public static readonly JinjaArgumentList None = new([], [], null, null);

    /// <summary>See <see cref="JinjaNode.Declare"/>.</summary>
    public void Declare(JinjaScope scope)
    {
        Array.ForEach(Positional, argument => argument.Declare(scope));
        Array.ForEach(Keyword, argument => argument.Value.Declare(scope));
        MorePositional?.Declare(scope);
        MoreKeyword?.Declare(scope);
    }

    /// <summary>The values, behind a first one for filters and tests.</summary>
    public JinjaArguments Evaluate(JinjaFrame frame, object? first = null, JinjaCallable? caller = null)
    {
        var values = new List<object>(Positional.Length + 1);
        if (first is not null)
            values.Add(first);
        foreach (var argument in Positional)
            values.Add(argument.Evaluate(frame));
        var named = new List<KeyValuePair<string, object>>(Keyword.Length);
        foreach (var (name, argument) in Keyword)
            named.Add(new(name, argument.Evaluate(frame)));
        if (caller is not null)
            named.Add(new("caller", caller));
        if (MorePositional is not null)
            values.AddRange(JinjaTypes.ToList(frame.Run, MorePositional.Evaluate(frame)));
        if (MoreKeyword is not null)
            named.AddRange(Spread(MoreKeyword.Evaluate(frame)));
        return new JinjaArguments([.. values], named);
    }

    private static IEnumerable<KeyValuePair<string, object>> Spread(object value) => value is JinjaDict dict
        ? dict.Entries.Select(entry => entry.Key is JinjaString key
            ? KeyValuePair.Create(key.Text, entry.Value)
            : throw JinjaErrors.Type("keywords must be strings"))
        : throw JinjaErrors.Type($"argument after ** must be a mapping, not {JinjaTypes.Name(value)}");
}

/// <summary>A call.</summary>
internal sealed class JinjaCall(JinjaExpression callee, JinjaArgumentList arguments) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        callee.Declare(scope);
        arguments.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame) => Evaluate(frame, caller: null);

    /// <summary>Calls, with the body of a call block where there is one.</summary>
    public object Evaluate(JinjaFrame frame, JinjaCallable? caller)
    {
        var target = callee.Evaluate(frame);
        var values = arguments.Evaluate(frame, caller: caller);
        return target switch
        {
            JinjaCallable callable => callable.Call(frame.Run, values),
            JinjaUndefined undefined => throw undefined.Error(),
            _ => throw JinjaErrors.Type($"'{JinjaTypes.Name(target)}' object is not callable"),
        };
    }
}

/// <summary><c>value | name(...)</c>; without a value (in filter blocks) the value is given.</summary>
internal sealed class JinjaFilterCall(JinjaExpression? value, string name, JinjaArgumentList arguments) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        if (!scope.IsSoft && !JinjaFilters.All.ContainsKey(name))
            throw new TemplateException("TemplateAssertionError", $"No filter named '{name}'.");
        value?.Declare(scope);
        arguments.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame) => Apply(frame, value!.Evaluate(frame));

    /// <summary>The filter's result for a captured text: the innermost filter of a chain takes it.</summary>
    public object EvaluateWith(JinjaFrame frame, object captured) =>
        Apply(frame, value is JinjaFilterCall inner ? inner.EvaluateWith(frame, captured) : captured);

    private object Apply(JinjaFrame frame, object input) => JinjaFilters.All.TryGetValue(name, out var filter)
        ? filter.Call(frame.Run, arguments.Evaluate(frame, input))
        : throw new TemplateException("TemplateRuntimeError", $"No filter named '{name}' found.");
}

/// <summary><c>value is name(...)</c>.</summary>
internal sealed class JinjaTestCall(JinjaExpression value, string name, JinjaArgumentList arguments) : JinjaExpression
{
    protected override void OnDeclare(JinjaScope scope)
    {
        if (!scope.IsSoft && !JinjaTests.All.ContainsKey(name))
            throw new TemplateException("TemplateAssertionError", $"No test named '{name}'.");
        value.Declare(scope);
        arguments.Declare(scope);
    }

    protected override object OnEvaluate(JinjaFrame frame)
    {
        var input = value.Evaluate(frame);
        return JinjaTests.All.TryGetValue(name, out var test)
            ? test.Call(frame.Run, arguments.Evaluate(frame, input))
            : throw new TemplateException("TemplateRuntimeError", $"No test named '{name}' found.");
    }
}
