namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// What a name, attribute or item is that does not exist: prints nothing, is false, iterates as empty, fails on everything else.
/// </summary>
internal sealed class UndefinedValue
{
    private readonly object? _owner;
    private readonly object? _name;
    private readonly string? _hint;
    private readonly string _kind = "UndefinedError";

    /// <summary>A missing variable.</summary>
    public UndefinedValue(string variable) => _name = StringValue.Literal(variable);

    /// <summary>A missing attribute or item of a value.</summary>
    public UndefinedValue(object owner, object name) => (_owner, _name) = (owner, name);

    private UndefinedValue(string hint, string kind) => (_hint, _kind) = (hint, kind);

    /// <summary>An undefined value with a message of its own.</summary>
    public static UndefinedValue WithHint(string hint) => new(hint, "UndefinedError");

    /// <summary>An attribute that the sandbox hides.</summary>
    public static UndefinedValue Unsafe(object owner, string attribute) =>
        new($"access to attribute '{attribute}' of '{Protocols.TypeName(owner)}' object is unsafe.", "SecurityError");

    /// <summary>The error of using this value.</summary>
    public TemplateException Error() => new(_kind, _hint ?? Describe());

    private string Describe()
    {
        if (_owner is null)
            return $"{Printer.ReprText(_name!)} is undefined";
        var owner = _owner is NoneValue ? "None" : Protocols.TypeName(_owner) + " object";
        return _name is StringValue
            ? $"'{owner}' has no attribute {Printer.ReprText(_name)}"
            : $"{owner} has no element {Printer.ReprText(_name!)}";
    }
}
