using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// How the tokens of a step are to be chosen: asks drafts and guides, and owns the masks, which are written once and used again when
/// their step is booked. Engine thread only. What it calls is foreign code and may throw anything.
/// </summary>
/// <param name="vocabulary">Number of logits of a row.</param>
/// <param name="source">Where drafts come from.</param>
internal sealed class RowBuilder(int vocabulary, IDraftSource source)
{
    private readonly Stack<uint[]> _masks = new();

    /// <summary>A row after a sequence's known tokens, and one after each draft that may stand.</summary>
    /// <param name="sequence">It is as before when this returns.</param>
    /// <param name="mostDrafts">Room for drafts.</param>
    public (SamplingRow[] Rows, int[] Drafts) Build(Sequence sequence, int mostDrafts)
    {
        var first = Row(sequence, 0);
        var proposed = mostDrafts > 0 ? source.Propose(sequence) : [];
        if (proposed.IsEmpty)
            return ([first], []);
        List<SamplingRow> rows = [first];
        int[] drafts = proposed[..Math.Min(mostDrafts, proposed.Length)].ToArray();
        int taken = 0;
        while (taken < drafts.Length && TryAssume(sequence, rows[^1].Mask, drafts[taken]))
            rows.Add(Row(sequence, ++taken));
        for (int i = taken - 1; i >= 0; i--)
            sequence.Withdraw(drafts[i]);
        return ([.. rows], drafts[..taken]);
    }

    /// <summary>Takes the masks of a step back that no rank reads any more.</summary>
    public void Release(ScheduledBatch batch)
    {
        foreach (var part in batch.Sequences)
            foreach (var row in part.Rows)
                if (row.Mask is { } mask)
                    _masks.Push(mask);
    }

    /// <summary>Goes on as if a draft had been chosen; false, and nothing changed, when it cannot be, or when what follows it is not the model's choice.</summary>
    private bool TryAssume(Sequence sequence, uint[]? mask, int draft)
    {
        if ((uint)draft >= (uint)vocabulary || (mask is not null && !TokenMask.Allows(mask, draft)))
            return false;
        sequence.Assume(draft);
        if (sequence.Request.Guide is not { Forced.IsEmpty: false })
            return true;
        sequence.Withdraw(draft);
        return false;
    }

    private SamplingRow Row(Sequence sequence, int assumed)
        => new(sequence.Settings, sequence.OutputLength + assumed, sequence.Request.Guide is { } guide ? Mask(guide) : null, sequence.Tally?.Snapshot());

    private uint[]? Mask(ITokenGuide guide)
    {
        uint[] mask = _masks.Count > 0 ? _masks.Pop() : new uint[TokenMask.Words(vocabulary)];
        Array.Fill(mask, uint.MaxValue);
        bool isNarrowed = guide.Mask(mask);

        // Forced tokens are written when the one before them is booked; what is forced from the start is the only choice.
        if (guide.Forced is { IsEmpty: false } forced)
        {
            TokenMask.KeepOnly(mask, forced[..1]);
            isNarrowed = true;
        }

        if (isNarrowed)
            return mask;
        _masks.Push(mask);
        return null;
    }
}
