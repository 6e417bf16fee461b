using System.Text.Json;
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
        int? budget = Budget(body, options.ThinkingTokenBudget), reserve = body.Integer(RequestFields.AnswerReserve);
        bool? enforced = body.Flag(RequestFields.EnforceThinking.Name);
        if (enforced == true && budget == 0)
            throw new InvalidRequestException(RequestFields.EnforceThinking.Name, "invalid_value",
                "'enforce_thinking' asks for a thought, and the request turns thoughts off. Leave one of the two out.");
        return conversation with
        {
            Format = Format(body, options.ReasoningFormat),
            ThinkingBudget = budget,
            AnswerReserve = reserve ?? (budget > 0 ? options.AnswerReserve : null),
            EnforceThinking = enforced ?? (options.EnforceThinking && budget != 0),
            Messages = body.Flag(RequestFields.MathsHint.Name) == true ? WithHint(conversation.Messages) : conversation.Messages,
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

    private static ReasoningFormat Format(RequestBody body, ReasoningFormat byDefault)
    {
        var format = body.Text("reasoning_format") switch
        {
            null or "auto" => byDefault,
            "separate" or "deepseek" => ReasoningFormat.Separate,
            "inline" or "none" => ReasoningFormat.Inline,
            string other => throw new InvalidRequestException("reasoning_format", "invalid_value",
                $"'reasoning_format' must be separate or inline (also auto, deepseek = separate, none = inline), not \"{other}\"."),
        };
        return body.Flag("separate_reasoning") switch
        {
            true => ReasoningFormat.Separate,
            false => ReasoningFormat.Inline,
            null => format,
        };
    }

    /// <summary>The tightest of all that the request says about the length of the thought; the server's budget when it says nothing.</summary>
    private static int? Budget(RequestBody body, int? byDefault)
    {
        int? budget = body.Integer(RequestFields.ThinkingBudget);
        int? effort = null;
        if (body.Text(RequestFields.ReasoningEffort.Name) is { } word && !Dialect.R1.Efforts.TryGetValue(word, out effort))
            throw new InvalidRequestException(RequestFields.ReasoningEffort.Name, "invalid_value",
                $"'reasoning_effort' must be none, minimal, low, medium, high, xhigh or max, not \"{word}\".");
        bool disabled = body.Flag(RequestFields.Think.Name) == false;
        if (body.TryGet(RequestFields.Thinking.Name, out var thinking))
        {
            if (thinking.ValueKind != JsonValueKind.Object)
                throw RequestBody.WrongType(RequestFields.Thinking.Name, "an object", thinking);
            disabled |= new RequestBody(thinking).Text("type") switch
            {
                "enabled" or "auto" or null => false,
                "disabled" => true,
                string other => throw new InvalidRequestException(RequestFields.Thinking.Name, "invalid_value",
                    $"'thinking.type' must be enabled or disabled, not \"{other}\"."),
            };
        }

        if (disabled)
            return 0;
        bool saysNothing = budget is null && !body.TryGet(RequestFields.ReasoningEffort.Name, out _);
        return saysNothing ? byDefault : budget is null || effort is null ? budget ?? effort : Math.Min(budget.Value, effort.Value);
    }
}
