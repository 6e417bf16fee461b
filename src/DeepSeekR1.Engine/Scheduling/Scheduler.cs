namespace DeepSeekR1.Engine.Scheduling;

/// <summary>Limits of a step.</summary>
/// <param name="MaxSequences">Most sequences that hold blocks at once.</param>
/// <param name="MaxTokens">Most tokens computed in one step.</param>
/// <param name="MaxLength">Longest sequence, prompt and output.</param>
public sealed record SchedulerLimits(int MaxSequences, int MaxTokens, int MaxLength);

/// <summary>
/// Decides which tokens are computed in the next step. Engine thread only; integers only. One rule and no phases: the work of a
/// sequence is its known minus its computed tokens, within a token budget. Chunks of prompts, single tokens and recomputation
/// after preemption are all that same rule.
/// </summary>
/// <remarks>
/// Must not be added here: branches for single features. What a feature needs is data on <see cref="Sequence"/> or
/// <see cref="SamplingRow"/>.
/// </remarks>
public sealed class Scheduler(BlockManager blocks, SchedulerLimits limits)
{
    private readonly List<Sequence> _running = [];
    private readonly SortedSet<Sequence> _waiting = new(Sequence.Order);
    private readonly FairClock _clock = new();
    private readonly List<Sequence> _sampling = [];
    private readonly List<Sequence> _scoring = [];
    private readonly List<int> _allowed = [];
    private long _step;

    /// <summary>Sequences that hold blocks, most urgent and oldest first.</summary>
    public IReadOnlyList<Sequence> Running => _running;

    /// <summary>Sequences in the queue.</summary>
    public int WaitingCount => _waiting.Count;

    /// <summary>True when nothing runs or waits.</summary>
    public bool IsIdle => _running.Count == 0 && _waiting.Count == 0;

    /// <summary>How often a sequence lost its blocks to an older one.</summary>
    public long Preemptions { get; private set; }

    /// <summary>Prompt tokens of sequences that have begun, and those of them that were found in the cache.</summary>
    public long PrefixQueries { get; private set; }

    /// <summary>See <see cref="PrefixQueries"/>.</summary>
    public long PrefixHits { get; private set; }

    /// <summary>Sequences whose constraint failed while the last step was made; they have ended with the exception.</summary>
    public List<(Sequence Sequence, Exception Cause)> Rejected { get; } = [];

    /// <summary>Queues a sequence: by priority, then by turns of the request's tenants.</summary>
    public void Add(Sequence sequence)
    {
        sequence.Turn = _clock.Stamp(sequence.Request.Tenant);
        _waiting.Add(sequence);
    }

    /// <summary>All sequences, running first.</summary>
    public IEnumerable<Sequence> All => _running.Concat(_waiting);

    /// <summary>Ends a sequence now, wherever it is; its blocks are free at once. False when it had ended before.</summary>
    public bool Remove(Sequence sequence)
    {
        if (sequence.Status == SequenceStatus.Finished)
            return false;
        if (sequence.Status == SequenceStatus.Running)
            _running.Remove(sequence);
        else
            _waiting.Remove(sequence);
        Release(sequence, SequenceStatus.Finished);
        return true;
    }

    /// <summary>Makes the next step; null when there is nothing to compute.</summary>
    public ScheduledBatch? Schedule()
    {
        _step++;
        _sampling.Clear();
        _scoring.Clear();
        Rejected.Clear();
        var parts = new List<ScheduledSequence>();
        int budget = limits.MaxTokens;
        bool preempted = false;

        // Streams come first: a long prompt in chunks must not cost one its token, nor make it wait with a wrap-up that was written into it.
        for (int round = 0; round < 3; round++)
            for (int i = 0; i < _running.Count && budget > 0; i++)
            {
                var sequence = _running[i];
                if (sequence.NumPending == 0 || round != RoundOf(sequence))
                    continue;
                int count = Math.Min(sequence.NumPending, budget);

                // Who loses blocks is this sequence or one behind it, for this one is not part of the step yet: nobody moves to a place that was passed.
                if (!MakeRoom(sequence, count, ref preempted))
                    continue;
                int emitted = Emit(sequence, count, parts);
                budget -= emitted;

                // Its constraint failed and it is gone: the next one has moved up to this place.
                if (emitted == 0)
                    i--;
            }

        if (!preempted)
            Admit(ref budget, parts);
        return parts.Count == 0 ? null : new ScheduledBatch(parts);
    }

    /// <summary>Books the results of the step that <see cref="Schedule"/> made last.</summary>
    /// <param name="sampled">One entry for every part with a sampling row, in order.</param>
    /// <param name="deliver">Receives every event; a null event means that the sequence failed with the error of what was sampled.</param>
    /// <param name="scores">One list for every part with scored tokens, in order.</param>
    public void Apply(
        IReadOnlyList<SampledToken> sampled, Action<Sequence, TokenOutput?, SampledToken> deliver, IReadOnlyList<IReadOnlyList<SampledToken>>? scores = null)
    {
        for (int i = 0; i < _scoring.Count && scores is not null; i++)
            _scoring[i].AddScores(scores[i]);
        for (int row = 0; row < _sampling.Count; row++)
        {
            // Removed while the step ran: its row is there, but nobody wants it.
            var (sequence, token) = (_sampling[row], sampled[row]);
            if (sequence.Status == SequenceStatus.Finished)
                continue;
            if (token.Error is not null)
            {
                Remove(sequence);
                deliver(sequence, null, token);
                continue;
            }

            sequence.Append(token.TokenId);
            var finish = FinishOf(sequence, token.TokenId);
            if (finish is not null)
                Remove(sequence);
            float? logprob = sequence.Request.Sampling.TopLogprobs is null ? null : token.Logprob;
            deliver(sequence, new TokenOutput(token.TokenId, logprob, token.Top, finish, sequence.CachedTokens, sequence.TakeScores()), token);
            if (finish is null)
                Force(sequence, sequence.ForcedAfter(token.TokenId), deliver);
        }
    }

    /// <summary>Appends tokens that nobody sampled: they are part of the output and of the work of the next step.</summary>
    private void Force(Sequence sequence, IReadOnlyList<int> tokens, Action<Sequence, TokenOutput?, SampledToken> deliver)
    {
        bool scored = sequence.Request.Sampling.TopLogprobs is not null;
        foreach (int token in tokens)
        {
            sequence.Append(token);
            FinishReason? finish = IsFull(sequence) ? FinishReason.Length : null;
            if (finish is not null)
                Remove(sequence);
            deliver(sequence, new TokenOutput(token, scored ? 0f : null, scored ? [] : null, finish, sequence.CachedTokens), default);
            if (finish is not null)
                return;
        }
    }

    private bool IsFull(Sequence sequence) => sequence.OutputLength >= sequence.Request.Sampling.MaxTokens || sequence.Length >= limits.MaxLength;

    /// <summary>Checks the block accounting over all sequences.</summary>
    public void CheckIntegrity() => blocks.CheckIntegrity(All.Select(s => s.Table));

    private FinishReason? FinishOf(Sequence sequence, int token)
    {
        var sampling = sequence.Request.Sampling;
        if (sampling.StopTokenIds.Contains(token) && sequence.OutputLength >= sampling.MinTokens)
            return FinishReason.Stop;
        return IsFull(sequence) ? FinishReason.Length : null;
    }

    /// <summary>
    /// Blocks for the next tokens, taken from the least urgent and newest sequences when none are free. False when the sequence itself had to go.
    /// </summary>
    private bool MakeRoom(Sequence sequence, int count, ref bool preempted)
    {
        while (!blocks.TryGrow(sequence.Table, sequence.NumComputed + count))
        {
            // A sequence that is already part of this step cannot go any more.
            int victim = _running.FindLastIndex(s => s.ScheduledStep != _step);
            if (victim < 0)
                return false;
            preempted = true;
            var newest = _running[victim];
            Preempt(newest);
            if (ReferenceEquals(newest, sequence))
                return false;
        }

        return true;
    }

    private void Preempt(Sequence sequence)
    {
        _running.Remove(sequence);
        Release(sequence, SequenceStatus.Waiting);
        sequence.Preemptions++;
        Preemptions++;
        _waiting.Add(sequence);
    }

    private void Admit(ref int budget, List<ScheduledSequence> parts)
    {
        while (budget > 0 && _running.Count < limits.MaxSequences && _waiting.Min is { } sequence)
        {
            // All known tokens get their blocks now, not only those of the first chunk: a long prompt whose turn comes after the decoding
            // sequences would otherwise lose the race for each later chunk, and then its place, to less urgent ones.
            var request = sequence.Request;
            if (!blocks.TryBegin(sequence.Table, sequence.Tokens(0, sequence.Length).Span, request.CacheSalt, request.Sampling.PromptLogprobs is null))
                return;
            if (sequence.BeginFromCache(sequence.Table.Count * blocks.BlockSize))
            {
                PrefixQueries += sequence.PromptLength;
                PrefixHits += sequence.CachedTokens;
            }

            int count = Math.Min(sequence.NumPending, budget);
            blocks.TryGrow(sequence.Table, sequence.Length);
            _waiting.Remove(sequence);
            _clock.Advance(sequence.Turn);
            sequence.Status = SequenceStatus.Running;
            _running.Insert(~_running.BinarySearch(sequence, Sequence.Order), sequence);
            budget -= Emit(sequence, count, parts);
        }
    }

    /// <summary>Round of a step in which a sequence gets its tokens: streams with one token, streams with several, then prompts and recomputation.</summary>
    private static int RoundOf(Sequence sequence) => !sequence.IsStreaming ? 2 : sequence.NumPending == 1 ? 0 : 1;

    private int Emit(Sequence sequence, int count, List<ScheduledSequence> parts)
    {
        bool samples = count == sequence.NumPending;
        SamplingRow? row = null;
        if (samples && !TrySamplingRow(sequence, out row))
            return 0;
        var scored = sequence.ToScore(count);
        parts.Add(new ScheduledSequence(sequence.Tokens(sequence.NumComputed, count), sequence.NumComputed, sequence.Table.Blocks, row)
        {
            Scored = scored,
            ScoredTop = sequence.Request.Sampling.PromptLogprobs ?? 0,
        });
        if (!scored.IsEmpty)
            _scoring.Add(sequence);
        sequence.NumComputed += count;
        sequence.ScheduledStep = _step;
        blocks.Publish(sequence.Table, sequence.Tokens(0, sequence.NumComputed).Span, sequence.Request.CacheSalt);
        if (samples)
        {
            sequence.IsStreaming = true;
            _sampling.Add(sequence);
        }

        return count;
    }

    /// <summary>Asks the constraint, which is foreign code: when it throws, its own sequence ends and no other.</summary>
    private bool TrySamplingRow(Sequence sequence, out SamplingRow? row)
    {
        var request = sequence.Request;
        row = null;
        IReadOnlyList<int>? allowed = null;
        if (request.Constraint is { } constraint)
        {
            try
            {
                _allowed.Clear();
                if (constraint.TryGetAllowed(sequence.OutputIds, _allowed))
                    allowed = [.. _allowed];
            }
            catch (Exception e)
            {
                Remove(sequence);
                Rejected.Add((sequence, e));
                return false;
            }
        }

        var forbidden = sequence.OutputLength < request.Sampling.MinTokens ? request.Sampling.StopTokenIds : null;
        row = new SamplingRow(request.Sampling, sequence.OutputLength, allowed, forbidden)
        {
            Tokens = sequence.Tokens(0, sequence.Length),
            PromptLength = sequence.PromptLength,
        };
        return true;
    }

    private void Release(Sequence sequence, SequenceStatus status)
    {
        blocks.Free(sequence.Table);
        sequence.NumComputed = 0;
        sequence.IsStreaming = false;
        sequence.Status = status;
    }
}
