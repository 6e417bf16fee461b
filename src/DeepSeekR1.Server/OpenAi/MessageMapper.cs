using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>The <c>messages</c> of a request: types checked, text parts joined, earlier thoughts found.</summary>
internal static class MessageMapper
{
    /// <summary>Reads the conversation.</summary>
    /// <returns>The messages, and whether the last one asks to be continued (DeepSeek's <c>prefix</c>); null when it does not say.</returns>
    public static (IReadOnlyList<ChatMessage> Messages, bool? Prefix) Map(RequestBody body)
    {
        if (!RequestFields.Messages.TryRead(body, out var list))
            throw new InvalidRequestException("messages", "missing_field", "'messages' is missing. Send a list with at least one message.");
        if (list.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType("messages", "a list of messages", list);
        if (list.GetArrayLength() == 0)
            throw new InvalidRequestException("messages", "invalid_value", "'messages' is empty. Send at least one message.");
        var messages = new List<ChatMessage>(list.GetArrayLength());
        bool? prefix = null;
        foreach (var item in list.EnumerateArray())
        {
            string path = $"messages[{messages.Count}]";
            if (item.ValueKind != JsonValueKind.Object)
                throw RequestBody.WrongType(path, "an object", item);
            messages.Add(Message(item, path));
            prefix = new RequestBody(item).Flag("prefix");
        }
        return (messages, prefix);
    }

    private static ChatMessage Message(JsonElement item, string path)
    {
        string role = Text(item, "role", path)
            ?? throw new InvalidRequestException($"{path}.role", "missing_field", $"'{path}.role' is missing. Send system, developer, user or assistant.");
        if (role is "tool" or "function")
            throw new InvalidRequestException($"{path}.role", "unsupported_value",
                $"Role '{role}' in {path}: tool calls are not supported yet. Use system, developer, user or assistant.");
        if (role is not ("system" or "developer" or "user" or "assistant"))
            throw new InvalidRequestException($"{path}.role", "invalid_value",
                $"Unknown role '{role}' in {path}. Use system, developer, user or assistant.");
        CheckToolCalls(item, path);
        var (content, thought) = Content(item, path, role);
        string? reasoning = null;
        if (role == "assistant")
            reasoning = Thought(item, "reasoning_content", path) ?? Thought(item, "reasoning", path) ?? thought;
        return new ChatMessage(role, content, reasoning, Text(item, "name", path));
    }

    private static void CheckToolCalls(JsonElement item, string path)
    {
        foreach (string name in (ReadOnlySpan<string>)["tool_calls", "function_call"])
            if (item.TryGetProperty(name, out var calls)
                && calls.ValueKind != JsonValueKind.Null
                && !(calls.ValueKind == JsonValueKind.Array && calls.GetArrayLength() == 0))
                throw new InvalidRequestException($"{path}.{name}", "unsupported_value",
                    $"'{path}.{name}': tool calls are not supported yet. Leave it out or send [].");
    }

    private static (string? Content, string? Thought) Content(JsonElement item, string path, string role)
    {
        if (!item.TryGetProperty("content", out var content) || content.ValueKind == JsonValueKind.Null)
            return role == "assistant"
                ? (null, null)
                : throw new InvalidRequestException($"{path}.content", "missing_field",
                    $"'{path}.content' is missing. Only assistant messages may have none.");
        if (content.ValueKind == JsonValueKind.String)
            return (RequestBody.Text($"{path}.content", content), null);
        if (content.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType($"{path}.content", "a string or a list of text parts", content);
        List<string> texts = [], thoughts = [];
        int i = 0;
        foreach (var part in content.EnumerateArray())
            ReadPart(part, $"{path}.content[{i++}]", texts, thoughts);
        return (string.Join('\n', texts), thoughts.Count > 0 ? string.Join('\n', thoughts) : null);
    }

    private static void ReadPart(JsonElement part, string path, List<string> texts, List<string> thoughts)
    {
        if (part.ValueKind == JsonValueKind.String)
        {
            texts.Add(RequestBody.Text(path, part));
            return;
        }
        if (part.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(path, "a text part", part);
        string type = Text(part, "type", path)
            ?? throw new InvalidRequestException($"{path}.type", "missing_field", $"'{path}.type' is missing. Send {{\"type\":\"text\",\"text\":\"...\"}}.");
        if (type is "reasoning")
            type = "thinking";
        if (type is not ("text" or "thinking"))
            throw new InvalidRequestException($"{path}.type", "unsupported_value",
                $"'{path}' has type '{type}'. This model reads only text parts: {{\"type\":\"text\",\"text\":\"...\"}}.");
        string text = Text(part, type, path) ?? (type == "thinking" ? Text(part, "text", path) : null)
            ?? throw new InvalidRequestException($"{path}.{type}", "missing_field", $"'{path}.{type}' is missing.");
        (type == "text" ? texts : thoughts).Add(text);
    }

    private static string? Text(JsonElement item, string name, string path)
        => item.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? RequestBody.Text($"{path}.{name}", value)
            : null;

    /// <summary>An earlier thought; what is no text is some client's own bookkeeping and never a reason to refuse the conversation.</summary>
    private static string? Thought(JsonElement item, string name, string path)
        => item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            && RequestBody.Text($"{path}.{name}", value) is { Length: > 0 } text ? text : null;
}

/// <summary>The <c>prompt</c> of a completion request in its four forms.</summary>
internal static class PromptMapper
{
    /// <summary>Most prompts of one request.</summary>
    public const int MaxPrompts = 1024;

    /// <summary>Reads the prompts.</summary>
    public static IReadOnlyList<PromptInput> Map(RequestBody body)
    {
        if (!RequestFields.Prompt.TryRead(body, out var prompt))
            throw new InvalidRequestException("prompt", "missing_field", "'prompt' is missing. Send a text, a list of texts, or token ids.");
        if (prompt.ValueKind == JsonValueKind.String)
            return [new PromptInput(RequestBody.Text("prompt", prompt), null)];
        if (prompt.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType("prompt", "a text, a list of texts, or token ids", prompt);
        if (prompt.GetArrayLength() == 0)
            throw new InvalidRequestException("prompt", "invalid_value", "'prompt' is empty. Send at least one text or token id.");
        if (prompt[0].ValueKind == JsonValueKind.Number)
            return [new PromptInput(null, RequestBody.Integers("prompt", prompt))];
        if (prompt.GetArrayLength() > MaxPrompts)
            throw new InvalidRequestException("prompt", "invalid_value",
                $"'prompt' holds {prompt.GetArrayLength()} prompts; at most {MaxPrompts} fit into one request. Send several requests.");
        return [.. prompt.EnumerateArray().Select(Item)];
    }

    private static PromptInput Item(JsonElement item, int index) => item.ValueKind switch
    {
        JsonValueKind.String => new PromptInput(RequestBody.Text($"prompt[{index}]", item), null),
        JsonValueKind.Array => new PromptInput(null, RequestBody.Integers($"prompt[{index}]", item)),
        _ => throw RequestBody.WrongType($"prompt[{index}]", "a text or a list of token ids", item),
    };
}
