using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>What a step gives for one sequence.</summary>
/// <param name="Accepted">Tokens that follow the known ones: drafts that the model chose as well, and the one that it chose after them. Empty without rows.</param>
/// <param name="Scores">One entry for every scored token of the prompt.</param>
public readonly record struct SequenceOutput(ReadOnlyMemory<SampledToken> Accepted, IReadOnlyList<SampledToken> Scores);

/// <summary>What a step gives.</summary>
/// <param name="Sequences">One entry for every part, in order.</param>
public sealed record StepOutput(IReadOnlyList<SequenceOutput> Sequences)
{
    /// <summary>What ranks other than the first give.</summary>
    public static StepOutput Empty { get; } = new([]);

    /// <summary>
    /// Sorts what was sampled to its sequences. A draft stands while the token that the model chose in its place is the same: each row is
    /// sampled as it would be without drafts, so they never change what comes out.
    /// </summary>
    /// <param name="batch">The step.</param>
    /// <param name="sampled">One entry for every row of every part, in order.</param>
    /// <param name="scores">One list for every part.</param>
    public static StepOutput Of(ScheduledBatch batch, SampledToken[] sampled, IReadOnlyList<IReadOnlyList<SampledToken>> scores)
    {
        var outputs = new SequenceOutput[batch.Sequences.Count];
        int row = 0;
        for (int i = 0; i < outputs.Length; i++)
        {
            var part = batch.Sequences[i];
            var own = sampled.AsMemory(row, part.Rows.Length);
            outputs[i] = new SequenceOutput(own[..AcceptedOf(part, own.Span)], scores[i]);
            row += own.Length;
        }

        return new StepOutput(outputs);
    }

    private static int AcceptedOf(ScheduledSequence part, ReadOnlySpan<SampledToken> sampled)
    {
        var drafts = part.TokenIds.AsSpan(part.TokenIds.Length - part.NumDrafts);
        int right = 0;
        while (right < drafts.Length && sampled[right].TokenId == drafts[right])
            right++;
        return Math.Min(right + 1, sampled.Length);
    }
}
