using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// Every field that this server acts on, once: the mapper reads by it, the OpenAPI document is made from it.
/// </summary>
internal static class RequestFields
{
    public static readonly RequestField Model = new("model", "string", "Name of the served model; may be left out.");

    public static readonly RequestField MaxTokens = new("max_tokens", "integer",
        "Most tokens to generate, thought included. Chat: default is the rest of the context; completions: 16. Cut to the context.",
        1, int.MaxValue);

    public static readonly RequestField CompletionMaxTokens = MaxTokens with { Description = "Most tokens to generate; 0 only together with echo. Default 16.", Min = 0 };

    public static readonly RequestField MaxCompletionTokens = new("max_completion_tokens", "integer",
        "OpenAI's newer name of max_tokens; thought included.", 1, int.MaxValue);

    public static readonly RequestField Temperature = new("temperature", "number",
        "Randomness; 0 always takes the most likely token. Default from generation_config.json.", 0, 2);

    public static readonly RequestField TopP = new("top_p", "number",
        "Keep the smallest set of tokens that reaches this probability.", 0, 1)
    { ExclusiveMin = true };

    public static readonly RequestField TopK = new("top_k", "integer", "Keep the k best tokens; 0 or -1 keeps all.", -1, int.MaxValue);

    public static readonly RequestField MinP = new("min_p", "number",
        "Drop tokens below this fraction of the best token's probability.", 0, 1);

    public static readonly RequestField PresencePenalty = new("presence_penalty", "number",
        "Taken from the logits of every token that was generated before.", -2, 2);

    public static readonly RequestField FrequencyPenalty = new("frequency_penalty", "number",
        "Taken from the logits of a token once for every time that it was generated before.", -2, 2);

    public static readonly RequestField RepetitionPenalty = new("repetition_penalty", "number",
        "Divides the logits of every token of prompt and answer (multiplies negative ones); 1 does nothing.", 0, 10)
    { ExclusiveMin = true };

    public static readonly RequestField LogitBias = new("logit_bias", "object",
        "Added to the logits of single tokens: token id to a number from -100 to 100.");

    public static readonly RequestField BadWords = new("bad_words", "strings", "Words that are not written, up to 128.");

    public static readonly RequestField AllowedTokenIds = new("allowed_token_ids", "integers", "The only token ids that may be generated.");

    public static readonly RequestField Priority = new("priority", "integer", "Urgency in the queue; smaller numbers go first.", int.MinValue, int.MaxValue);

    public static readonly RequestField CacheSalt = new("cache_salt", "string", "Only requests with the same salt share cached prefixes.");

    public static readonly RequestField N = new("n", "integer", "Number of independent answers.", 1, 128);

    public static readonly RequestField BestOf = new("best_of", "integer",
        "Generate this many answers and send the n with the highest mean log-probability; all of them count. Cannot be streamed.", 1, 128);

    public static readonly RequestField Echo = new("echo", "boolean", "The answer begins with the prompt.");

    public static readonly RequestField ChatEcho = new("echo", "boolean", "The answer begins with the text of the last message, when that is continued.");

    public static readonly RequestField PromptLogprobs = new("prompt_logprobs", "integer",
        "Log-probabilities of the prompt's tokens and of this many alternatives. Cannot be streamed.", 0, 20);

    public static readonly RequestField Timeout = new("timeout", "number",
        "Seconds after which the answer ends with what is there and finish_reason \"length\".", 0, 86400)
    { ExclusiveMin = true };

    public static readonly RequestField Seed = new("seed", "integer", "The same seed and request give the same answer; in 16-bit types only while the prompt is computed alike, which a cached prefix changes (see cache_salt).");

    public static readonly RequestField Stop = new("stop", "stop", "A string, or up to 16 strings, that end the text; not part of it.");

    public static readonly RequestField StopTokenIds = new("stop_token_ids", "integers", "Token ids that end the text.");

    public static readonly RequestField MinTokens = new("min_tokens", "integer",
        "No end of the text before this many tokens.", 0, int.MaxValue);

    public static readonly RequestField IgnoreEos = new("ignore_eos", "boolean", "Do not end at the end-of-sequence token.");

    public static readonly RequestField IncludeStop = new("include_stop_str_in_output", "boolean",
        "The stop string that was found stays in the text.");

    public static readonly RequestField SkipSpecial = new("skip_special_tokens", "boolean",
        "Special tokens leave no text (default true).");

    public static readonly RequestField Stream = new("stream", "boolean", "Send the answer piece by piece as server-sent events.");

    public static readonly RequestField StreamOptions = new("stream_options", "object",
        "include_usage: a last chunk with usage; continuous_usage_stats: usage in every chunk.");

    public static readonly RequestField ReturnTokenIds = new("return_token_ids", "boolean",
        "Fill choices[].token_ids and prompt_token_ids.");

    public static readonly RequestField User = new("user", "string", "Accepted, not used.");

    public static readonly RequestField Messages = new("messages", "messages",
        "The conversation. Roles: system, developer (= system), user, assistant. Content: text or text parts.");

    public static readonly RequestField ChatLogprobs = new("logprobs", "boolean", "Return the log-probability of every generated token.");

    public static readonly RequestField TopLogprobs = new("top_logprobs", "integer",
        "Number of best alternatives per token; needs logprobs.", 0, 20);

    public static readonly RequestField Format = new("reasoning_format", "string",
        $"separate: thought in reasoning_content; inline: {Dialect.ThinkOpen} thought {Dialect.ThinkClose} inside content.");

    public static readonly RequestField ThinkingBudget = new("thinking_token_budget", "integer",
        "Most tokens of the thought; then it is wrapped up and the answer follows. 0 begins with an empty thought.", 0, int.MaxValue);

    public static readonly RequestField AnswerReserve = new("answer_reserve", "integer",
        "Tokens of max_tokens that are kept for the answer: the thought is wrapped up in time. With a budget the default is a quarter of max_tokens, at most 1024; without one it is 0.",
        0, int.MaxValue);

    public static readonly RequestField EnforceThinking = new("enforce_thinking", "boolean",
        "The answer begins with a thought also where the template leaves that to the model.");

    public static readonly RequestField MathsHint = new("maths_hint", "boolean",
        "Adds to the last question: please reason step by step, and put your final answer within \\boxed{}.");

    public static readonly RequestField ReasoningEffort = new("reasoning_effort", "string",
        "none: empty thought; minimal: 256 tokens of thought; low: 1024; medium, high, xhigh, max: no limit.");

    public static readonly RequestField Thinking = new("thinking", "object", "{\"type\": \"disabled\"} begins with an empty thought.");

    public static readonly RequestField Think = new("think", "boolean", "Ollama's name: false begins with an empty thought.");

    public static readonly RequestField SeparateReasoning = new("separate_reasoning", "boolean",
        "SGLang's name: true is reasoning_format separate, false is inline.");

    public static readonly RequestField ContinueFinal = new("continue_final_message", "boolean",
        "The last message, of role assistant, is the beginning of the answer. Default: true when the last message is the assistant's and add_generation_prompt is not given.");

    public static readonly RequestField AddGenerationPrompt = new("add_generation_prompt", "boolean",
        "The prompt ends with the assistant's opening (default true).");

    public static readonly RequestField TemplateKwargs = new("chat_template_kwargs", "object", "Further variables for the chat template.");

    public static readonly RequestField Prompt = new("prompt", "prompt", "A text, a list of texts, token ids, or a list of lists of token ids.");

    public static readonly RequestField AddSpecialTokens = new("add_special_tokens", "boolean",
        "Text prompts get the beginning-of-sequence token where the model has one (default true).");

    public static readonly RequestField CompletionLogprobs = new("logprobs", "integer",
        "Log-probabilities of the generated tokens and of this many alternatives.", 0, 20);

    public static readonly RequestField Tokens = new("tokens", "integers", "Token ids.");

    public static readonly RequestField ReturnTokenStrs = new("return_token_strs", "boolean", "Also return the text of each token.");

    private static readonly RequestField[] Common =
    [
        Model, Temperature, TopP, TopK, MinP, N, Seed, Stop, StopTokenIds, MinTokens, IgnoreEos, IncludeStop,
        SkipSpecial, PresencePenalty, FrequencyPenalty, RepetitionPenalty, LogitBias, BadWords, AllowedTokenIds, Priority, CacheSalt,
        BestOf, PromptLogprobs, Timeout, Stream, StreamOptions, ReturnTokenIds, User,
    ];

    /// <summary>Fields of POST /v1/chat/completions.</summary>
    public static readonly RequestField[] Chat =
    [
        Messages, MaxTokens, .. Common, MaxCompletionTokens, ChatLogprobs, TopLogprobs, Format, ThinkingBudget, AnswerReserve, ReasoningEffort, Thinking, Think,
        EnforceThinking, MathsHint, SeparateReasoning, ContinueFinal, AddGenerationPrompt, ChatEcho, TemplateKwargs,
    ];

    /// <summary>Fields of POST /v1/completions.</summary>
    public static readonly RequestField[] Completion = [Prompt, CompletionMaxTokens, .. Common, CompletionLogprobs, Echo, AddSpecialTokens];

    /// <summary>Fields of POST /tokenize.</summary>
    public static readonly RequestField[] Tokenize =
        [Model, Prompt with { Type = "string", Description = "Plain text." }, Messages, AddSpecialTokens, AddGenerationPrompt, ContinueFinal, TemplateKwargs, ReturnTokenStrs];

    /// <summary>Fields of POST /detokenize.</summary>
    public static readonly RequestField[] Detokenize = [Model, Tokens];
}
