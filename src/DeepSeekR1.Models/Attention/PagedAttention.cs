using DeepSeekR1.Compute.Kernels;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Attention;

/// <summary>The serving form: keys are written to the paged cache first and read from there, so chunks, single tokens and batches agree.</summary>
public sealed class PagedAttention(KernelSet kernels, KvCache cache, PagedBatch batch) : AttentionBackend(kernels)
{
    /// <inheritdoc/>
    public override IReadOnlyList<PagedSequence> Sequences => batch.Sequences;

    /// <inheritdoc/>
    public override Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, double scale)
    {
        Kernels.WriteCache(cache.Keys(layer), k, batch);
        Kernels.WriteCache(cache.Values(layer), v, batch);
        return Kernels.PagedAttention(q, cache.Keys(layer), cache.Values(layer), (int)v.shape[2], batch, scale);
    }

    /// <inheritdoc/>
    public override void StoreLatent(int layer, Tensor latent)
    {
        using var rows = latent.unsqueeze(1);
        Kernels.WriteCache(cache.Keys(layer), rows, batch);
    }

    /// <inheritdoc/>
    public override Tensor Latent(int layer, int sequence)
    {
        using var rows = cache.Keys(layer).index_select(0, batch.ContextSlots(sequence));
        return rows.squeeze(1);
    }

    /// <inheritdoc/>
    public override Tensor AttendLatent(int layer, Tensor q, IReadOnlyList<int> sequences, int valueWidth, double scale)
    {
        var part = sequences.Count == batch.Sequences.Count ? batch : Select(sequences, q.device);
        return Kernels.PagedAttention(q, cache.Keys(layer), cache.Keys(layer), valueWidth, part, scale);
    }

    private PagedBatch Select(IReadOnlyList<int> sequences, Device device)
    {
        var chosen = new List<PagedSequence>(sequences.Count);
        int start = 0;
        foreach (int index in sequences)
        {
            chosen.Add(batch.Sequences[index] with { QueryStart = start });
            start += batch.Sequences[index].QueryLength;
        }

        return new PagedBatch(chosen, batch.BlockSize, device);
    }
}
