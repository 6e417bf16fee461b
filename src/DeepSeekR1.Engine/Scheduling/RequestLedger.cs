using System.Collections.Concurrent;
using System.Diagnostics;
using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine.Diagnostics;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// Requests from submission to their end: who is still owed an answer, what they are sent, and what is counted. Who sees a request end
/// finds it ended in the counters. Engine thread only, except for what says otherwise.
/// </summary>
internal sealed class RequestLedger
{
    private static readonly string NotNumbers =
        $"The model produced logits that are not numbers for this request. Send it again; if it fails again, try another {EngineOptionList.DType}, for example float32.";

    private const string NothingLeft =
        "No token is left to choose from: the request's masks exclude every token of the vocabulary. Loosen allowed_token_ids, bad_words or min_tokens.";

    private readonly Scheduler _scheduler;
    private readonly BlockManager _blocks;
    private readonly EngineMetrics _metrics;
    private readonly ConcurrentDictionary<Sequence, byte> _open = new();
    private volatile EngineSnapshot _snapshot;
    private int _count;
    private long _promptTokens, _generatedTokens, _finished, _cancelled, _stepFaults, _stepEnded;
    private long _nextDeadline = long.MaxValue;

    /// <summary>An empty ledger.</summary>
    public RequestLedger(Scheduler scheduler, BlockManager blocks, EngineMetrics metrics)
    {
        _scheduler = scheduler;
        _blocks = blocks;
        _metrics = metrics;
        _snapshot = Take();
    }

    /// <summary>Requests that have not ended. Any thread.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Steps that were computed.</summary>
    public long Steps { get; private set; }

    /// <summary>Counters as of the last <see cref="Publish"/>. Any thread.</summary>
    public EngineSnapshot Snapshot => _snapshot;

    /// <summary>Shows the counters as they are now.</summary>
    public void Publish() => _snapshot = Take();

    /// <summary>From now on the request is owed an end, unless as many as the limit have not ended: then false. Any thread.</summary>
    public bool TryOpen(Sequence sequence, int limit)
    {
        // Taking the place is one step: of two requests that arrive at once, one gets the last.
        for (int count = Count; count < limit; count = Count)
            if (Interlocked.CompareExchange(ref _count, count + 1, count) == count)
                return _open.TryAdd(sequence, 0);
        return false;
    }

    /// <summary>Ends a request's stream, with an exception or as complete. Any thread.</summary>
    public void End(Sequence sequence, Exception? cause)
    {
        if (_open.TryRemove(sequence, out _))
            Interlocked.Decrement(ref _count);
        sequence.Outputs?.TryComplete(cause);
    }

    /// <summary>Ends every stream, and leaves the scheduler as it is. Any thread.</summary>
    public void EndAll(Exception cause)
    {
        foreach (var sequence in _open.Keys)
            End(sequence, cause);
    }

    /// <summary>Takes every request out of the scheduler and ends it.</summary>
    public void RemoveAll(Exception cause)
    {
        foreach (var sequence in _open.Keys)
        {
            _scheduler.Remove(sequence);
            End(sequence, cause);
        }
    }

    /// <summary>Queues an open request.</summary>
    public void Admit(Sequence sequence)
    {
        if (!_open.ContainsKey(sequence))
            return;
        _promptTokens += sequence.PromptLength;
        _nextDeadline = Math.Min(_nextDeadline, sequence.Deadline);
        _scheduler.Add(sequence);
    }

    /// <summary>Ends what has run out of time: what is there is the answer.</summary>
    /// <param name="now">Millisecond of <see cref="Environment.TickCount64"/>.</param>
    public void Expire(long now)
    {
        if (now < _nextDeadline)
            return;
        _nextDeadline = long.MaxValue;
        foreach (var sequence in _scheduler.All.ToList())
            if (sequence.Deadline > now)
                _nextDeadline = Math.Min(_nextDeadline, sequence.Deadline);
            else if (_scheduler.Remove(sequence))
                Finish(sequence, new TokenOutput(-1, FinishReason: FinishReason.Length, CachedTokens: sequence.CachedTokens));
    }

    /// <summary>Ends a request that nobody wants any more.</summary>
    public void Cancel(Sequence sequence)
    {
        if (!_scheduler.Remove(sequence))
            return;
        _cancelled++;
        _metrics.OnEnd(sequence, FinishReason.Cancelled, Stopwatch.GetTimestamp());
        Publish();
        sequence.Outputs?.TryWrite(new TokenOutput(-1, FinishReason: FinishReason.Cancelled));
        End(sequence, null);
    }

    /// <summary>Ends a request whose answer the reader calls complete.</summary>
    public void Complete(Sequence sequence)
    {
        if (!_scheduler.Remove(sequence))
            return;
        _finished++;
        _metrics.OnEnd(sequence, FinishReason.Stop, Stopwatch.GetTimestamp());
        Publish();
        End(sequence, null);
    }

    /// <summary>A step was computed; its outputs are delivered next.</summary>
    public void OnStep(int tokens)
    {
        Steps++;
        _stepEnded = Stopwatch.GetTimestamp();
        _metrics.OnStep(tokens);
    }

    /// <summary>A step failed; who reads the counters sees it at once, also when it was the engine's last. Any thread.</summary>
    public void CountStepFault()
    {
        long faults = Interlocked.Increment(ref _stepFaults);
        _snapshot = _snapshot with { StepFaults = faults };
    }

    /// <summary>A step failed, and all that was running with it: keys that it may have written are forgotten.</summary>
    public void OnStepFault(StepFailedException cause)
    {
        CountStepFault();
        var failed = _scheduler.Running.ToList();
        failed.ForEach(s => _scheduler.Remove(s));
        _blocks.Reset();
        _scheduler.CheckIntegrity();
        Publish();
        failed.ForEach(s => Fail(s, cause));
    }

    /// <summary>Ends a request that the scheduler has let go.</summary>
    public void Fail(Sequence sequence, Exception cause, bool corrupted = false)
    {
        _metrics.OnFailure(corrupted);
        End(sequence, cause);
    }

    /// <summary>What <see cref="Scheduler.Apply"/> reports for a sequence of the step.</summary>
    public void Deliver(Sequence sequence, TokenOutput? output, SampledToken token)
    {
        if (output is null)
        {
            // Keys that are not numbers must not be found by the next request.
            bool isCorrupted = token.Fault == SampleFault.NotNumbers;
            if (isCorrupted)
                _blocks.Reset();
            Fail(sequence, isCorrupted ? new StepFailedException(NotNumbers) : new InvalidRequestException(null, "no_token", NothingLeft), isCorrupted);
            return;
        }

        _generatedTokens++;
        _metrics.OnToken(sequence.Times, _stepEnded);
        if (output.FinishReason is null)
            sequence.Outputs?.TryWrite(output);
        else
            Finish(sequence, output);
    }

    private void Finish(Sequence sequence, TokenOutput output)
    {
        _finished++;
        _metrics.OnEnd(sequence, output.FinishReason!.Value, Stopwatch.GetTimestamp());
        Publish();
        sequence.Outputs?.TryWrite(output);
        End(sequence, null);
    }

    private EngineSnapshot Take() => new(
        _scheduler.Running.Count, _scheduler.WaitingCount, _blocks.UsedBlocks, _blocks.NumBlocks,
        _promptTokens, _generatedTokens, Steps, _scheduler.Preemptions, _finished, _cancelled)
    {
        PrefixQueries = _scheduler.PrefixQueries,
        PrefixHits = _scheduler.PrefixHits,
        StepFaults = Interlocked.Read(ref _stepFaults),
    };
}
