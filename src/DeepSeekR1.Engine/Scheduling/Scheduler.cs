using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>Limits of a step.</summary>
/// <param name="MaxSequences">Most sequences that hold blocks at once.</param>
/// <param name="MaxTokens">Most tokens computed in one step.</param>
/// <param name="MaxLength">Longest sequence, prompt and output.</param>
/// <param name="Vocabulary">Number of token ids.</param>
public sealed record SchedulerLimits(int MaxSequences, int MaxTokens, int MaxLength, int Vocabulary);

/// <summary>
/// Decides which tokens are computed in the next step. Engine thread only; integers only. One rule and no phases: the work of a
/// sequence is its known minus its computed tokens, within a token budget. Chunks of prompts, single tokens and recomputation
/// after preemption are all that same rule.
/// </summary>
/// <remarks>
/// Must not be added here: branches for single features. What a feature needs is data on <see cref="Sequence"/> or
/// <see cref="SamplingRow"/>, a guide or a source of drafts.
/// </remarks>
public sealed class Scheduler(BlockManager blocks, SchedulerLimits limits, IDraftSource? drafts = null)
{
    private readonly List<Sequence> _running = [];
    private readonly SortedSet<Sequence> _waiting = new(Sequence.Order);
    private readonly FairClock _clock = new();
    private readonly RowBuilder _rows = new(limits.Vocabulary, drafts ?? new NoDrafts());
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

    /// <summary>Sequences whose guide failed since the last step was begun; they have ended with the exception.</summary>
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
        Rejected.Clear();
        var plan = new StepPlan(limits.MaxTokens, _running.Count);

        // Streams come first: a long prompt in chunks must not cost one its token, nor make it wait with a wrap-up that was written into it.
        for (int round = 0; round < 3; round++)
            for (int i = 0; i < _running.Count && plan.Budget > 0; i++)
            {
                var sequence = _running[i];
                if (sequence.NumPending == 0 || round != RoundOf(sequence))
                    continue;
                int count = Math.Min(sequence.NumPending, plan.Budget);

                // Who loses blocks is this sequence or one behind it, for this one is not part of the step yet: nobody moves to a place that was passed.
                // When its guide fails it is gone, and the next one has moved up to this place.
                if (MakeRoom(sequence, count, plan) && !TryEmit(sequence, count, plan))
                    i--;
            }

        if (!plan.HasPreempted)
            Admit(plan);
        return plan.ToBatch();
    }

    /// <summary>Books the results of a step.</summary>
    /// <param name="batch">What <see cref="Schedule"/> made.</param>
    /// <param name="output">One entry for every part.</param>
    /// <param name="deliver">Receives every event; a null event means that the sequence failed with the fault of what was sampled.</param>
    public void Apply(ScheduledBatch batch, StepOutput output, Action<Sequence, TokenOutput?, SampledToken> deliver)
    {
        new Booking(this, blocks, limits.MaxLength, deliver).Book(batch, output);
        _rows.Release(batch);
    }

    /// <summary>Checks the block accounting over all sequences.</summary>
    public void CheckIntegrity() => blocks.CheckIntegrity(All.Select(s => s.Table));

    /// <summary>Ends a sequence whose guide or draft source, which are foreign code, has thrown; no other ends with it.</summary>
    internal void Reject(Sequence sequence, Exception cause)
    {
        Remove(sequence);
        Rejected.Add((sequence, cause));
    }

    /// <summary>
    /// Blocks for the next tokens, taken from the least urgent and newest sequences when none are free. False when the sequence itself had to go.
    /// </summary>
    private bool MakeRoom(Sequence sequence, int count, StepPlan plan)
    {
        while (!blocks.TryGrow(sequence.Table, sequence.NumComputed + count))
        {
            // A sequence that is already part of this step cannot go any more.
            int victim = _running.FindLastIndex(s => s.ScheduledStep != _step);
            if (victim < 0)
                return false;
            plan.HasPreempted = true;
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

    private void Admit(StepPlan plan)
    {
        while (plan.Budget > 0 && _running.Count < limits.MaxSequences && _waiting.Min is { } sequence)
        {
            // All known tokens get their blocks now, not only those of the first chunk: a long prompt whose turn comes after the decoding
            // sequences would otherwise lose the race for each later chunk, and then its place, to less urgent ones.
            var request = sequence.Request;
            if (!blocks.TryBegin(sequence.Table, sequence.Tokens(0, sequence.Length), request.CacheSalt, request.Sampling.PromptLogprobs is null))
                return;
            if (sequence.BeginFromCache(sequence.Table.Count * blocks.BlockSize))
            {
                PrefixQueries += sequence.PromptLength;
                PrefixHits += sequence.CachedTokens;
            }

            int count = Math.Min(sequence.NumPending, plan.Budget);
            blocks.TryGrow(sequence.Table, sequence.Length);
            _waiting.Remove(sequence);
            _clock.Advance(sequence.Turn);
            sequence.Status = SequenceStatus.Running;
            _running.Insert(~_running.BinarySearch(sequence, Sequence.Order), sequence);
            TryEmit(sequence, count, plan);
        }
    }

    /// <summary>Round of a step in which a sequence gets its tokens: streams with one token, streams with several, then prompts and recomputation.</summary>
    private static int RoundOf(Sequence sequence) => !sequence.IsStreaming ? 2 : sequence.NumPending == 1 ? 0 : 1;

    /// <summary>Makes the next tokens part of the step. False when the sequence has ended instead.</summary>
    private bool TryEmit(Sequence sequence, int count, StepPlan plan)
    {
        bool samples = count == sequence.NumPending;
        SamplingRow[] rows = [];
        int[] guesses = [];
        if (samples && !TryRows(sequence, RoomForDrafts(sequence, count, plan), out rows, out guesses))
            return false;
        blocks.TryGrow(sequence.Table, sequence.NumComputed + count + guesses.Length);
        var part = new ScheduledSequence(sequence.Id, [.. sequence.Tokens(sequence.NumComputed, count), .. guesses], sequence.NumComputed, sequence.Table.Snapshot())
        {
            NumDrafts = guesses.Length,
            Rows = rows,
            Scored = sequence.ToScore(count),
            ScoredTop = sequence.Request.Sampling.PromptLogprobs ?? 0,
        };
        plan.Add(sequence, part);
        sequence.NumComputed += count;
        sequence.ScheduledStep = _step;
        sequence.IsStreaming |= samples;
        blocks.Publish(sequence.Table, sequence.Verified, sequence.Request.CacheSalt);
        return true;
    }

    private bool TryRows(Sequence sequence, int mostDrafts, out SamplingRow[] rows, out int[] guesses)
    {
        try
        {
            (rows, guesses) = _rows.Build(sequence, mostDrafts);
            return true;
        }
        catch (Exception e)
        {
            Reject(sequence, e);
            (rows, guesses) = ([], []);
            return false;
        }
    }

    /// <summary>Drafts that cost nobody anything: every other sequence keeps a token of the budget and a free block, and the last token is not a guess.</summary>
    private int RoomForDrafts(Sequence sequence, int count, StepPlan plan)
    {
        int others = _running.Count - plan.Count - 1;
        int slots = (sequence.Table.Count + Math.Max(0, blocks.FreeBlocks - others)) * blocks.BlockSize - sequence.NumComputed - count;
        int length = Math.Min(sequence.Request.Sampling.MaxTokens - sequence.OutputLength, limits.MaxLength - sequence.Length) - 1;
        return Math.Min(Math.Min(plan.Budget - count - others, slots), length);
    }

    private void Release(Sequence sequence, SequenceStatus status)
    {
        blocks.Free(sequence.Table);
        sequence.NumComputed = 0;
        sequence.IsStreaming = false;
        sequence.Status = status;
    }
}
