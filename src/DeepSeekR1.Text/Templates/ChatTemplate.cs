using System.Text.Json.Nodes;

namespace DeepSeekR1.Text.Templates;

/// <summary>What a template sees besides its own text.</summary>
public sealed record TemplateInput
{
    /// <summary>Messages: JSON objects with role, content and whatever else the request had.</summary>
    public required JsonArray Messages { get; init; }

    /// <summary>Tool definitions; null when there are none.</summary>
    public JsonArray? Tools { get; init; }

    /// <summary>Whether the prompt ends with the assistant's opening.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>Text of BOS; null leaves the variable undefined.</summary>
    public string? BosToken { get; init; }

    /// <summary>Text of EOS; null leaves the variable undefined.</summary>
    public string? EosToken { get; init; }

    /// <summary>Further variables (chat_template_kwargs).</summary>
    public JsonObject? Variables { get; init; }
}

/// <summary>
/// A compiled chat template: renders what Hugging Face's template code renders, and says of every character whether it came from a string
/// of the request. Immutable and safe for many threads.
/// </summary>
public sealed class ChatTemplate
{
    // Real templates have up to 20,000 characters.
    private const int MaxSourceChars = 1 << 20;

    private readonly JinjaBody _body;
    private readonly JinjaFrameLayout _layout;
    private readonly TimeProvider _clock;

    private ChatTemplate(JinjaBody body, JinjaFrameLayout layout, TimeProvider clock) => (_body, _layout, _clock) = (body, layout, clock);

    /// <summary>Compiles Jinja source.</summary>
    /// <param name="source">The template.</param>
    /// <param name="clock">Time for strftime_now; the system's when null.</param>
    /// <exception cref="TemplateException">The source is not valid.</exception>
    public static ChatTemplate Parse(string source, TimeProvider? clock = null)
    {
        if (source.Length > MaxSourceChars)
            throw JinjaErrors.Syntax($"The template has {source.Length} characters; the limit is {MaxSourceChars}.");
        var body = JinjaParser.Parse(source);
        var scope = new JinjaScope(null);
        body.Declare(scope);
        return new ChatTemplate(body, scope.Complete(), clock ?? TimeProvider.System);
    }

    /// <summary>Renders; neighbouring runs of one origin are joined, empty runs do not occur.</summary>
    /// <exception cref="TemplateException">The template refused the conversation or failed on it.</exception>
    public IReadOnlyList<TextSegment> Render(TemplateInput input) => Render(JinjaInput.Variables(input));

    /// <summary>Renders with variables that are values already.</summary>
    internal IReadOnlyList<TextSegment> Render(IReadOnlyDictionary<string, object> variables)
    {
        var run = new JinjaRun(variables, _clock);
        var output = run.Output = new JinjaStringBuilder(run);
        _body.Execute(new JinjaFrame(run, _layout, parent: null));
        return output.ToSegments();
    }
}

/// <summary>A template could not be compiled or rendered.</summary>
/// <param name="kind">The class of error as Python's Jinja names it, for example <c>TemplateError</c> for raise_exception.</param>
/// <param name="message">What is wrong.</param>
public sealed class TemplateException(string kind, string message) : Exception(message)
{
    /// <summary>The class of error as Python's Jinja names it.</summary>
    public string Kind { get; } = kind;
}
