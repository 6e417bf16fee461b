using DeepSeekR1.Compute.Kernels;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Attention;

/// <summary>
/// How attention finds earlier tokens. Layers hand over what they computed for the rows of this step and get the result; where
/// keys live is the backend's business. One instance per step.
/// </summary>
/// <remarks>T rows, H query heads, G key-value heads, D width.</remarks>
public abstract class AttentionBackend(KernelSet kernels)
{
    /// <summary>Operations of the device.</summary>
    protected KernelSet Kernels { get; } = kernels;

    /// <summary>Rows and context of each sequence of the step.</summary>
    public abstract IReadOnlyList<PagedSequence> Sequences { get; }

    /// <summary>Grouped-query attention: q [T, H, D], k and v [T, G, D] of the step's rows. Result [T, H, D].</summary>
    public abstract Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, double scale);

    /// <summary>Takes the step's latent rows [T, W] of a layer, before any of the two calls below.</summary>
    public abstract void StoreLatent(int layer, Tensor latent);

    /// <summary>All latent rows of one sequence, oldest first: [L, W]. The caller disposes it.</summary>
    public abstract Tensor Latent(int layer, int sequence);

    /// <summary>
    /// Attention directly on latents, as one key-value head whose values are the first columns of its keys: q [t, H, W] of the
    /// rows of the named sequences in order, result [t, H, valueWidth].
    /// </summary>
    public abstract Tensor AttendLatent(int layer, Tensor q, IReadOnlyList<int> sequences, int valueWidth, double scale);
}

/// <summary>
/// No cache: every sequence of the step is whole. The training form, differentiable; several sequences lie one after the other
/// and do not see each other.
/// </summary>
public sealed class DenseAttention(KernelSet kernels, IReadOnlyList<int> lengths) : AttentionBackend(kernels)
{
    private readonly Dictionary<int, Tensor> _latents = [];

    /// <inheritdoc/>
    public override IReadOnlyList<PagedSequence> Sequences { get; } = Layout(lengths);

    /// <inheritdoc/>
    public override Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, double scale)
    {
        var parts = Sequences.Select(s =>
        {
            using var own = q.narrow(0, s.QueryStart, s.QueryLength);
            using var keys = k.narrow(0, s.QueryStart, s.QueryLength);
            using var values = v.narrow(0, s.QueryStart, s.QueryLength);
            return Kernels.DenseAttention(own, keys, values, scale);
        }).ToList();
        return parts.Count == 1 ? parts[0] : cat(parts);
    }

    /// <inheritdoc/>
    public override void StoreLatent(int layer, Tensor latent) => _latents[layer] = latent;

    /// <inheritdoc/>
    public override Tensor Latent(int layer, int sequence)
        => _latents[layer].narrow(0, Sequences[sequence].QueryStart, Sequences[sequence].QueryLength);

    /// <inheritdoc/>
    public override Tensor AttendLatent(int layer, Tensor q, IReadOnlyList<int> sequences, int valueWidth, double scale)
    {
        var parts = new List<Tensor>();
        int start = 0;
        foreach (int index in sequences)
        {
            int length = Sequences[index].QueryLength;
            using var own = q.narrow(0, start, length);
            using var rows = Latent(layer, index);
            using var keys = rows.unsqueeze(1);
            using var values = keys.narrow(-1, 0, valueWidth);
            parts.Add(Kernels.DenseAttention(own, keys, values, scale));
            start += length;
        }

        return parts.Count == 1 ? parts[0] : cat(parts);
    }

    private static List<PagedSequence> Layout(IReadOnlyList<int> lengths)
    {
        var sequences = new List<PagedSequence>();
        int start = 0;
        foreach (int length in lengths)
        {
            sequences.Add(new PagedSequence(start, length, length, ReadOnlyMemory<int>.Empty));
            start += length;
        }

        return sequences;
    }
}
