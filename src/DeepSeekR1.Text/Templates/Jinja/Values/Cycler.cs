namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>What cycler(...) gives.</summary>
internal sealed class Cycler(object[] items) : IHasAttributes
{
    private int _position;

    /// <inheritdoc/>
    public object? Find(string name) => name switch
    {
        "current" => Current,
        "next" => new Function("next", "", (_, _) => Next()),
        "reset" => new Function("reset", "", (_, _) => Reset()),
        _ => null,
    };

    private object Current => items[_position];

    private object Next()
    {
        var current = Current;
        _position = (_position + 1) % items.Length;
        return current;
    }

    private NoneValue Reset()
    {
        _position = 0;
        return NoneValue.Instance;
    }
}
