using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// Books what a step gave: appends accepted tokens and what guides force after them, finds the ends, and hands out the events. Engine
/// thread only.
/// </summary>
/// <param name="scheduler">Ends sequences.</param>
/// <param name="blocks">Learns which keys are right, and gets back what wrong drafts held.</param>
/// <param name="maxLength">Longest sequence.</param>
/// <param name="deliver">Receives every event; a null event means that the sequence failed with the fault of what was sampled.</param>
internal sealed class Booking(Scheduler scheduler, BlockManager blocks, int maxLength, Action<Sequence, TokenOutput?, SampledToken> deliver)
{
    /// <summary>Books a step.</summary>
    public void Book(ScheduledBatch batch, StepOutput output)
    {
        for (int i = 0; i < batch.Owners.Count; i++)
        {
            // Removed while the step ran: its rows are there, but nobody wants them.
            var (owner, result) = (batch.Owners[i], output.Sequences[i]);
            if (owner.Sequence.Status == SequenceStatus.Finished)
                continue;
            if (result.Scores.Count > 0)
                owner.Sequence.AddScores(result.Scores);
            Append(owner, result.Accepted.Span);
        }
    }

    /// <summary>Appends accepted tokens one by one until the sequence ends, or something else is to follow than the next of them.</summary>
    private void Append(Owner owner, ReadOnlySpan<SampledToken> accepted)
    {
        var sequence = owner.Sequence;
        int? forced = null;
        for (int i = 0; i < accepted.Length && forced is null; i++)
        {
            // The step has computed the keys of drafts; they are lost with the blocks.
            bool isComputed = i < accepted.Length - 1 && sequence.Preemptions == owner.Preemptions;
            if (!TryAccept(sequence, accepted[i], isComputed, out forced))
                return;
        }

        while (forced is { } token)
            if (!TryWrite(sequence, token, out forced))
                return;
        if (accepted.Length > 0)
            blocks.Shrink(sequence.Table, sequence.Length);
    }

    /// <summary>Appends a token that the model chose. False when the sequence has ended.</summary>
    private bool TryAccept(Sequence sequence, SampledToken token, bool isComputed, out int? forced)
    {
        forced = null;
        if (token.Fault != SampleFault.None)
        {
            scheduler.Remove(sequence);
            deliver(sequence, null, token);
            return false;
        }

        if (!TryAppend(sequence, token.TokenId, out forced))
            return false;
        if (isComputed)
        {
            sequence.NumComputed++;
            blocks.Publish(sequence.Table, sequence.Verified, sequence.Request.CacheSalt);
        }

        float? logprob = sequence.Request.Sampling.TopLogprobs is null ? null : token.Logprob;
        var finish = FinishOf(sequence, token.TokenId);
        return Deliver(sequence, new TokenOutput(token.TokenId, logprob, TokenLogprob.ListOf(token), finish, sequence.CachedTokens, sequence.TakeScores()), token);
    }

    /// <summary>Appends a token that nobody sampled: it is part of the output and of the work of the next step. False when the sequence has ended.</summary>
    private bool TryWrite(Sequence sequence, int token, out int? forced)
    {
        if (!TryAppend(sequence, token, out forced))
            return false;
        bool scored = sequence.Request.Sampling.TopLogprobs is not null;
        FinishReason? finish = IsFull(sequence) ? FinishReason.Length : null;
        return Deliver(sequence, new TokenOutput(token, scored ? 0f : null, scored ? [] : null, finish, sequence.CachedTokens), default);
    }

    private bool TryAppend(Sequence sequence, int token, out int? forced)
    {
        forced = null;
        try
        {
            sequence.Append(token);
            forced = sequence.NextForced;
            return true;
        }
        catch (Exception e)
        {
            scheduler.Reject(sequence, e);
            return false;
        }
    }

    private bool Deliver(Sequence sequence, TokenOutput output, SampledToken token)
    {
        if (output.FinishReason is not null)
            scheduler.Remove(sequence);
        deliver(sequence, output, token);
        return output.FinishReason is null;
    }

    private FinishReason? FinishOf(Sequence sequence, int token)
    {
        if (sequence.Request.Sampling.StopTokenIds.Contains(token))
            return FinishReason.Stop;
        return IsFull(sequence) ? FinishReason.Length : null;
    }

    private bool IsFull(Sequence sequence) => sequence.OutputLength >= sequence.Request.Sampling.MaxTokens || sequence.Length >= maxLength;
}
