using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using static TorchSharp.torch;

namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// One rank's model and cache. <see cref="Run"/> is called on the rank's own thread, one step at a time: one forward over all
/// rows of the step, then logits only of the rows that sample. Owns both.
/// </summary>
/// <remarks>Must not be added here: branches for single features (see <see cref="Scheduler"/>).</remarks>
public sealed class ModelRunner(CausalLm model, KvCache cache) : IDisposable
{
    /// <summary>The model shard.</summary>
    public CausalLm Model { get; } = model;

    /// <summary>The paged cache.</summary>
    public KvCache Cache { get; } = cache;

    /// <summary>Form of latent attention; for tests.</summary>
    public MlaForm MlaForm { get; init; } = MlaForm.Auto;

    /// <summary>Rows whose logits are held at once while prompt tokens are scored.</summary>
    private const int ScoredRows = 64;

    /// <summary>Computes a step. Rank 0 returns what was sampled and scored; the others, whose logits are the same, return nothing.</summary>
    public StepOutput Run(ScheduledBatch batch)
    {
        using var scope = new TensorScope();
        var input = BatchBuilder.Build(batch, Cache.BlockSize, Model.Rank.Device);
        using var paged = input.Paged;
        var attention = new PagedAttention(Model.Rank.Kernels, Cache, paged);
        var states = Model.Forward(input.Ids, new ForwardContext(input.Positions, attention) { MlaForm = MlaForm });
        var scores = Score(batch, states);
        var sampled = input.Rows.Count == 0 ? [] : Sample(input, states);
        return Model.Rank.Rank == 0 ? StepOutput.Of(batch, sampled, scores) : StepOutput.Empty;
    }

    /// <summary>Chooses the tokens on rank 0; the others, whose logits are the same, help to compute them and choose nothing.</summary>
    private SampledToken[] Sample(StepInput input, Tensor states)
    {
        using var rows = input.SamplingIndex is { } index ? states.index_select(0, index) : states;
        var logits = Model.Logits(rows);
        return Model.Rank.Rank == 0 ? Model.Rank.Kernels.Sample(logits, new SamplingBatch(input.Rows)) : [];
    }

    /// <summary>Log-probabilities of known tokens, one list for every part.</summary>
    private IReadOnlyList<SampledToken>[] Score(ScheduledBatch batch, Tensor states)
    {
        var scores = new IReadOnlyList<SampledToken>[batch.Sequences.Count];
        int row = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            var part = batch.Sequences[i];
            scores[i] = part.Scored.Length == 0 ? [] : Score(part, states, row);
            row += part.TokenIds.Length;
        }

        return scores;
    }

    /// <summary>A few rows at a time: logits of a whole prompt would not fit.</summary>
    private List<SampledToken> Score(ScheduledSequence part, Tensor states, int row)
    {
        var scores = new List<SampledToken>();
        for (int done = 0; done < part.Scored.Length; done += ScoredRows)
        {
            using var scope = NewDisposeScope();
            int count = Math.Min(ScoredRows, part.Scored.Length - done);
            var logits = Model.Logits(states.narrow(0, row + done, count));
            if (Model.Rank.Rank == 0)
                scores.AddRange(Model.Rank.Kernels.Score(logits, part.Scored.AsMemory(done, count), part.ScoredTop));
        }

        return scores;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Model.Dispose();
        Cache.Dispose();
    }
}

/// <summary>A step's tensors, in the scope of the step.</summary>
/// <param name="Ids">[T] int64.</param>
/// <param name="Positions">[T] int64.</param>
/// <param name="Paged">Where keys are read and written.</param>
/// <param name="SamplingIndex">Rows whose logits are wanted, [R] int64; null when it is all rows.</param>
/// <param name="Rows">How each of them is sampled.</param>
public sealed record StepInput(Tensor Ids, Tensor Positions, PagedBatch Paged, Tensor? SamplingIndex, IReadOnlyList<SamplingRow> Rows);

/// <summary>Plain arrays of a step to tensors on a device.</summary>
public static class BatchBuilder
{
    /// <summary>Builds the tensors of a step; they belong to the current scope.</summary>
    public static StepInput Build(ScheduledBatch batch, int blockSize, Device device)
    {
        long[] ids = new long[batch.TotalTokens], positions = new long[ids.Length];
        var sequences = new PagedSequence[batch.Sequences.Count];
        int row = 0;
        for (int s = 0; s < sequences.Length; s++)
        {
            var part = batch.Sequences[s];
            if (part.Adapter != 0)
                throw new InvalidOperationException($"Sequence {part.Id} wants adapter {part.Adapter}; this model has none.");
            sequences[s] = new PagedSequence(row, part.TokenIds.Length, part.Computed + part.TokenIds.Length, part.Blocks);
            for (int i = 0; i < part.TokenIds.Length; i++, row++)
                (ids[row], positions[row]) = (part.TokenIds[i], part.Computed + i);
        }

        var (sampled, rows) = Sampled(batch);
        return new StepInput(
            tensor(ids, ScalarType.Int64, device),
            tensor(positions, ScalarType.Int64, device),
            new PagedBatch(sequences, blockSize, device),
            sampled.Length == ids.Length ? null : tensor(sampled, ScalarType.Int64, device),
            rows);
    }

    /// <summary>Rows of the step whose logits are wanted, the last ones of their parts, and how each of them is sampled.</summary>
    private static (long[] Index, SamplingRow[] Rows) Sampled(ScheduledBatch batch)
    {
        var rows = new SamplingRow[batch.Sequences.Sum(s => s.Rows.Length)];
        var index = new long[rows.Length];
        int chosen = 0, end = 0;
        foreach (var part in batch.Sequences)
        {
            end += part.TokenIds.Length;
            for (int i = 0; i < part.Rows.Length; i++, chosen++)
                (index[chosen], rows[chosen]) = (end - part.Rows.Length + i, part.Rows[i]);
        }

        return (index, rows);
    }
}
