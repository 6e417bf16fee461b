using DeepSeekR1.Text.Templates.Jinja.Evaluation;
using DeepSeekR1.Text.Templates.Jinja.Syntax;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja;

/// <summary>
/// Compiles templates that know the given filters, tests, globals and methods, and no others. Immutable and safe for many threads.
/// </summary>
internal sealed class JinjaEnvironment(BuiltIns builtIns)
{
    // Real templates have up to 20,000 characters.
    private const int MaxSourceChars = 1 << 20;

    /// <summary>Compiles a source.</summary>
    /// <exception cref="TemplateException">The source is not valid.</exception>
    public CompiledTemplate Compile(string source)
    {
        if (source.Length > MaxSourceChars)
            throw Errors.Syntax($"The template has {source.Length} characters; the limit is {MaxSourceChars}.");
        var body = Parser.Parse(source);
        var scope = new Scope(builtIns);
        body.Declare(scope);
        return new CompiledTemplate(builtIns, body, scope.Complete());
    }
}
