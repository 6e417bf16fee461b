namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// A built-in with a fixed parameter list, written like <c>value, old, new, count=</c>: those with <c>=</c> may be left out and arrive
/// as null.
/// </summary>
internal sealed class Function : Callable
{
    private readonly Func<Rendering, object?[], object> _body;
    private readonly string[] _parameters;
    private readonly int _required;

    public Function(string name, string parameters, Func<Rendering, object?[], object> body)
    {
        var names = parameters.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        (Name, _body, _required) = (name, body, names.Count(parameter => !parameter.EndsWith('=')));
        _parameters = Array.ConvertAll(names, parameter => parameter.TrimEnd('='));
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override object Call(Rendering run, Arguments arguments) => _body(run, Bind(arguments));

    private object?[] Bind(Arguments arguments)
    {
        if (arguments.Positional.Length > _parameters.Length)
            throw Errors.Type(
                $"{Name}() takes {_parameters.Length} positional arguments but {arguments.Positional.Length} were given");
        var values = new object?[_parameters.Length];
        arguments.Positional.CopyTo(values, 0);
        foreach (var (name, value) in arguments.Keyword)
        {
            var index = Array.IndexOf(_parameters, name);
            if (index < 0)
                throw Errors.Type($"{Name}() got an unexpected keyword argument '{name}'");
            if (values[index] is not null)
                throw Errors.Type($"{Name}() got multiple values for argument '{name}'");
            values[index] = value;
        }
        for (var index = 0; index < _required; index++)
            if (values[index] is null)
                throw Errors.Type($"{Name}() missing 1 required positional argument: '{_parameters[index]}'");
        return values;
    }
}

/// <summary>A built-in that takes its arguments as they come.</summary>
internal sealed class VariadicFunction(string name, Func<Rendering, Arguments, object> body) : Callable
{
    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override object Call(Rendering run, Arguments arguments) => body(run, arguments);
}
