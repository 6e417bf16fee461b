using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Text.Guides;
using DeepSeekR1.Text.Templates;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text;

/// <summary>
/// The text side's door: conversations and prompts in, events out. Holds the engine, the tokenizer and the template;
/// owns the engine. Safe for many threads.
/// </summary>
public sealed class ChatEngine : IAsyncDisposable
{
    private readonly LlmEngine _engine;
    private readonly Tokenizer _tokenizer;
    private readonly Dialect _dialect;
    private readonly ChatPromptBuilder _prompts;
    private readonly ThoughtRules _thoughts;
    private readonly int? _bosId;

    /// <summary>Takes over a loaded engine.</summary>
    /// <param name="engine">The engine; disposed with this object.</param>
    /// <param name="chatTemplate">Jinja source that replaces the checkpoint's own template; null keeps it.</param>
    /// <exception cref="StartupException">Tokenizer or template are not supported.</exception>
    public ChatEngine(LlmEngine engine, string? chatTemplate = null)
    {
        _engine = engine;
        var assets = engine.TextAssets;
        _tokenizer = Tokenizer.Create(assets);
        _dialect = Dialect.Of(_tokenizer, chatTemplate ?? assets.ChatTemplate);
        _prompts = new ChatPromptBuilder(ParseTemplate(chatTemplate ?? assets.ChatTemplate), assets, _dialect);
        _thoughts = new ThoughtRules(_tokenizer, _dialect);
        _bosId = assets is { AddBosToken: true, BosToken: { } bos } ? _tokenizer.FindToken(bos) : null;
    }

    /// <summary>What is true of the loaded engine.</summary>
    public EngineFacts Facts => _engine.Facts;

    /// <summary>The engine's counters and gauges now.</summary>
    public EngineSnapshot Snapshot() => _engine.Snapshot();

    /// <summary>Times and sizes of requests so far.</summary>
    public Engine.Diagnostics.EngineMetrics Metrics => _engine.Metrics;

    /// <summary>False once the engine has faulted or is closing.</summary>
    public bool IsHealthy => _engine.IsHealthy;

    /// <summary>The fault that ended the engine; null while it runs.</summary>
    public EngineFaultedException? Fault => _engine.Fault;

    /// <summary>Completes when the engine answers no more.</summary>
    public Task Stopped => _engine.Stopped;

    /// <summary>Waits for running requests; new ones are refused.</summary>
    public Task DrainAsync(CancellationToken cancellation) => _engine.DrainAsync(cancellation);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    /// <summary>Starts to answer a conversation.</summary>
    /// <exception cref="InvalidRequestException">The conversation cannot be served.</exception>
    /// <exception cref="CapacityException">No room at present.</exception>
    public TextGeneration Start(ChatRequest request)
    {
        var prefill = _prompts.PrefillOf(request);
        var start = _thoughts.Open(request, _prompts.Build(request), continues: prefill is not null);
        ChoicePlan Plan(int choice, GenerationSettings settings)
            => new(choice, _tokenizer, settings, _dialect, start.Inside, request.Format, request.Echo ? prefill : null);
        return Submit(request.Id, [_tokenizer.Encode(start.Prompt)], request.Settings, "messages", Plan, maxTokens => _thoughts.Limit(request, start, maxTokens));
    }

    /// <summary>Starts to continue plain prompts.</summary>
    /// <exception cref="InvalidRequestException">A prompt cannot be served.</exception>
    /// <exception cref="CapacityException">No room at present.</exception>
    public TextGeneration Start(CompletionRequest request)
    {
        var prompts = request.Prompts.Select(p => p.Ids ?? Tokenize(p.Text!, request.AddSpecialTokens)).ToArray();
        return Submit(request.Id, prompts, request.Settings, "prompt", (choice, settings) => new ChoicePlan(choice, _tokenizer, settings));
    }

    /// <summary>Plain text to ids: added tokens count, BOS is added once where the checkpoint asks for it.</summary>
    public IReadOnlyList<int> Tokenize(string text, bool addSpecialTokens)
    {
        int[] ids = _tokenizer.Encode(text, addSpecialTokens);
        return addSpecialTokens && _bosId is { } bos && (ids.Length == 0 || ids[0] != bos) ? [bos, .. ids] : ids;
    }

    /// <summary>The ids of a rendered conversation.</summary>
    public IReadOnlyList<int> Tokenize(ChatRequest request) => _tokenizer.Encode(_prompts.Build(request));

    /// <summary>Ids to text, special tokens included.</summary>
    /// <exception cref="InvalidRequestException">An id is outside the vocabulary.</exception>
    public string Detokenize(IReadOnlyList<int> ids)
    {
        CheckIds(ids, "tokens");
        return _tokenizer.Decode(ids, skipSpecialTokens: false);
    }

    /// <summary>Turns the ids of one text into text as they come.</summary>
    public IncrementalDetokenizer Detokenizer(bool skipSpecialTokens) => new(_tokenizer, skipSpecialTokens);

    /// <summary>Bytes of one token, as log-probabilities show them.</summary>
    public ReadOnlyMemory<byte> TokenBytes(int id) => _tokenizer.Bytes(id);

    private static ChatTemplate? ParseTemplate(string? source)
    {
        try
        {
            return source is null ? null : ChatTemplate.Parse(source);
        }
        catch (TemplateException e)
        {
            throw new StartupException($"The chat template is not valid: {e.Message.TrimEnd('.')}. Give another with {OptionText.Mark("chat-template")} FILE.", e);
        }
    }

    private TextGeneration Submit(
        string id,
        IReadOnlyList<IReadOnlyList<int>> prompts,
        GenerationSettings settings,
        string param,
        Func<int, GenerationSettings, ChoicePlan> plan,
        Func<int, ThoughtLimit?>? limit = null)
    {
        foreach (var prompt in prompts)
            CheckPrompt(prompt, param);
        if ((long)prompts.Count * settings.N > _engine.MaxRequests)
            throw new InvalidRequestException(settings.N > 1 ? "n" : param, "invalid_value", string.Create(CultureInfo.InvariantCulture,
                $"{prompts.Count} prompt(s) with {settings.N} answer(s) each are {(long)prompts.Count * settings.N} answers at once; this server holds at most {_engine.MaxRequests} ({EngineOptionList.MaxNumSeqs} plus {EngineOptionList.MaxQueue}). Lower n or best_of, or send several requests."));
        CheckIds(settings.StopTokenIds, "stop_token_ids");
        CheckIds(settings.AllowedTokenIds ?? [], "allowed_token_ids");
        CheckIds([.. settings.LogitBias?.Keys ?? []], "logit_bias");
        ulong seed = unchecked((ulong)(settings.Seed ?? Random.Shared.NextInt64()));
        var streams = new List<(int Choice, GenerationStream Stream)>();
        try
        {
            for (int choice = 0; choice < prompts.Count * settings.N; choice++)
            {
                var request = Request(id, prompts[choice / settings.N], settings, seed, choice);
                streams.Add((choice, _engine.Submit(request with { Guide = Guide(settings, choice % settings.N, request.Sampling, limit?.Invoke(request.Sampling.MaxTokens)) })));
            }
        }
        catch
        {
            streams.ForEach(s => s.Stream.Cancel());
            throw;
        }
        return new TextGeneration(prompts, [.. streams.Select(s => new ChoiceStream(plan(s.Choice, settings), s.Stream))], firstLeads: settings.PromptLogprobs is not null);
    }

    /// <summary>What may come next in one answer, as one guide; null when that is the model's alone.</summary>
    private ITokenGuide? Guide(GenerationSettings settings, int sample, SamplingParams sampling, ThoughtLimit? thought) => GuideChain.Of(
        settings.AllowedTokenIds is { } allowed ? new AllowedTokensGuide(allowed) : null,
        settings.Constraint?.Invoke(sample),
        settings.BadWords.Count > 0 ? new BadWordsGuide(BadWords(settings.BadWords)) : null,
        settings.MinTokens > 0 ? new MinTokensGuide(settings.MinTokens, sampling.StopTokenIds) : null,
        thought is null ? null : new ThoughtGuide(thought));

    private GenerationRequest Request(string id, IReadOnlyList<int> prompt, GenerationSettings settings, ulong seed, int choice)
    {
        int sample = choice % settings.N;
        int room = Facts.MaxModelLen - prompt.Count;
        int maxTokens = settings.MaxTokens ?? Math.Min(room, settings.DefaultMaxTokens ?? Facts.Defaults.MaxNewTokens ?? room);
        return new GenerationRequest
        {
            Id = choice == 0 ? id : string.Create(CultureInfo.InvariantCulture, $"{id}-{choice}"),
            PromptIds = prompt,
            Priority = settings.Priority,
            Tenant = settings.Tenant,
            CacheSalt = settings.CacheSalt,
            TimeLimit = settings.TimeLimit,
            Sampling = settings.Resolve(Facts, seed, maxTokens) with
            {
                SampleIndex = sample,

                // The answers of one prompt share its scores.
                PromptLogprobs = sample == 0 ? settings.PromptLogprobs : null,
            },
        };
    }

    /// <summary>A word's tokens at the beginning of a text and after a blank: both spell it.</summary>
    private IReadOnlyList<IReadOnlyList<int>> BadWords(IReadOnlyList<string> words) => words.Count == 0
        ? []
        : [.. words.SelectMany(word => (string[])[word, " " + word.TrimStart(' ')]).Distinct().Select(word => _tokenizer.Encode(word, parseAddedTokens: false))
            .Where(ids => ids.Length > 0)];

    private void CheckPrompt(IReadOnlyList<int> prompt, string param)
    {
        if (prompt.Count == 0)
            throw new InvalidRequestException(param, "empty_prompt", "The prompt has no tokens. Send at least one token.");
        CheckIds(prompt, param);
        if (prompt.Count >= Facts.MaxModelLen)
            throw new InvalidRequestException(param, "context_length_exceeded", string.Create(CultureInfo.InvariantCulture,
                $"This model's maximum context length is {Facts.MaxModelLen} tokens, but the prompt has {prompt.Count} tokens and "
                + $"needs room for at least one more. Shorten the prompt to {Facts.MaxModelLen - 1} tokens or fewer."));
    }

    private void CheckIds(IReadOnlyList<int> ids, string param)
    {
        for (int i = 0; i < ids.Count; i++)
            if (ids[i] < 0 || ids[i] >= Facts.VocabularySize)
                throw new InvalidRequestException(param, "invalid_value", string.Create(CultureInfo.InvariantCulture,
                    $"Token id {ids[i]} at position {i} of '{param}' is outside the vocabulary (0 to {Facts.VocabularySize - 1})."));
    }
}
