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

    /// <summary>
    /// Whether every sequence of the step is whole, so that keys and values of the step's rows are all there are and
    /// <see cref="Attend"/> serves latent attention too.
    /// </summary>
    public virtual bool HoldsWholeSequences => false;

    /// <summary>Grouped-query attention: q [T, H, D], k and v [T, G, D] of the step's rows. Result [T, H, D].</summary>
    public abstract Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, double scale);

    /// <summary>Takes the step's latent rows [T, W] of a layer, before any of the two calls below.</summary>
    public abstract void StoreLatent(int layer, Tensor latent);

    /// <summary>The step's latent rows of a layer, when they are all there are (<see cref="HoldsWholeSequences"/>). The caller disposes the result.</summary>
    public virtual Tensor AllLatents(int layer) => throw new InvalidOperationException("Earlier rows are in a cache.");

    /// <summary>All latent rows of one sequence, oldest first: [L, W]. The caller disposes it.</summary>
    public abstract Tensor Latent(int layer, int sequence);

    /// <summary>
    /// Attention directly on latents, as one key-value head whose values are the first columns of its keys: q [t, H, W] of the
    /// rows of the named sequences in order, result [t, H, valueWidth].
    /// </summary>
    public abstract Tensor AttendLatent(int layer, Tensor q, IReadOnlyList<int> sequences, int valueWidth, double scale);
}
