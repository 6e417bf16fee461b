using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using Microsoft.OpenApi;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// Every field that this server acts on, once, and the lists of what each endpoint takes. A field of sampling is one declaration here
/// and one property of <see cref="Engine.SamplingOverrides"/>.
/// </summary>
internal static class RequestFields
{
    /// <summary>Sizes that no honest client meets.</summary>
    private const int NameCharacters = 4096, KeyCharacters = 65536, TextCharacters = 1 << 24, ListItems = 1 << 18, TokenItems = 1 << 22, MessageItems = 1 << 16;

    public static readonly TextField Model = new("model", "Name of the served model; may be left out.", NameCharacters) { Default = d => d.Model };

    public static readonly IntegerField MaxTokens = new("max_tokens", "Most tokens to generate, thought included. Default: the rest of the context; cut to the context.", 1, int.MaxValue)
    {
        Aliases = [("max_completion_tokens", "OpenAI's newer name of max_tokens; thought included.")],
        Set = (s, v) => s with { MaxTokens = v },
    };

    public static readonly IntegerField MaxTokensOrNone = new("max_tokens", "Most tokens to generate; 0 only together with echo. Default 16.", 0, int.MaxValue);

    public static readonly NumberField Temperature = new("temperature", "Randomness; 0 always takes the most likely token. Default from generation_config.json.", 0, 2)
    {
        Default = d => FieldDefaults.Round(d.Checkpoint?.Temperature ?? 1),
        Set = (s, v) => s with { Temperature = v },
    };

    public static readonly NumberField TopP = new("top_p", "Keep the smallest set of tokens that reaches this probability.", 0, 1)
    {
        ExclusiveMin = true,
        Default = d => FieldDefaults.Round(d.Checkpoint?.TopP ?? 1),
        Set = (s, v) => s with { TopP = v },
    };

    public static readonly IntegerField TopK = new("top_k", "Keep the k best tokens; 0 or -1 keeps all.", -1, int.MaxValue)
    {
        Default = d => d.Checkpoint?.TopK ?? 0,
        Set = (s, v) => s with { TopK = v },
    };

    public static readonly NumberField MinP = new("min_p", "Drop tokens below this fraction of the best token's probability.", 0, 1)
    {
        Default = d => FieldDefaults.Round(d.Checkpoint?.MinP ?? 0),
        Set = (s, v) => s with { MinP = v },
    };

    public static readonly NumberField TopNSigma = new(
        "top_n_sigma", "Keep the tokens whose logit is at least the largest one less this many standard deviations of all logits, whatever the temperature; 0 or -1 keeps all.", -1, 1000)
    {
        Default = _ => 0,
        Set = (s, v) => s with { TopNSigma = v },
    };

    public static readonly NumberField PresencePenalty = new("presence_penalty", "Taken from the logits of every token that was generated before.", -2, 2)
    {
        Default = _ => 0,
        Set = (s, v) => s with { PresencePenalty = v },
    };

    public static readonly NumberField FrequencyPenalty = new("frequency_penalty", "Taken from the logits of a token once for every time that it was generated before.", -2, 2)
    {
        Default = _ => 0,
        Set = (s, v) => s with { FrequencyPenalty = v },
    };

    public static readonly NumberField RepetitionPenalty = new(
        "repetition_penalty", "Divides the logits of every token of prompt and answer (multiplies negative ones); 1 does nothing.", 0, 10)
    {
        ExclusiveMin = true,
        Default = d => FieldDefaults.Round(d.Checkpoint?.RepetitionPenalty ?? 1),
        Set = (s, v) => s with { RepetitionPenalty = v },
    };

    public static readonly FormField<Dictionary<int, float>> LogitBias = new(
        "logit_bias", "Added to the logits of single tokens: token id to a number from -100 to 100.", new FieldLimit { Entries = ListItems, Item = FieldLimit.OfNumber },
        [JsonValueKind.Object], OpenApiSchemas.LogitBias, FieldForms.Bias)
    {
        Set = (s, v) => s with { LogitBias = v.Count == 0 ? null : v },
    };

    public static readonly FormField<string[]> BadWords = new(
        "bad_words", "Words that are not written, up to 128.", Strings(128), [JsonValueKind.Array], () => OpenApiSchemas.Array(OpenApiSchemas.Text()), FieldForms.Words)
    {
        Default = _ => new JsonArray(),
        Set = (s, v) => s with { BadWords = v },
    };

    public static readonly FormField<int[]> AllowedTokenIds = new(
        "allowed_token_ids", "The only token ids that may be generated.", Integers(ListItems), [JsonValueKind.Array], () => OpenApiSchemas.Array(OpenApiSchemas.Integer()), FieldForms.SomeIntegers)
    {
        Set = (s, v) => s with { AllowedTokenIds = v },
    };

    public static readonly IntegerField Priority = new("priority", "Urgency in the queue; smaller numbers go first.", int.MinValue, int.MaxValue)
    {
        Default = _ => 0,
        Set = (s, v) => s with { Priority = v },
    };

    public static readonly TextField CacheSalt = new("cache_salt", "Only requests with the same salt share cached prefixes.", KeyCharacters) { Set = (s, v) => s with { CacheSalt = v } };

    public static readonly IntegerField N = new("n", "Number of independent answers.", 1, 128) { Default = _ => 1 };

    public static readonly IntegerField BestOf = new(
        "best_of", "Generate this many answers and send the n with the highest mean log-probability; all of them count. Cannot be streamed.", 1, 128);

    public static readonly FlagField Echo = new("echo", "The answer begins with the prompt.") { Default = _ => false };

    public static readonly FlagField EchoOfPrefill = new("echo", "The answer begins with the text of the last message, when that is continued.") { Default = _ => false };

    public static readonly IntegerField PromptLogprobs = new(
        "prompt_logprobs", "Log-probabilities of the prompt's tokens and of this many alternatives. Cannot be streamed.", 0, 20);

    public static readonly NumberField Timeout = new("timeout", "Seconds after which the answer ends with what is there and finish_reason \"length\".", 0, 86400)
    {
        ExclusiveMin = true,
        Set = (s, v) => s with { TimeLimit = TimeSpan.FromSeconds(v) },
    };

    public static readonly LongField Seed = new(
        "seed", "The same seed and request give the same answer; in 16-bit types only while the prompt is computed alike, which a cached prefix changes (see cache_salt).")
    {
        Set = (s, v) => s with { Seed = v },
    };

    public static readonly FormField<string[]> Stop = new(
        "stop", "A string, or up to 16 strings, that end the text; not part of it.", Strings(16) with { Characters = TextCharacters }, [JsonValueKind.String, JsonValueKind.Array], OpenApiSchemas.TextOrTexts, FieldForms.Stops)
    {
        Set = (s, v) => s with { Stop = v },
    };

    public static readonly IntegersField StopTokenIds = new("stop_token_ids", "Token ids that end the text.", ListItems)
    {
        Default = _ => new JsonArray(),
        Set = (s, v) => s with { StopTokenIds = v },
    };

    public static readonly IntegerField MinTokens = new("min_tokens", "No end of the text before this many tokens.", 0, int.MaxValue)
    {
        Default = _ => 0,
        Set = (s, v) => s with { MinTokens = v },
    };

    public static readonly FlagField IgnoreEos = new("ignore_eos", "Do not end at the end-of-sequence token.") { Default = _ => false, Set = (s, v) => s with { IgnoreEos = v } };

    public static readonly FlagField IncludeStop = new("include_stop_str_in_output", "The stop string that was found stays in the text.")
    {
        Default = _ => false,
        Set = (s, v) => s with { IncludeStopString = v },
    };

    public static readonly FlagField SkipSpecial = new("skip_special_tokens", "Special tokens leave no text (default true).")
    {
        Default = _ => true,
        Set = (s, v) => s with { SkipSpecialTokens = v },
    };

    public static readonly FlagField Stream = new("stream", "Send the answer piece by piece as server-sent events.") { Default = _ => false };

    public static readonly FormField<RequestBody> StreamOptions = Object(
        "stream_options", "include_usage: a last chunk with usage; continuous_usage_stats: usage in every chunk.", 65536, OpenApiSchemas.StreamOptions);

    public static readonly FlagField ReturnTokenIds = new("return_token_ids", "Fill choices[].token_ids and prompt_token_ids.") { Default = _ => false };

    public static readonly TextField User = new("user", "Accepted, not used.", KeyCharacters);

    public static readonly FormField<JsonElement> Messages = new(
        "messages", "The conversation. Roles: system, developer (= system), user, assistant. Content: text or text parts.", MessageLimit(),
        [JsonValueKind.Array], OpenApiSchemas.Messages, (_, value) => value);

    public static readonly FlagField Logprobs = new("logprobs", "Return the log-probability of every generated token.") { Default = _ => false };

    public static readonly IntegerField TopLogprobs = new("top_logprobs", "Number of best alternatives per token; needs logprobs.", 0, 20) { Default = _ => 0 };

    public static readonly ChoiceField<ReasoningFormat?> Format = new(
        "reasoning_format", $"separate: thought in reasoning_content; inline: {Dialect.ThinkOpen} thought {Dialect.ThinkClose} inside content.", ["separate", "inline"],
        "separate or inline (also auto, deepseek = separate, none = inline)", ThinkingMapper.TryFormat)
    {
        Default = d => d.Options.ReasoningFormat == ReasoningFormat.Inline ? "inline" : "separate",
    };

    public static readonly IntegerField ThinkingBudget = new(
        "thinking_token_budget", "Most tokens of the thought; then it is wrapped up and the answer follows. 0 begins with an empty thought.", 0, int.MaxValue);

    public static readonly IntegerField AnswerReserve = new(
        "answer_reserve",
        "Tokens of max_tokens that are kept for the answer: the thought is wrapped up in time. With a budget the default is a quarter of max_tokens, at most 1024; without one it is 0.",
        0, int.MaxValue);

    public static readonly FlagField EnforceThinking = new("enforce_thinking", "The answer begins with a thought also where the template leaves that to the model.")
    {
        Default = d => d.Options.EnforceThinking,
    };

    public static readonly FlagField MathsHint = new(
        "maths_hint", "Adds to the last question: please reason step by step, and put your final answer within \\boxed{}.")
    {
        Default = _ => false,
    };

    public static readonly ChoiceField<int?> ReasoningEffort = new(
        "reasoning_effort", "none: empty thought; minimal: 256 tokens of thought; low: 1024; medium, high, xhigh, max: no limit.",
        [.. Dialect.R1.Efforts.Keys], "none, minimal, low, medium, high, xhigh or max", ThinkingMapper.TryEffort)
    {
        Default = _ => "medium",
    };

    public static readonly FormField<RequestBody> Thinking = Object("thinking", "{\"type\": \"disabled\"} begins with an empty thought.", 65536, OpenApiSchemas.Thinking);

    public static readonly FlagField Think = new("think", "Ollama's name: false begins with an empty thought.") { Default = _ => true };

    public static readonly FlagField SeparateReasoning = new("separate_reasoning", "SGLang's name: true is reasoning_format separate, false is inline.");

    public static readonly FlagField ContinueFinal = new(
        "continue_final_message",
        "The last message, of role assistant, is the beginning of the answer. Default: true when the last message is the assistant's and add_generation_prompt is not given.");

    public static readonly FlagField AddGenerationPrompt = new("add_generation_prompt", "The prompt ends with the assistant's opening (default true).") { Default = _ => true };

    public static readonly FormField<RequestBody> TemplateKwargs = Object(
        "chat_template_kwargs", "Further variables for the chat template.", 1 << 22, () => OpenApiSchemas.Object());

    public static readonly FormField<JsonElement> Prompt = new(
        "prompt", "A text, a list of texts, token ids, or a list of lists of token ids.", PromptLimit(),
        [JsonValueKind.String, JsonValueKind.Array], OpenApiSchemas.Prompt, (_, value) => value);

    public static readonly TextField PlainText = new("prompt", "Plain text.", TextCharacters);

    public static readonly FlagField AddSpecialTokens = new("add_special_tokens", "Text prompts get the beginning-of-sequence token where the model has one (default true).") { Default = _ => true };

    public static readonly IntegerField LogprobsCount = new("logprobs", "Log-probabilities of the generated tokens and of this many alternatives.", 0, 20);

    public static readonly IntegersField Tokens = new("tokens", "Token ids.", TokenItems);

    public static readonly FlagField ReturnTokenStrs = new("return_token_strs", "Also return the text of each token.") { Default = _ => false };

    private static readonly RequestField[] Common =
    [
        Model, Temperature, TopP, TopK, MinP, TopNSigma, N, Seed, Stop, StopTokenIds, MinTokens, IgnoreEos, IncludeStop,
        SkipSpecial, PresencePenalty, FrequencyPenalty, RepetitionPenalty, LogitBias, BadWords, AllowedTokenIds, Priority, CacheSalt,
        BestOf, PromptLogprobs, Timeout, Stream, StreamOptions, ReturnTokenIds, User,
    ];

    /// <summary>Fields of POST /v1/chat/completions.</summary>
    public static readonly RequestField[] Chat =
    [
        Messages, MaxTokens, .. Common, Logprobs, TopLogprobs, Format, ThinkingBudget, AnswerReserve, ReasoningEffort, Thinking, Think,
        EnforceThinking, MathsHint, SeparateReasoning, ContinueFinal, AddGenerationPrompt, EchoOfPrefill, TemplateKwargs,
    ];

    /// <summary>Fields of POST /v1/completions.</summary>
    public static readonly RequestField[] Completion = [Prompt, MaxTokensOrNone, .. Common, LogprobsCount, Echo, AddSpecialTokens];

    /// <summary>Fields of POST /tokenize.</summary>
    public static readonly RequestField[] Tokenize = [Model, PlainText, Messages, AddSpecialTokens, AddGenerationPrompt, ContinueFinal, TemplateKwargs, ReturnTokenStrs];

    /// <summary>Fields of POST /detokenize.</summary>
    public static readonly RequestField[] Detokenize = [Model, Tokens];

    /// <summary>Checks every field of an endpoint that was sent, and collects what they set.</summary>
    /// <exception cref="Engine.InvalidRequestException">A field is of the wrong type, out of its range or too large.</exception>
    public static GenerationSettings Apply(IEnumerable<RequestField> fields, RequestBody body, GenerationSettings settings)
        => fields.Aggregate(settings, (s, field) => field.Apply(body, s));

    private static FieldLimit Strings(int count) => new() { Items = count, Noun = "strings", Item = new FieldLimit { Characters = TextCharacters }, Words = $"{count} strings of 1 to {FieldForms.MaxStopLength} characters" };

    private static FieldLimit Integers(int count) => new() { Items = count, Noun = "integers", Item = FieldLimit.OfNumber };

    private static FormField<RequestBody> Object(string name, string description, int bytes, Func<OpenApiSchema> shape)
        => new(name, description, new FieldLimit { Bytes = bytes }, [JsonValueKind.Object], shape, FieldForms.Members);

    private static FieldLimit PromptLimit() => new()
    {
        Characters = TextCharacters,
        Items = TokenItems,
        Item = new FieldLimit { Characters = TextCharacters, Items = TokenItems, Item = FieldLimit.OfNumber },
        Words = $"{TextCharacters:N0} characters, {TokenItems:N0} token ids, or {PromptMapper.MaxPrompts:N0} prompts of that",
    };

    private static FieldLimit MessageLimit()
    {
        var text = new FieldLimit { Characters = TextCharacters };
        var word = new FieldLimit { Characters = NameCharacters };
        var part = new FieldLimit
        {
            Characters = TextCharacters,
            Entries = 1024,
            Members = new Dictionary<string, FieldLimit> { ["type"] = word },
            Item = text with { Bytes = TextCharacters }
        };
        return new FieldLimit
        {
            Items = MessageItems,
            Noun = "messages",
            Words = $"{MessageItems:N0} messages of {MessageItems:N0} parts of {TextCharacters:N0} characters",
            Item = new FieldLimit
            {
                Entries = 1024,
                Members = new Dictionary<string, FieldLimit> { ["role"] = word, ["name"] = word, ["content"] = text with { Items = MessageItems, Item = part } },
                Item = text with { Bytes = TextCharacters },
            },
        };
    }
}
