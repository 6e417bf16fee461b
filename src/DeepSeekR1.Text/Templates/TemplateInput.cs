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
