using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Templates;

namespace DeepSeekR1.Text;

/// <summary>The beginning of an answer that is to be continued.</summary>
/// <param name="Reasoning">Its thought; null when it has none.</param>
/// <param name="Closed">Whether the thought is closed.</param>
/// <param name="Content">The answer so far.</param>
internal sealed record Prefill(string? Reasoning, bool Closed, string Content);

/// <summary>
/// Conversation to marked prompt text: normalises messages, renders the template, and opens the answer that is to be continued.
/// Think tags become control tokens only where this class or the template writes them; in a client's text they stay text.
/// Immutable and safe for many threads.
/// </summary>
/// <param name="template">The template; null when the model has none.</param>
/// <param name="assets">Names of the special tokens.</param>
/// <param name="dialect">The model's think tags.</param>
internal sealed class ChatPromptBuilder(ChatTemplate? template, ModelTextAssets assets, Dialect dialect)
{
    /// <summary>Renders a conversation.</summary>
    /// <exception cref="InvalidRequestException">A role is unknown, or the template refuses the conversation.</exception>
    public IReadOnlyList<TextSegment> Build(ChatRequest request)
    {
        if (template is null)
            throw new InvalidRequestException(null, "no_chat_template",
                $"This model has no chat template. Use /v1/completions, or start the server with {Engine.Options.OptionText.Mark("chat-template")} FILE.");
        if (!request.ContinueFinalMessage)
            return Render(request, request.Messages, request.AddGenerationPrompt);
        var last = request.Messages[^1];
        if (last.Role != "assistant")
            throw new InvalidRequestException("continue_final_message", "invalid_value",
                $"continue_final_message needs a last message of role 'assistant'; the last message has role '{last.Role}'.");
        var head = Render(request, request.Messages.Take(request.Messages.Count - 1), addGenerationPrompt: true);
        return PrefillOf(request) is { } prefill ? Continue(head, prefill) : head;
    }

    private IReadOnlyList<TextSegment> Render(ChatRequest request, IEnumerable<ChatMessage> messages, bool addGenerationPrompt)
    {
        var input = new TemplateInput
        {
            Messages = new JsonArray([.. messages.Select(Normalise)]),
            AddGenerationPrompt = addGenerationPrompt,
            BosToken = assets.BosToken,
            EosToken = assets.EosToken,
            Variables = request.TemplateVariables,
        };
        try
        {
            return template!.Render(input);
        }
        catch (TemplateException e)
        {
            throw new InvalidRequestException("messages", "template_error", $"The chat template refused these messages: {e.Message}");
        }
    }

    private JsonNode Normalise(ChatMessage message, int index)
    {
        string role = message.Role switch
        {
            "system" or "developer" => "system",
            "user" => "user",
            "assistant" => "assistant",
            _ => throw new InvalidRequestException($"messages[{index}].role", "invalid_value",
                $"Unknown role '{message.Role}' in messages[{index}]. Use system, developer, user or assistant."),
        };
        var (reasoning, content) = (message.Reasoning, message.Content ?? "");
        if (role == "assistant" && string.IsNullOrEmpty(reasoning))
            (reasoning, _, content) = dialect.SplitThought(content);
        var node = new JsonObject { ["role"] = role, ["content"] = content };
        if (role == "assistant" && !string.IsNullOrEmpty(reasoning))
            node["reasoning_content"] = reasoning;
        if (message.Name is not null)
            node["name"] = message.Name;
        return node;
    }

    /// <summary>The beginning of the answer, when there is one to continue.</summary>
    public Prefill? PrefillOf(ChatRequest request)
    {
        if (!request.ContinueFinalMessage)
            return null;
        var message = request.Messages[^1];
        string text = message.Content ?? "";
        if (!string.IsNullOrEmpty(message.Reasoning))
            return new Prefill(message.Reasoning, text.Length > 0, text);
        var (reasoning, closed, content) = dialect.SplitThought(text);
        return text.Length == 0 ? null : new Prefill(reasoning, closed, content);
    }

    /// <summary>Appends the beginning of an answer to a prompt that ends with the assistant's opening.</summary>
    private List<TextSegment> Continue(IReadOnlyList<TextSegment> head, Prefill prefill)
    {
        var prompt = WithoutOpenThought(head);
        if (prefill.Reasoning is { } reasoning)
        {
            Add(prompt, dialect.Open.Text, fromMessage: false);
            Add(prompt, reasoning, fromMessage: true);
            if (prefill.Closed)
                Add(prompt, dialect.Close.Text, fromMessage: false);
        }
        Add(prompt, prefill.Content, fromMessage: true);
        return prompt;
    }

    /// <summary>Takes away the opening tag (and the white space behind it) that the template's generation prompt ends with.</summary>
    private List<TextSegment> WithoutOpenThought(IReadOnlyList<TextSegment> head)
    {
        var prompt = head.ToList();
        if (prompt.Count == 0 || prompt[^1].FromMessage)
            return prompt;
        string tail = prompt[^1].Text.TrimEnd();
        if (!tail.EndsWith(dialect.Open.Text, StringComparison.Ordinal))
            return prompt;
        prompt.RemoveAt(prompt.Count - 1);
        Add(prompt, tail[..^dialect.Open.Text.Length], fromMessage: false);
        return prompt;
    }

    private static void Add(List<TextSegment> prompt, string text, bool fromMessage)
    {
        if (text.Length == 0)
            return;
        if (prompt.Count > 0 && prompt[^1].FromMessage == fromMessage)
            prompt[^1] = new TextSegment(prompt[^1].Text + text, fromMessage);
        else
            prompt.Add(new TextSegment(text, fromMessage));
    }
}
