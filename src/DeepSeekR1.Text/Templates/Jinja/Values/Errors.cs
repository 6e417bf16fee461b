namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Errors with the class names of Python.</summary>
internal static class Errors
{
    public static TemplateException Type(string message) => new("TypeError", message);

    public static TemplateException Value(string message) => new("ValueError", message);

    public static TemplateException Overflow(string message) => new("OverflowError", message);

    public static TemplateException Syntax(string message) => new("TemplateSyntaxError", message);
}
