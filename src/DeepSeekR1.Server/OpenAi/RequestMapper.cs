using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>How an answer is to be written.</summary>
internal sealed record AnswerOptions(
    string Model, bool Stream, bool IncludeUsage, bool ContinuousUsage, bool Logprobs, bool ReturnTokenIds)
{
    /// <summary>Whether log-probabilities of the prompt are wanted.</summary>
    public bool PromptLogprobs { get; init; }

    /// <summary>The prompts that the answers begin with; null for none.</summary>
    public IReadOnlyList<PromptInput>? Echo { get; init; }

    /// <summary>Whether special tokens leave no text in the answer.</summary>
    public bool SkipSpecialTokens { get; init; } = true;

    /// <summary>How many answers of each prompt are sent; the best ones when more are generated.</summary>
    public int Answers { get; init; } = 1;
}

/// <summary>
/// JSON of a request to what the text side understands. All that a client can do wrong and that needs no tokenizer is found
/// here. Immutable and safe for many threads.
/// </summary>
internal sealed class RequestMapper(ServerOptions options, ServedModels models)
{
    private const int DefaultCompletionTokens = 16;

    /// <summary>A chat request.</summary>
    public (ChatRequest Request, AnswerOptions Answer) MapChat(RequestBody body, string id)
    {
        string model = CheckModel(body);
        UnsupportedFields.CheckChat(body.Root);
        bool logprobs = RequestFields.Logprobs.Read(body) ?? false;
        int? top = RequestFields.TopLogprobs.Read(body);
        if (top > 0 && !logprobs)
            throw new InvalidRequestException("top_logprobs", "invalid_value", "'top_logprobs' needs 'logprobs': true.");
        var settings = Settings(RequestFields.Chat, body);
        settings = settings with { TopLogprobs = logprobs ? top ?? 0 : settings.TopLogprobs };
        CheckMinTokens(settings);
        var conversation = ThinkingMapper.Apply(body, options, Conversation(body, id)) with { Settings = settings, Echo = RequestFields.EchoOfPrefill.Read(body) ?? false };
        return (conversation, Answer(body, model, logprobs) with { Answers = Answers(body) });
    }

    /// <summary>A completion request.</summary>
    public (CompletionRequest Request, AnswerOptions Answer) MapCompletion(RequestBody body, string id)
    {
        string model = CheckModel(body);
        UnsupportedFields.CheckCompletion(body.Root);
        int? logprobs = RequestFields.LogprobsCount.Read(body);
        bool echo = RequestFields.Echo.Read(body) ?? false;
        int? maxTokens = RequestFields.MaxTokensOrNone.Read(body);
        if (maxTokens == 0 && !echo)
            throw new InvalidRequestException("max_tokens", "invalid_value", "'max_tokens' must be at least 1, not 0; only with 'echo': true nothing needs to be generated.");
        var settings = Settings(RequestFields.Completion, body);
        settings = settings with
        {
            MaxTokens = maxTokens == 0 ? 1 : maxTokens,
            PromptOnly = maxTokens == 0,
            DefaultMaxTokens = DefaultCompletionTokens,
            TopLogprobs = logprobs ?? settings.TopLogprobs,
            PromptLogprobs = echo && logprobs is not null ? Math.Max(logprobs.Value, settings.PromptLogprobs ?? 0) : settings.PromptLogprobs,
        };
        CheckMinTokens(settings);
        var request = new CompletionRequest
        {
            Id = id,
            Prompts = PromptMapper.Map(body),
            Settings = settings,
            AddSpecialTokens = RequestFields.AddSpecialTokens.Read(body) ?? true,
        };
        return (request, Answer(body, model, logprobs is not null) with
        {
            Echo = echo ? request.Prompts : null,
            Answers = Answers(body),
            SkipSpecialTokens = settings.SkipSpecialTokens,
        });
    }

    private static int Answers(RequestBody body) => RequestFields.N.Read(body) ?? 1;

    /// <summary>How many answers are generated, of which the best ones are sent.</summary>
    private static int Generated(RequestBody body)
    {
        int answers = Answers(body), generated = RequestFields.BestOf.Read(body) ?? answers;
        if (generated < answers)
            throw new InvalidRequestException("best_of", "invalid_value", $"'best_of' ({generated}) must not be below 'n' ({answers}).");
        return generated == answers || RequestFields.Stream.Read(body) != true
            ? generated
            : throw new InvalidRequestException("best_of", "invalid_value", "'best_of' above 'n' cannot be streamed: the best answer is known at the end. Send stream false.");
    }

    private static int? PromptLogprobs(RequestBody body)
    {
        int? count = RequestFields.PromptLogprobs.Read(body);
        return count is null || RequestFields.Stream.Read(body) != true
            ? count
            : throw new InvalidRequestException("prompt_logprobs", "invalid_value", "'prompt_logprobs' are not available when 'stream' is true.");
    }

    /// <summary>The conversation of a chat or tokenize request, without settings.</summary>
    public static ChatRequest Conversation(RequestBody body, string id)
    {
        var (messages, prefix) = MessageMapper.Map(body);
        bool? opening = RequestFields.AddGenerationPrompt.Read(body);
        bool continues = RequestFields.ContinueFinal.Read(body) ?? prefix ?? (opening is null && messages[^1].Role == "assistant");
        if (continues && opening == true && RequestFields.ContinueFinal.Read(body) == true)
            throw new InvalidRequestException("continue_final_message", "invalid_value",
                "'continue_final_message' and 'add_generation_prompt' cannot both be true. Send add_generation_prompt false.");
        return new ChatRequest
        {
            Id = id,
            Messages = messages,
            AddGenerationPrompt = opening ?? true,
            ContinueFinalMessage = continues,
            TemplateVariables = RequestFields.TemplateKwargs.Read(body) is { } kwargs ? JsonObject.Create(kwargs.Root) : null,
        };
    }

    /// <summary>The name that answers carry; an unknown model is a 404.</summary>
    public string CheckModel(RequestBody body)
    {
        string? name = RequestFields.Model.Read(body);
        return string.IsNullOrEmpty(name) || models.Serves(name) ? models.Names[0] : throw models.NotFound(name);
    }

    private GenerationSettings Settings(IEnumerable<RequestField> fields, RequestBody body)
    {
        string user = RequestFields.User.Read(body) ?? "";
        int generated = Generated(body);
        var settings = new GenerationSettings { TimeLimit = options.RequestTimeoutSeconds is { } limit ? TimeSpan.FromSeconds(limit) : null };
        return RequestFields.Apply(fields, body, settings) with
        {
            N = generated,
            TopLogprobs = generated > Answers(body) ? 0 : null,
            PromptLogprobs = PromptLogprobs(body),
            Constraint = options.TestConstraint is { } make ? sample => make(user, sample) : null,
        };
    }

    private static void CheckMinTokens(GenerationSettings settings)
    {
        int? limit = settings.MaxTokens ?? settings.DefaultMaxTokens;
        if (settings.MinTokens > limit)
            throw new InvalidRequestException("min_tokens", "invalid_value",
                $"'min_tokens' ({settings.MinTokens}) must not be above the token limit ({limit}).");
    }

    private static AnswerOptions Answer(RequestBody body, string model, bool logprobs)
    {
        bool stream = RequestFields.Stream.Read(body) ?? false;
        bool usage = false, continuous = false;
        if (RequestFields.StreamOptions.Read(body) is { } options)
        {
            if (!stream)
                throw new InvalidRequestException("stream_options", "invalid_value", "'stream_options' needs 'stream': true.");
            UnsupportedFields.CheckStreamOptions(options.Root);
            usage = options.Flag("include_usage") ?? false;
            continuous = usage && (options.Flag("continuous_usage_stats") ?? false);
        }
        return new AnswerOptions(model, stream, usage, continuous, logprobs, RequestFields.ReturnTokenIds.Read(body) ?? false)
        {
            PromptLogprobs = body.TryGet(RequestFields.PromptLogprobs.Name, out _),
        };
    }
}
