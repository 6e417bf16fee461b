namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>A value with attributes of its own, besides the methods that the library gives its type.</summary>
internal interface IHasAttributes
{
    /// <summary>An attribute; null when there is none.</summary>
    object? Find(string name);
}
