using System.Globalization;
using System.Text;
using DeepSeekR1.Engine;
using Microsoft.Extensions.AI;
using AiMessage = Microsoft.Extensions.AI.ChatMessage;

namespace DeepSeekR1.Text;

/// <summary>Messages and options of <see cref="IChatClient"/> to a request. What has no effect here is refused by name, never ignored.</summary>
internal static class ChatClientMapper
{
    /// <summary>Key of an additional property: most tokens of the thought.</summary>
    private const string ThinkingBudget = "thinking_token_budget";

    /// <summary>A request.</summary>
    /// <exception cref="InvalidRequestException">A message or an option cannot be served.</exception>
    public static ChatRequest Map(string id, IEnumerable<AiMessage> messages, ChatOptions options)
    {
        CheckOptions(options);
        List<ChatMessage> conversation = [.. messages.Select(Message)];
        if (!string.IsNullOrEmpty(options.Instructions))
            conversation.Insert(0, new ChatMessage("system", options.Instructions));
        if (conversation.Count == 0)
            throw new InvalidRequestException("messages", "invalid_value", "There are no messages. Send at least one.");
        return new ChatRequest
        {
            Id = id,
            Messages = conversation,
            Settings = Settings(options),
            ThinkingBudget = Budget(options),
        };
    }

    private static GenerationSettings Settings(ChatOptions options) => new()
    {
        Temperature = InRange("Temperature", options.Temperature, 0, 2),
        TopP = InRange("TopP", options.TopP, 0, 1),
        TopK = options.TopK,
        MaxTokens = options.MaxOutputTokens,
        Seed = options.Seed,
        Stop = options.StopSequences is { } stops ? [.. stops] : [],
        FrequencyPenalty = InRange("FrequencyPenalty", options.FrequencyPenalty, -2, 2),
        PresencePenalty = InRange("PresencePenalty", options.PresencePenalty, -2, 2),
    };

    /// <summary>The same table as <c>reasoning_effort</c> over HTTP.</summary>
    private static int? Budget(ChatOptions options)
    {
        if (options.AdditionalProperties?.TryGetValue(ThinkingBudget, out object? value) == true && value is not null)
            return value is int and >= 0 ? (int)value : throw Refused($"AdditionalProperties[{ThinkingBudget}]", value, "it must be an integer of at least 0");
        return options.Reasoning?.Effort switch
        {
            ReasoningEffort.None => Dialect.R1.Efforts["none"],
            ReasoningEffort.Low => Dialect.R1.Efforts["low"],
            _ => null,
        };
    }

    private static void CheckOptions(ChatOptions options)
    {
        if (options.Tools is { Count: > 0 })
            throw Refused("Tools", options.Tools.Count, "tool calls are not supported yet");
        if (options.ResponseFormat is not (null or ChatResponseFormatText))
            throw Refused("ResponseFormat", "json", "constrained answers are not supported");
        if (options.ConversationId is not null)
            throw Refused("ConversationId", options.ConversationId, "conversations are not stored; send all messages");
        if (options.ContinuationToken is not null || options.AllowBackgroundResponses == true)
            throw Refused("AllowBackgroundResponses", true, "answers in the background are not supported");
        if (options.StopSequences?.Any(string.IsNullOrEmpty) == true)
            throw Refused("StopSequences", "", "a stop string must not be empty");
    }

    private static float? InRange(string name, float? value, float min, float max)
        => value is null || (value >= min && value <= max)
            ? value
            : throw Refused(name, value, string.Create(CultureInfo.InvariantCulture, $"it must be between {min} and {max}"));

    private static ChatMessage Message(AiMessage message)
    {
        var (text, thought) = (new StringBuilder(), new StringBuilder());
        foreach (var content in message.Contents)
            switch (content)
            {
                case TextReasoningContent reasoning:
                    thought.Append(reasoning.Text);
                    break;
                case TextContent part:
                    text.Append(part.Text);
                    break;
                case UsageContent:
                    break;
                default:
                    throw Refused("Contents", content.GetType().Name, "only text is supported");
            }
        return new ChatMessage(message.Role.Value, text.ToString(), thought.Length > 0 ? thought.ToString() : null, message.AuthorName);
    }

    private static InvalidRequestException Refused(string name, object? value, string reason)
        => new(name, "unsupported_value", string.Create(CultureInfo.InvariantCulture, $"{name} = {value}: {reason}."));
}
