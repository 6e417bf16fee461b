namespace DeepSeekR1.Engine;

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
    long RequestsCancelled)
{
    /// <summary>Prompt tokens of requests that have begun.</summary>
    public long PrefixQueries { get; init; }

    /// <summary>Those of them whose keys were found in the cache.</summary>
    public long PrefixHits { get; init; }

    /// <summary>Steps that failed; the last one of an engine that was given up is among them.</summary>
    public long StepFaults { get; init; }
}
