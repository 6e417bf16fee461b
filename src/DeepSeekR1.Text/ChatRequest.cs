using System.Text.Json.Nodes;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Text;

/// <summary>Where a thought appears in an answer.</summary>
public enum ReasoningFormat
{
    /// <summary>Thought and answer are separate texts.</summary>
    Separate,

    /// <summary>The thought stands inside the answer, between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c>.</summary>
    Inline,
}

/// <summary>One message of a conversation, as the client sent it; <see cref="ChatPromptBuilder"/> normalises it.</summary>
/// <param name="Role">system, developer, user or assistant; anything else is refused.</param>
/// <param name="Content">Text of the message; its parts are joined already. Null counts as empty.</param>
/// <param name="Reasoning">An assistant's earlier thought; null when it was not sent.</param>
/// <param name="Name">Optional name of the speaker.</param>
public sealed record ChatMessage(string Role, string? Content, string? Reasoning = null, string? Name = null);

/// <summary>
/// How text is generated: what is asked of sampling, and what is the text side's. Null values take the checkpoint's
/// generation_config.json, then the neutral value.
/// </summary>
public sealed record GenerationSettings : SamplingOverrides
{
    /// <summary>Words that are not written.</summary>
    public IReadOnlyList<string> BadWords { get; init; } = [];

    /// <summary>Urgency in the queue; smaller numbers go first.</summary>
    public int Priority { get; init; }

    /// <summary>Whose request it is, for turns in the queue; null tells nobody apart.</summary>
    public string? Tenant { get; init; }

    /// <summary>Only requests with the same salt share cached prefixes.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>Seed of the draw; null draws a random one.</summary>
    public long? Seed { get; init; }

    /// <summary>Most tokens to generate, thought included, as the request says; refused when prompt and output exceed the context.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Most tokens when the request says nothing, cut to the context; null takes the checkpoint's default, else the rest of the context.</summary>
    public int? DefaultMaxTokens { get; init; }

    /// <summary>Strings that end the text; searched in thought and answer.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>The stop string that was found stays in the text.</summary>
    public bool IncludeStopString { get; init; }

    /// <summary>Special tokens leave no text.</summary>
    public bool SkipSpecialTokens { get; init; } = true;

    /// <summary>Nothing is generated: the answer ends as soon as the prompt is computed.</summary>
    public bool PromptOnly { get; init; }

    /// <summary>Time after which the answer ends with what is there; null for ever.</summary>
    public TimeSpan? TimeLimit { get; init; }

    /// <summary>Number of independent answers per prompt.</summary>
    public int N { get; init; } = 1;

    /// <summary>Makes the guide of each answer, by its index; null leaves the choice to the model.</summary>
    public Func<int, ITokenGuide?>? Constraint { get; init; }
}

/// <summary>A conversation to be answered.</summary>
public sealed record ChatRequest
{
    /// <summary>Name in logs.</summary>
    public required string Id { get; init; }

    /// <summary>The conversation, at least one message.</summary>
    public required IReadOnlyList<ChatMessage> Messages { get; init; }

    /// <summary>How to generate.</summary>
    public GenerationSettings Settings { get; init; } = new();

    /// <summary>Where the thought goes.</summary>
    public ReasoningFormat Format { get; init; }

    /// <summary>The prompt ends with the assistant's opening.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>The last message is the beginning of the answer and is continued.</summary>
    public bool ContinueFinalMessage { get; init; }

    /// <summary>What was there of a continued message stands at the beginning of the answer too.</summary>
    public bool Echo { get; init; }

    /// <summary>Most tokens of the thought; 0 begins with an empty thought, null sets no limit.</summary>
    public int? ThinkingBudget { get; init; }

    /// <summary>Tokens of the limit that are kept for the answer; the thought ends in time. Null: see <see cref="ThoughtRules"/>.</summary>
    public int? AnswerReserve { get; init; }

    /// <summary>The answer begins with a thought, also where the template leaves that to the model.</summary>
    public bool EnforceThinking { get; init; }

    /// <summary>Further variables for the template (chat_template_kwargs).</summary>
    public JsonObject? TemplateVariables { get; init; }
}

/// <summary>A plain prompt: text, or token ids.</summary>
/// <param name="Text">The text; null when ids are given.</param>
/// <param name="Ids">The token ids; null when text is given.</param>
public readonly record struct PromptInput(string? Text, IReadOnlyList<int>? Ids);

/// <summary>Prompts to be continued.</summary>
public sealed record CompletionRequest
{
    /// <summary>Name in logs.</summary>
    public required string Id { get; init; }

    /// <summary>The prompts, at least one.</summary>
    public required IReadOnlyList<PromptInput> Prompts { get; init; }

    /// <summary>How to generate.</summary>
    public GenerationSettings Settings { get; init; } = new();

    /// <summary>Text prompts get the tokenizer's special tokens (BOS, once).</summary>
    public bool AddSpecialTokens { get; init; } = true;
}
