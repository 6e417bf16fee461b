using System.Globalization;
using System.Text.Json;
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
    private const int MaxStops = 16;
    private const int MaxBadWords = 128;
    private const int MaxStopLength = 1024;
    private const int MaxPrompts = 1024;
    private const int DefaultCompletionTokens = 16;

    /// <summary>A chat request.</summary>
    public (ChatRequest Request, AnswerOptions Answer) MapChat(RequestBody body, string id)
    {
        string model = CheckModel(body);
        UnsupportedFields.CheckChat(body.Root);
        bool logprobs = body.Flag("logprobs") ?? false;
        int? top = body.Integer(RequestFields.TopLogprobs);
        if (top > 0 && !logprobs)
            throw new InvalidRequestException("top_logprobs", "invalid_value", "'top_logprobs' needs 'logprobs': true.");
        var settings = Settings(body);
        settings = settings with
        {
            MaxTokens = body.Integer(RequestFields.MaxCompletionTokens) ?? body.Integer(RequestFields.MaxTokens),
            TopLogprobs = logprobs ? top ?? 0 : settings.TopLogprobs,
        };
        CheckMinTokens(settings);
        var conversation = ThinkingMapper.Apply(body, options, Conversation(body, id)) with { Settings = settings, Echo = body.Flag("echo") ?? false };
        return (conversation, Answer(body, model, logprobs) with { Answers = Answers(body) });
    }

    /// <summary>A completion request.</summary>
    public (CompletionRequest Request, AnswerOptions Answer) MapCompletion(RequestBody body, string id)
    {
        string model = CheckModel(body);
        UnsupportedFields.CheckCompletion(body.Root);
        int? logprobs = body.Integer(RequestFields.CompletionLogprobs);
        bool echo = body.Flag("echo") ?? false;
        int? maxTokens = body.Integer(RequestFields.CompletionMaxTokens);
        if (maxTokens == 0 && !echo)
            throw new InvalidRequestException("max_tokens", "invalid_value", "'max_tokens' must be at least 1, not 0; only with 'echo': true nothing needs to be generated.");
        var settings = Settings(body);
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
            Prompts = PromptMapper.Map(body, MaxPrompts),
            Settings = settings,
            AddSpecialTokens = body.Flag("add_special_tokens") ?? true,
        };
        return (request, Answer(body, model, logprobs is not null) with
        {
            Echo = echo ? request.Prompts : null,
            Answers = Answers(body),
            SkipSpecialTokens = settings.SkipSpecialTokens,
        });
    }

    private static int Answers(RequestBody body) => body.Integer(RequestFields.N) ?? 1;

    /// <summary>How many answers are generated, of which the best ones are sent.</summary>
    private static int Generated(RequestBody body)
    {
        int answers = Answers(body), generated = body.Integer(RequestFields.BestOf) ?? answers;
        if (generated < answers)
            throw new InvalidRequestException("best_of", "invalid_value", $"'best_of' ({generated}) must not be below 'n' ({answers}).");
        return generated == answers || body.Flag("stream") != true
            ? generated
            : throw new InvalidRequestException("best_of", "invalid_value", "'best_of' above 'n' cannot be streamed: the best answer is known at the end. Send stream false.");
    }

    private static int? PromptLogprobs(RequestBody body)
    {
        int? count = body.Integer(RequestFields.PromptLogprobs);
        return count is null || body.Flag("stream") != true
            ? count
            : throw new InvalidRequestException("prompt_logprobs", "invalid_value", "'prompt_logprobs' are not available when 'stream' is true.");
    }

    /// <summary>The conversation of a chat or tokenize request, without settings.</summary>
    public static ChatRequest Conversation(RequestBody body, string id)
    {
        var (messages, prefix) = MessageMapper.Map(body);
        bool? opening = body.Flag("add_generation_prompt");
        bool continues = body.Flag("continue_final_message") ?? prefix ?? (opening is null && messages[^1].Role == "assistant");
        if (continues && opening == true && body.Flag("continue_final_message") == true)
            throw new InvalidRequestException("continue_final_message", "invalid_value",
                "'continue_final_message' and 'add_generation_prompt' cannot both be true. Send add_generation_prompt false.");
        return new ChatRequest
        {
            Id = id,
            Messages = messages,
            AddGenerationPrompt = opening ?? true,
            ContinueFinalMessage = continues,
            TemplateVariables = Kwargs(body),
        };
    }

    /// <summary>The name that answers carry; an unknown model is a 404.</summary>
    public string CheckModel(RequestBody body)
    {
        string? name = body.Text("model");
        return string.IsNullOrEmpty(name) || models.Serves(name) ? models.Names[0] : throw models.NotFound(name);
    }

    private static JsonObject? Kwargs(RequestBody body)
    {
        if (!body.TryGet("chat_template_kwargs", out var value))
            return null;
        return value.ValueKind == JsonValueKind.Object
            ? JsonObject.Create(value)
            : throw RequestBody.WrongType("chat_template_kwargs", "an object", value);
    }

    private GenerationSettings Settings(RequestBody body)
    {
        string user = body.Text("user") ?? "";
        int generated = Generated(body);
        double? seconds = body.Number(RequestFields.Timeout) ?? options.RequestTimeoutSeconds;
        return new GenerationSettings
        {
            Temperature = body.Number(RequestFields.Temperature),
            TopP = body.Number(RequestFields.TopP),
            TopK = body.Integer(RequestFields.TopK),
            MinP = body.Number(RequestFields.MinP),
            Seed = body.LongInteger(RequestFields.Seed),
            MinTokens = body.Integer(RequestFields.MinTokens) ?? 0,
            Stop = Stops(body),
            StopTokenIds = body.TryGet("stop_token_ids", out var ids) ? RequestBody.Integers("stop_token_ids", ids) : [],
            IgnoreEos = body.Flag("ignore_eos") ?? false,
            IncludeStopString = body.Flag("include_stop_str_in_output") ?? false,
            SkipSpecialTokens = body.Flag("skip_special_tokens") ?? true,
            N = generated,
            TopLogprobs = generated > Answers(body) ? 0 : null,
            PromptLogprobs = PromptLogprobs(body),
            TimeLimit = seconds is { } limit ? TimeSpan.FromSeconds(limit) : null,
            PresencePenalty = body.Number(RequestFields.PresencePenalty) ?? 0,
            FrequencyPenalty = body.Number(RequestFields.FrequencyPenalty) ?? 0,
            RepetitionPenalty = body.Number(RequestFields.RepetitionPenalty),
            LogitBias = Bias(body),
            BadWords = Strings(body, RequestFields.BadWords.Name, MaxBadWords),
            AllowedTokenIds = Allowed(body),
            Priority = body.Integer(RequestFields.Priority) ?? 0,
            CacheSalt = body.Text(RequestFields.CacheSalt.Name),
            Constraint = options.TestConstraint is { } make ? sample => make(user, sample) : null,
        };
    }

    private static Dictionary<int, float>? Bias(RequestBody body)
    {
        string name = RequestFields.LogitBias.Name;
        if (!body.TryGet(name, out var value))
            return null;
        if (value.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object of token ids and numbers", value);
        var biases = new Dictionary<int, float>();
        foreach (var member in value.EnumerateObject())
        {
            if (!int.TryParse(member.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                throw new InvalidRequestException(name, "invalid_value", $"'{name}' has the key '{member.Name}'; keys are token ids.");
            if (member.Value.ValueKind != JsonValueKind.Number)
                throw RequestBody.WrongType($"{name}.{member.Name}", "a number", member.Value);
            double bias = member.Value.GetDouble();
            biases[id] = bias is >= -100 and <= 100
                ? (float)bias
                : throw new InvalidRequestException(name, "invalid_value", $"'{name}.{member.Name}' must be between -100 and 100, not {RequestBody.Shorten(member.Value)}.");
        }

        return biases.Count == 0 ? null : biases;
    }

    private static int[]? Allowed(RequestBody body)
    {
        string name = RequestFields.AllowedTokenIds.Name;
        if (!body.TryGet(name, out var value))
            return null;
        int[] ids = RequestBody.Integers(name, value);
        return ids.Length > 0 ? ids : throw new InvalidRequestException(name, "invalid_value", $"'{name}' is empty: nothing could be generated. Leave it out or list ids.");
    }

    private static string[] Strings(RequestBody body, string name, int most)
    {
        if (!body.TryGet(name, out var value))
            return [];
        if (value.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType(name, "a list of strings", value);
        string[] items = [.. value.EnumerateArray().Select((item, i) => RequestBody.Text($"{name}[{i}]", item))];
        if (items.Length > most)
            throw new InvalidRequestException(name, "invalid_value", $"'{name}' may hold at most {most} strings, not {items.Length}.");
        return items.All(item => item.Length is > 0 and <= MaxStopLength)
            ? items
            : throw new InvalidRequestException(name, "invalid_value", $"A string of '{name}' must have 1 to {MaxStopLength} characters.");
    }

    private static void CheckMinTokens(GenerationSettings settings)
    {
        int? limit = settings.MaxTokens ?? settings.DefaultMaxTokens;
        if (settings.MinTokens > limit)
            throw new InvalidRequestException("min_tokens", "invalid_value",
                $"'min_tokens' ({settings.MinTokens}) must not be above the token limit ({limit}).");
    }

    private static IReadOnlyList<string> Stops(RequestBody body)
    {
        if (!body.TryGet("stop", out var value))
            return [];
        if (value.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            throw RequestBody.WrongType("stop", "a string or a list of strings", value);
        string[] stops = value.ValueKind == JsonValueKind.String
            ? [RequestBody.Text("stop", value)]
            : [.. value.EnumerateArray().Select((item, i) => RequestBody.Text($"stop[{i}]", item))];
        if (stops.Length > MaxStops)
            throw new InvalidRequestException("stop", "invalid_value", $"'stop' may hold at most {MaxStops} strings, not {stops.Length}.");
        if (stops.Any(s => s.Length is 0 or > MaxStopLength))
            throw new InvalidRequestException("stop", "invalid_value", $"A stop string must have 1 to {MaxStopLength} characters.");
        return stops;
    }

    private static AnswerOptions Answer(RequestBody body, string model, bool logprobs)
    {
        bool stream = body.Flag("stream") ?? false;
        bool usage = false, continuous = false;
        if (body.TryGet("stream_options", out var value))
        {
            if (value.ValueKind != JsonValueKind.Object)
                throw RequestBody.WrongType("stream_options", "an object", value);
            if (!stream)
                throw new InvalidRequestException("stream_options", "invalid_value", "'stream_options' needs 'stream': true.");
            UnsupportedFields.CheckStreamOptions(value);
            var options = new RequestBody(value);
            usage = options.Flag("include_usage") ?? false;
            continuous = usage && (options.Flag("continuous_usage_stats") ?? false);
        }
        return new AnswerOptions(model, stream, usage, continuous, logprobs, body.Flag("return_token_ids") ?? false)
        {
            PromptLogprobs = body.TryGet("prompt_logprobs", out _),
        };
    }
}
