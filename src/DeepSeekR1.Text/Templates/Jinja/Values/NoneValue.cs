namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's None.</summary>
internal sealed class NoneValue
{
    public static readonly NoneValue Instance = new();
}
