namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>The one value a template may change: a bag of attributes.</summary>
internal sealed class NamespaceValue : IHasAttributes
{
    private readonly DictValue _attributes = new();

    /// <summary>Names and values in order of creation.</summary>
    public IEnumerable<KeyValuePair<object, object>> Attributes => _attributes.Entries;

    /// <inheritdoc/>
    public object? Find(string name) => _attributes.Find(StringValue.Literal(name));

    /// <summary>Sets an attribute. Names with a leading underscore are refused, as transformers 5 does.</summary>
    public void Set(string name, object value)
    {
        if (name.StartsWith('_'))
            throw new TemplateException(
                "SecurityError",
                $"Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{name}'. "
                + "Please rename the attribute.");
        _attributes.Set(StringValue.Literal(name), value);
    }
}
