using System.Runtime.CompilerServices;
using DeepSeekR1.Engine;
using Microsoft.Extensions.AI;
using AiMessage = Microsoft.Extensions.AI.ChatMessage;

namespace DeepSeekR1.Text;

/// <summary>
/// The engine as an <see cref="IChatClient"/>: a model inside a .NET program, without a server. Thoughts come as
/// <see cref="TextReasoningContent"/>, answers as <see cref="TextContent"/>, token counts as <see cref="UsageContent"/> in the last
/// update. Safe for many threads; requests at once share the engine's steps. Owns the engine.
/// </summary>
public sealed class DeepSeekChatClient : IChatClient, IAsyncDisposable
{
    private readonly ChatEngine _engine;
    private readonly ChatClientMetadata _metadata;

    /// <summary>Takes over an engine.</summary>
    /// <param name="engine">The engine; disposed with this object.</param>
    /// <param name="model">Name of the model in answers.</param>
    public DeepSeekChatClient(ChatEngine engine, string model)
    {
        _engine = engine;
        _metadata = new ChatClientMetadata("deepseek-r1", defaultModelId: model);
    }

    /// <summary>Loads a model with the defaults; blocks until it can be used.</summary>
    /// <param name="modelPath">Checkpoint folder or .gguf file.</param>
    /// <exception cref="StartupException">The model cannot be used.</exception>
    public static DeepSeekChatClient Load(string modelPath) => Load(new EngineOptions { ModelPath = modelPath });

    /// <summary>Loads a model; blocks until it can be used.</summary>
    /// <param name="options">What to load and how.</param>
    /// <param name="progress">Hears how far it is.</param>
    /// <exception cref="StartupException">The model cannot be used.</exception>
    public static DeepSeekChatClient Load(EngineOptions options, IProgress<LoadProgress>? progress = null)
        => new(new ChatEngine(LlmEngine.Load(options, progress)), Path.GetFileNameWithoutExtension(Path.TrimEndingDirectorySeparator(options.ModelPath)));

    /// <summary>Test seam: changes the settings of every request.</summary>
    internal Func<GenerationSettings, GenerationSettings> Adjust { get; init; } = settings => settings;

    /// <inheritdoc/>
    /// <exception cref="InvalidRequestException">The conversation or an option cannot be served.</exception>
    /// <exception cref="CapacityException">No room at present.</exception>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<AiMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
        => GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="InvalidRequestException">The conversation or an option cannot be served.</exception>
    /// <exception cref="CapacityException">No room at present.</exception>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<AiMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        string id = "chat-" + Guid.NewGuid().ToString("N");
        var request = ChatClientMapper.Map(id, messages, options ?? new ChatOptions());
        var generation = _engine.Start(request with { Settings = Adjust(request.Settings) });
        try
        {
            await foreach (var step in generation.ReadAsync(cancellationToken).ConfigureAwait(false))
                yield return Update(id, step, generation);
        }
        finally
        {
            await generation.AbandonAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        object?[] services = [this, _metadata, _engine];
        return serviceKey is null ? services.FirstOrDefault(serviceType.IsInstanceOfType) : null;
    }

    /// <inheritdoc/>
    public void Dispose() => _engine.DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    private ChatResponseUpdate Update(string id, OutputStep step, TextGeneration generation)
    {
        var update = new ChatResponseUpdate
        {
            ResponseId = id,
            MessageId = id,
            ModelId = _metadata.DefaultModelId,
            Role = ChatRole.Assistant,
            CreatedAt = DateTimeOffset.UtcNow,
            RawRepresentation = step,
        };
        foreach (var text in step.Events)
            if (text is ThoughtText { IsMark: false } thought)
                update.Contents.Add(new TextReasoningContent(thought.Text));
            else if (text is AnswerText answer)
                update.Contents.Add(new TextContent(answer.Text));
        if (step.End is not { } end)
            return update;
        update.FinishReason = end.Reason == EndReason.Stop ? ChatFinishReason.Stop : ChatFinishReason.Length;
        update.Contents.Add(new UsageContent(Usage(generation.Usage)));
        return update;
    }

    private static UsageDetails Usage(TokenUsage usage) => new()
    {
        InputTokenCount = usage.PromptTokens,
        OutputTokenCount = usage.CompletionTokens,
        TotalTokenCount = usage.PromptTokens + usage.CompletionTokens,
        CachedInputTokenCount = usage.CachedTokens,
        ReasoningTokenCount = usage.ReasoningTokens,
    };
}
