namespace DeepSeekR1.Text.Templates;

/// <summary>The values of a call.</summary>
internal sealed record JinjaArguments(object[] Positional, IReadOnlyList<KeyValuePair<string, object>> Keyword)
{
    /// <summary>A keyword argument; null when it was not given.</summary>
    public object? Find(string name)
    {
        foreach (var (key, value) in Keyword)
            if (key == name)
                return value;
        return null;
    }
}

/// <summary>Anything a template can call.</summary>
internal abstract class JinjaCallable
{
    /// <summary>Name for messages.</summary>
    public abstract string Name { get; }

    /// <summary>Name of the Python type.</summary>
    public virtual string TypeName => "function";

    /// <summary>Calls it.</summary>
    public abstract object Call(JinjaRun run, JinjaArguments arguments);
}

/// <summary>
/// A built-in with a fixed parameter list, written like <c>value, old, new, count=</c>: those with <c>=</c> may be left out and arrive
/// as null.
/// </summary>
internal sealed class JinjaFunction : JinjaCallable
{
    private readonly Func<JinjaRun, object?[], object> _body;
    private readonly string[] _parameters;
    private readonly int _required;

    public JinjaFunction(string name, string parameters, Func<JinjaRun, object?[], object> body)
    {
        var names = parameters.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        (Name, _body, _required) = (name, body, names.Count(parameter => !parameter.EndsWith('=')));
        _parameters = Array.ConvertAll(names, parameter => parameter.TrimEnd('='));
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override object Call(JinjaRun run, JinjaArguments arguments) => _body(run, Bind(arguments));

    private object?[] Bind(JinjaArguments arguments)
    {
        if (arguments.Positional.Length > _parameters.Length)
            throw JinjaErrors.Type(
                $"{Name}() takes {_parameters.Length} positional arguments but {arguments.Positional.Length} were given");
        var values = new object?[_parameters.Length];
        arguments.Positional.CopyTo(values, 0);
        foreach (var (name, value) in arguments.Keyword)
        {
            var index = Array.IndexOf(_parameters, name);
            if (index < 0)
                throw JinjaErrors.Type($"{Name}() got an unexpected keyword argument '{name}'");
            if (values[index] is not null)
                throw JinjaErrors.Type($"{Name}() got multiple values for argument '{name}'");
            values[index] = value;
        }
        for (var index = 0; index < _required; index++)
            if (values[index] is null)
                throw JinjaErrors.Type($"{Name}() missing 1 required positional argument: '{_parameters[index]}'");
        return values;
    }
}

/// <summary>A built-in that takes its arguments as they come.</summary>
internal sealed class JinjaVariadic(string name, Func<JinjaRun, JinjaArguments, object> body) : JinjaCallable
{
    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override object Call(JinjaRun run, JinjaArguments arguments) => body(run, arguments);
}

/// <summary>A method taken from its object.</summary>
internal sealed class JinjaMethod(JinjaCallable function, object self) : JinjaCallable
{
    /// <inheritdoc/>
    public override string Name => function.Name;

    /// <inheritdoc/>
    public override string TypeName => "builtin_function_or_method";

    /// <inheritdoc/>
    public override object Call(JinjaRun run, JinjaArguments arguments) =>
        function.Call(run, arguments with { Positional = [self, .. arguments.Positional] });
}

/// <summary>A macro, or the body of a call block, with the frame it was defined in.</summary>
internal sealed class JinjaMacro(JinjaMacroDefinition definition, JinjaFrame frame) : JinjaCallable
{
    /// <inheritdoc/>
    public override string Name => definition.Name;

    /// <inheritdoc/>
    public override string TypeName => "Macro";

    /// <summary>Parameters and body.</summary>
    public JinjaMacroDefinition Definition => definition;

    /// <inheritdoc/>
    public override object Call(JinjaRun run, JinjaArguments arguments) =>
        run.CaptureCall(() => definition.Invoke(new JinjaFrame(run, definition.Layout, frame), arguments));
}

/// <summary>What cycler(...) gives.</summary>
internal sealed class JinjaCycler(object[] items)
{
    private int _position;

    /// <summary>The item that <see cref="Next"/> gives next.</summary>
    public object Current => items[_position];

    /// <summary>The current item; moves on.</summary>
    public object Next()
    {
        var current = Current;
        _position = (_position + 1) % items.Length;
        return current;
    }

    /// <summary>Back to the first item.</summary>
    public void Reset() => _position = 0;
}
