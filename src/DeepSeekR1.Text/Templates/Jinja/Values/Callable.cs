namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Anything a template can call.</summary>
internal abstract class Callable
{
    /// <summary>Name for messages.</summary>
    public abstract string Name { get; }

    /// <summary>Name of the Python type.</summary>
    public virtual string TypeName => "function";

    /// <summary>Calls it.</summary>
    public abstract object Call(Rendering run, Arguments arguments);
}

/// <summary>The values of a call.</summary>
internal sealed record Arguments(object[] Positional, IReadOnlyList<KeyValuePair<string, object>> Keyword)
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
