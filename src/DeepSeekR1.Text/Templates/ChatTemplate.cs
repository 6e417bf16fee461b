using DeepSeekR1.Text.Templates.Jinja;
using DeepSeekR1.Text.Templates.Jinja.Library;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates;

/// <summary>
/// A compiled chat template: renders what Hugging Face's template code renders, and says of every character whether it came from a string
/// of the request. Immutable and safe for many threads.
/// </summary>
public sealed class ChatTemplate
{
    // Everything a chat template can name besides its variables.
    private static readonly JinjaEnvironment Environment =
        new(new BuiltIns { Filters = Filters.All, Tests = Tests.All, Globals = Globals.All, Methods = Methods.All });

    private readonly CompiledTemplate _template;
    private readonly TimeProvider _clock;

    private ChatTemplate(CompiledTemplate template, TimeProvider clock) => (_template, _clock) = (template, clock);

    /// <summary>Compiles Jinja source.</summary>
    /// <param name="source">The template.</param>
    /// <param name="clock">Time for strftime_now; the system's when null.</param>
    /// <exception cref="TemplateException">The source is not valid.</exception>
    public static ChatTemplate Parse(string source, TimeProvider? clock = null) =>
        new(Environment.Compile(source), clock ?? TimeProvider.System);

    /// <summary>Renders; neighbouring runs of one origin are joined, empty runs do not occur.</summary>
    /// <exception cref="TemplateException">The template refused the conversation or failed on it.</exception>
    public IReadOnlyList<TextSegment> Render(TemplateInput input) => Render(TemplateVariables.Of(input));

    /// <summary>Renders with variables that are values already.</summary>
    internal IReadOnlyList<TextSegment> Render(IReadOnlyDictionary<string, object> variables) => _template.Render(variables, _clock);
}
