namespace DeepSeekR1.Text.Templates;

/// <summary>A template could not be compiled or rendered.</summary>
/// <param name="kind">The class of error as Python's Jinja names it, for example <c>TemplateError</c> for raise_exception.</param>
/// <param name="message">What is wrong.</param>
public sealed class TemplateException(string kind, string message) : Exception(message)
{
    /// <summary>The class of error as Python's Jinja names it.</summary>
    public string Kind { get; } = kind;
}
