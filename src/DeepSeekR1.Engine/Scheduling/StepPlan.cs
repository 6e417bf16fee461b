namespace DeepSeekR1.Engine.Scheduling;

/// <summary>A step that is being made: what is left of its budget, and the parts so far.</summary>
/// <param name="budget">Most tokens of the step.</param>
/// <param name="running">Sequences that it will have, more or less.</param>
internal sealed class StepPlan(int budget, int running)
{
    private readonly List<ScheduledSequence> _parts = new(running);
    private readonly List<Owner> _owners = new(running);

    /// <summary>Tokens that the step has room for.</summary>
    public int Budget { get; private set; } = budget;

    /// <summary>Whether a sequence has lost its blocks for the sake of this step.</summary>
    public bool HasPreempted { get; set; }

    /// <summary>Parts so far.</summary>
    public int Count => _parts.Count;

    /// <summary>Appends a sequence's part.</summary>
    public void Add(Sequence sequence, ScheduledSequence part)
    {
        _parts.Add(part);
        _owners.Add(new Owner(sequence, sequence.Preemptions));
        Budget -= part.TokenIds.Length;
    }

    /// <summary>The step; null without parts.</summary>
    public ScheduledBatch? ToBatch() => _parts.Count == 0 ? null : new ScheduledBatch(_parts) { Owners = _owners };
}
