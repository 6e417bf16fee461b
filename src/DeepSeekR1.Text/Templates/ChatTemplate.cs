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

/// <summary>A compiled chat template. Immutable and safe for many threads.</summary>
public sealed class ChatTemplate
{
    /// <summary>Compiles Jinja source.</summary>
    /// <exception cref="TemplateException">The source is not valid.</exception>
    public static ChatTemplate Parse(string source, TimeProvider? clock = null) => throw new NotImplementedException();

    /// <summary>Renders; neighbouring runs of one origin are joined, empty runs do not occur.</summary>
    /// <exception cref="TemplateException">The template refused the conversation or failed on it.</exception>
    public IReadOnlyList<TextSegment> Render(TemplateInput input) => throw new NotImplementedException();
}

/// <summary>A template could not be compiled or rendered.</summary>
/// <param name="kind">The class of error as Python's Jinja names it, for example <c>TemplateError</c> for raise_exception.</param>
/// <param name="message">What is wrong.</param>
public sealed class TemplateException(string kind, string message) : Exception(message)
{
    /// <summary>The class of error as Python's Jinja names it.</summary>
    public string Kind { get; } = kind;
}
