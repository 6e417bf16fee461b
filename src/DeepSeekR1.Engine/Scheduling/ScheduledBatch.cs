using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>One sequence's part of a step: numbers only.</summary>
/// <param name="Id">The sequence, among all of this process.</param>
/// <param name="TokenIds">Tokens to compute; the last <see cref="NumDrafts"/> of them are guesses.</param>
/// <param name="Computed">Tokens before them whose keys are in the cache.</param>
/// <param name="Blocks">Block table that covers all of them.</param>
public sealed record ScheduledSequence(long Id, int[] TokenIds, int Computed, int[] Blocks)
{
    /// <summary>Drafted tokens at the end; they count once the model has chosen the same.</summary>
    public int NumDrafts { get; init; }

    /// <summary>
    /// How to choose the tokens after the last known one and after each draft; empty when known tokens remain to be computed after this step.
    /// </summary>
    public SamplingRow[] Rows { get; init; } = [];

    /// <summary>Known tokens that follow the first rows of this part and are to be scored; usually none.</summary>
    public int[] Scored { get; init; } = [];

    /// <summary>Best alternatives to return for each scored token.</summary>
    public int ScoredTop { get; init; }

    /// <summary>Which adapter the rows are computed with: 0 is the bare model, and there are no others yet.</summary>
    public int Adapter { get; init; }
}

/// <summary>
/// One step: plain data, no tensors, not changed before it is booked (<see cref="Scheduler.Apply"/>; its masks serve other steps then), and
/// nothing in it points at what goes on changing. The same for all ranks; <see cref="BatchSerializer"/> writes it to bytes.
/// </summary>
/// <param name="Sequences">Parts in row order.</param>
public sealed record ScheduledBatch(IReadOnlyList<ScheduledSequence> Sequences)
{
    /// <summary>Rows of the step.</summary>
    public int TotalTokens { get; } = Sequences.Sum(s => s.TokenIds.Length);

    /// <summary>Whose the parts are. Stays where the step was made; a step that was read from bytes has none.</summary>
    internal IReadOnlyList<Owner> Owners { get; init; } = [];
}

/// <summary>Whose a part of a step is.</summary>
/// <param name="Sequence">The sequence.</param>
/// <param name="Preemptions">How often it had lost its blocks when the step was made; keys of the step are its own as long as that stays.</param>
internal readonly record struct Owner(Sequence Sequence, int Preemptions);
