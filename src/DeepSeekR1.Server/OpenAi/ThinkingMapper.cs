using DeepSeekR1.Engine;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>What a request says about its thought, in all dialects: format, budget, reserve, beginning, and the hint for mathematics.</summary>
internal static class ThinkingMapper
{
    /// <summary>The instruction that R1's authors advise for mathematics.</summary>
    private const string MathsHint = "Please reason step by step, and put your final answer within \\boxed{}.";

    /// <summary>Completes a conversation.</summary>
    public static ChatRequest Apply(RequestBody body, ServerOptions options, ChatRequest conversation)
    {
        int? budget = Budget(body, options.ThinkingTokenBudget), reserve = RequestFields.AnswerReserve.Read(body);
        bool? enforced = RequestFields.EnforceThinking.Read(body);
        if (enforced == true && budget == 0)
            throw new InvalidRequestException(RequestFields.EnforceThinking.Name, "invalid_value",
                "'enforce_thinking' asks for a thought, and the request turns thoughts off. Leave one of the two out.");
        return conversation with
        {
            Format = Format(body, options.ReasoningFormat),
            ThinkingBudget = budget,
            AnswerReserve = reserve ?? (budget > 0 ? options.AnswerReserve : null),
            EnforceThinking = enforced ?? (options.EnforceThinking && budget != 0),
            Messages = RequestFields.MathsHint.Read(body) == true ? WithHint(conversation.Messages) : conversation.Messages,
        };
    }

    /// <summary>The hint stands at the end of the last question.</summary>
    private static IReadOnlyList<ChatMessage> WithHint(IReadOnlyList<ChatMessage> messages)
    {
        var hinted = messages.ToList();
        int last = hinted.FindLastIndex(m => m.Role == "user");
        if (last < 0)
            throw new InvalidRequestException(RequestFields.MathsHint.Name, "invalid_value", "'maths_hint' needs a message of role 'user' to stand in.");
        hinted[last] = hinted[last] with { Content = $"{hinted[last].Content}\n{MathsHint}" };
        return hinted;
    }

    /// <summary>Meaning of a word of <c>reasoning_format</c>; null is the server's.</summary>
    public static bool TryFormat(string word, out ReasoningFormat? format)
    {
        format = word switch
        {
            "separate" or "deepseek" => ReasoningFormat.Separate,
            "inline" or "none" => ReasoningFormat.Inline,
            _ => null,
        };
        return format is not null || word == "auto";
    }

    /// <summary>Tokens of thought that a word of <c>reasoning_effort</c> means; null is no limit.</summary>
    public static bool TryEffort(string word, out int? budget) => Dialect.R1.Efforts.TryGetValue(word, out budget);

    private static ReasoningFormat Format(RequestBody body, ReasoningFormat byDefault)
    {
        RequestFields.Format.TryRead(body, out var format);
        return RequestFields.SeparateReasoning.Read(body) switch
        {
            true => ReasoningFormat.Separate,
            false => ReasoningFormat.Inline,
            null => format ?? byDefault,
        };
    }

    /// <summary>The tightest of all that the request says about the length of the thought; the server's budget when it says nothing.</summary>
    private static int? Budget(RequestBody body, int? byDefault)
    {
        int? budget = RequestFields.ThinkingBudget.Read(body);
        bool saysEffort = RequestFields.ReasoningEffort.TryRead(body, out int? effort);
        bool disabled = RequestFields.Think.Read(body) == false;
        if (RequestFields.Thinking.Read(body) is { } thinking)
            disabled |= thinking.Text("type") switch
            {
                "enabled" or "auto" or null => false,
                "disabled" => true,
                string other => throw new InvalidRequestException(RequestFields.Thinking.Name, "invalid_value",
                    $"'thinking.type' must be enabled or disabled, not \"{other}\"."),
            };
        if (disabled)
            return 0;
        bool saysNothing = budget is null && !saysEffort;
        return saysNothing ? byDefault : budget is null || effort is null ? budget ?? effort : Math.Min(budget.Value, effort.Value);
    }
}
