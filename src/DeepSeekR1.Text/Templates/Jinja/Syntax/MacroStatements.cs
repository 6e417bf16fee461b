namespace DeepSeekR1.Text.Templates;

/// <summary>Which of the special names a macro's body reads: only those are passed.</summary>
internal readonly record struct JinjaMacroSpecials(bool Caller, bool Keyword, bool Positional);

/// <summary>Parameters and body of a macro or call block.</summary>
internal sealed class JinjaMacroDefinition(
    string name, List<(string Name, JinjaExpression? Default)> parameters, JinjaMacroSpecials specials, JinjaBody body)
{
    /// <summary>Name for messages; <c>caller</c> for call blocks.</summary>
    public string Name => name;

    /// <summary>Names of the parameters.</summary>
    public IEnumerable<string> Parameters => parameters.Select(parameter => parameter.Name);

    /// <summary>Which special names the body reads.</summary>
    public JinjaMacroSpecials Specials => specials;

    /// <summary>The body's frame; set when its scope is complete.</summary>
    public JinjaFrameLayout Layout { get; private set; } = null!;

    private int[] _slots = [];

    /// <summary>Declares parameters, defaults and body in a scope inside the given one.</summary>
    public void Declare(JinjaScope outer)
    {
        var scope = new JinjaScope(outer);
        string[] names = [.. Parameters, .. SpecialNames()];
        Array.ForEach(names, scope.Parameter);
        parameters.ForEach(parameter => parameter.Default?.Declare(scope));
        body.Declare(scope);
        _slots = Array.ConvertAll(names, scope.SlotOf);
        Layout = scope.Complete();
    }

    /// <summary>Binds the arguments and prints the body.</summary>
    public void Invoke(JinjaFrame frame, JinjaArguments arguments)
    {
        var named = arguments.Keyword.ToList();
        for (var index = 0; index < parameters.Count; index++)
        {
            var isPositional = index < arguments.Positional.Length;
            frame.SetParameter(_slots[index], isPositional ? arguments.Positional[index] : Take(named, parameters[index].Name));
        }
        BindSpecials(frame, arguments, named);
        for (var index = 0; index < parameters.Count; index++)
            if (frame.Get(new JinjaPlace(0, _slots[index])) is null)
                frame.SetParameter(_slots[index], parameters[index].Default?.Evaluate(frame)
                    ?? JinjaUndefined.WithHint($"parameter '{parameters[index].Name}' was not provided"));
        body.Execute(frame);
    }

    private static object? Take(List<KeyValuePair<string, object>> named, string name)
    {
        var index = named.FindIndex(argument => argument.Key == name);
        if (index < 0)
            return null;
        var value = named[index].Value;
        named.RemoveAt(index);
        return value;
    }

    private IEnumerable<string> SpecialNames()
    {
        if (specials.Caller)
            yield return "caller";
        if (specials.Keyword)
            yield return "kwargs";
        if (specials.Positional)
            yield return "varargs";
    }

    private void BindSpecials(JinjaFrame frame, JinjaArguments arguments, List<KeyValuePair<string, object>> named)
    {
        var slot = parameters.Count;
        if (specials.Caller)
            frame.SetParameter(_slots[slot++], Take(named, "caller") ?? JinjaUndefined.WithHint("No caller defined"));
        if (specials.Keyword)
            frame.SetParameter(_slots[slot++], ToDict(named));
        else if (named.Count > 0)
            throw JinjaErrors.Type(named.Exists(argument => argument.Key == "caller")
                ? $"macro '{name}' was invoked with two values for the special caller argument. This is most likely a bug."
                : $"macro '{name}' takes no keyword argument '{named[0].Key}'");
        if (specials.Positional)
            frame.SetParameter(_slots[slot], new JinjaTuple([.. arguments.Positional.Skip(parameters.Count)]));
        else if (arguments.Positional.Length > parameters.Count)
            throw JinjaErrors.Type($"macro '{name}' takes not more than {parameters.Count} argument(s)");
    }

    private static JinjaDict ToDict(List<KeyValuePair<string, object>> named)
    {
        var dict = new JinjaDict();
        foreach (var (key, value) in named)
            dict.Set(JinjaString.Literal(key), value);
        return dict;
    }
}

/// <summary><c>macro name(...)</c>.</summary>
internal sealed class JinjaMacroStatement(JinjaTarget target, JinjaMacroDefinition definition) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
    {
        target.DeclareStore(scope);
        scope.Inner(definition.Declare);
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        target.Assign(frame, new JinjaMacro(definition, frame));
        return JinjaFlow.Next;
    }
}

/// <summary><c>call macro(...)</c> with a body that the macro calls as <c>caller</c>.</summary>
internal sealed class JinjaCallBlock(JinjaCall call, JinjaMacroDefinition definition) : JinjaStatement
{
    protected override void OnDeclare(JinjaScope scope)
    {
        call.Declare(scope);
        scope.Inner(definition.Declare);
    }

    protected override JinjaFlow OnExecute(JinjaFrame frame)
    {
        var result = call.Evaluate(frame, new JinjaMacro(definition, frame));
        frame.Run.Output.Append(JinjaPrinter.Str(frame.Run, result));
        return JinjaFlow.Next;
    }
}
