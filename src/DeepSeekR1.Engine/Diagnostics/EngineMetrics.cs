using System.Diagnostics;
using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Engine.Diagnostics;

/// <summary>
/// What the engine measures of its requests, under vLLM's definitions: queue is arrival to begin, prefill is begin to first token, decode
/// is first to last token; a preemption counts into the phase in which it happens. Written by the engine thread, read by any.
/// </summary>
/// <param name="maxModelLen">Longest sequence in tokens.</param>
public sealed class EngineMetrics(int maxModelLen)
{
    private readonly long[] _ended = new long[3];
    private long _failed, _corrupted;

    /// <summary>Seconds from arrival to the first token.</summary>
    public Histogram TimeToFirstToken { get; } = new(Buckets.FirstToken);

    /// <summary>Seconds between two tokens of a sequence.</summary>
    public Histogram InterTokenLatency { get; } = new(Buckets.PerToken);

    /// <summary>Decode seconds per token after the first, one value a sequence.</summary>
    public Histogram TimePerOutputToken { get; } = new(Buckets.PerToken);

    /// <summary>Seconds from arrival to end.</summary>
    public Histogram EndToEnd { get; } = new(Buckets.Request);

    /// <summary>Seconds from arrival to begin.</summary>
    public Histogram Queue { get; } = new(Buckets.Request);

    /// <summary>Seconds from begin to end.</summary>
    public Histogram Inference { get; } = new(Buckets.Request);

    /// <summary>Seconds from begin to the first token.</summary>
    public Histogram Prefill { get; } = new(Buckets.Request);

    /// <summary>Seconds from the first token to the last.</summary>
    public Histogram Decode { get; } = new(Buckets.Request);

    /// <summary>Prompt tokens of a sequence.</summary>
    public Histogram PromptTokens { get; } = new(Buckets.Tokens(maxModelLen));

    /// <summary>Prompt tokens of a sequence that were not found in the cache.</summary>
    public Histogram ComputedTokens { get; } = new(Buckets.Tokens(maxModelLen));

    /// <summary>Generated tokens of a sequence.</summary>
    public Histogram GeneratedTokens { get; } = new(Buckets.Tokens(maxModelLen));

    /// <summary>Most tokens that a sequence may generate.</summary>
    public Histogram MaxTokens { get; } = new(Buckets.Tokens(maxModelLen));

    /// <summary>Tokens computed in a step.</summary>
    public Histogram StepTokens { get; } = new(Buckets.StepTokens);

    /// <summary>Sequences that ended for a reason.</summary>
    public long Ended(FinishReason reason) => Volatile.Read(ref _ended[(int)reason]);

    /// <summary>Sequences that ended with a failure.</summary>
    public long Failed => Volatile.Read(ref _failed);

    /// <summary>Sequences whose logits were not numbers.</summary>
    public long Corrupted => Volatile.Read(ref _corrupted);

    /// <summary>A step was computed.</summary>
    internal void OnStep(int tokens) => StepTokens.Observe(tokens);

    /// <summary>A sequence got a token.</summary>
    internal void OnToken(SequenceTimes times, long now)
    {
        if (times.FirstToken == 0)
        {
            times.FirstToken = now;
            TimeToFirstToken.Observe(Seconds(times.Arrived, now));
        }
        else
        {
            InterTokenLatency.Observe(Seconds(times.LastToken, now));
        }
        times.LastToken = now;
    }

    /// <summary>A sequence ended by itself, or was given up by its owner.</summary>
    internal void OnEnd(Sequence sequence, FinishReason reason, long now)
    {
        _ended[(int)reason]++;
        EngineTracing.Record(sequence, reason, now);
        if (reason == FinishReason.Cancelled)
            return;
        var times = sequence.Times;
        EndToEnd.Observe(Seconds(times.Arrived, now));
        Queue.Observe(Seconds(times.Arrived, times.Began > 0 ? times.Began : now));

        // Its time was over before it had a token: there is nothing else to measure.
        if (times.FirstToken == 0)
            return;
        Inference.Observe(Seconds(times.Began, times.LastToken));
        Prefill.Observe(Seconds(times.Began, times.FirstToken));
        Decode.Observe(Seconds(times.FirstToken, times.LastToken));
        if (sequence.OutputLength > 1)
            TimePerOutputToken.Observe(Seconds(times.FirstToken, times.LastToken) / (sequence.OutputLength - 1));
        PromptTokens.Observe(sequence.PromptLength);
        ComputedTokens.Observe(sequence.PromptLength - sequence.CachedTokens);
        GeneratedTokens.Observe(sequence.OutputLength);
        MaxTokens.Observe(sequence.Request.Sampling.MaxTokens);
    }

    /// <summary>A sequence failed alone, because its logits were not numbers or its constraint threw.</summary>
    internal void OnFailure(bool corrupted)
    {
        _failed++;
        if (corrupted)
            _corrupted++;
    }

    private static double Seconds(long from, long to) => Stopwatch.GetElapsedTime(from, to).TotalSeconds;
}
