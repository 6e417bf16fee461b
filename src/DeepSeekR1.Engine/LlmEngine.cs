using System.Threading.Channels;

namespace DeepSeekR1.Engine;

/// <summary>How far loading has come.</summary>
/// <param name="Phase">What is being done, for example "weights".</param>
/// <param name="Fraction">0 to 1 over the whole start.</param>
public sealed record LoadProgress(string Phase, double Fraction);

/// <summary>A running request: its events, and the way to end it early.</summary>
public sealed class GenerationStream(ChannelReader<TokenOutput> outputs, Action cancel)
{
    /// <summary>
    /// Events in order. Completes after the event with a finish reason, or with an <see cref="EngineFaultedException"/>
    /// (engine fault) or <see cref="InvalidRequestException"/> (this request alone cannot go on).
    /// </summary>
    public ChannelReader<TokenOutput> Outputs { get; } = outputs;

    /// <summary>Ends the request before the next step; its blocks are free by then. Harmless when it has ended.</summary>
    public void Cancel() => cancel();
}

/// <summary>A snapshot of counters and gauges of the engine; all counts are since start.</summary>
public sealed record EngineSnapshot(
    int Running,
    int Waiting,
    int BlocksUsed,
    int BlocksTotal,
    long PromptTokens,
    long GeneratedTokens,
    long Steps,
    long Preemptions,
    long RequestsFinished,
    long RequestsCancelled);

/// <summary>Token ids in, token ids out, for many requests at once. One dedicated thread owns all state.</summary>
public sealed class LlmEngine : IAsyncDisposable
{
    /// <summary>What is true of the loaded engine.</summary>
    public EngineFacts Facts => throw new NotImplementedException();

    /// <summary>Tokenizer and template of the checkpoint.</summary>
    public ModelTextAssets TextAssets => throw new NotImplementedException();

    /// <summary>False once the engine has faulted or is closing.</summary>
    public bool IsHealthy => throw new NotImplementedException();

    /// <summary>Loads a checkpoint and starts the engine thread. Blocks; call it from a background thread.</summary>
    /// <exception cref="StartupException">The checkpoint cannot be served.</exception>
    public static LlmEngine Load(EngineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellation = default)
        => throw new NotImplementedException();

    /// <summary>Queues a request.</summary>
    /// <exception cref="InvalidRequestException">It can never be served (too long, id out of range).</exception>
    /// <exception cref="CapacityException">The queue is full or the engine is closing.</exception>
    /// <exception cref="EngineFaultedException">The engine has failed.</exception>
    public GenerationStream Submit(GenerationRequest request) => throw new NotImplementedException();

    /// <summary>Counters and gauges now.</summary>
    public EngineSnapshot Snapshot() => throw new NotImplementedException();

    /// <summary>Waits until every submitted request has ended, at most until the token is cancelled; new ones are refused.</summary>
    public Task DrainAsync(CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>Ends all requests and the engine thread, frees the model.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
