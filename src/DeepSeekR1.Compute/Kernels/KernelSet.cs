using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>
/// A linear layer's weight in the form that a kernel set wants it: dense, packed or quantized. Owned by the layer.
/// </summary>
public sealed class LinearWeight : IDisposable
{
    private Tensor? _data;

    /// <summary>Takes over a dense [N, K] weight, or an opaque packed copy of one.</summary>
    public LinearWeight(Tensor data, bool isPacked) => (_data, IsPacked) = (data, isPacked);

    /// <summary>Takes over quantized matrices of equal K that stand one under the other.</summary>
    public LinearWeight(IReadOnlyList<QuantizedTensor> parts) => Parts = parts;

    /// <summary>The dense weight, or the opaque copy.</summary>
    public Tensor Data => _data ?? throw new InvalidOperationException("The weight is quantized.");

    /// <summary>True when <see cref="Data"/> is opaque.</summary>
    public bool IsPacked { get; private set; }

    /// <summary>The quantized matrices; null for a dense or packed weight.</summary>
    public IReadOnlyList<QuantizedTensor>? Parts { get; }

    /// <summary>Takes the data of another dense or packed weight in place of its own, which is freed; the other is empty afterwards.</summary>
    public void TakeFrom(LinearWeight other)
    {
        if (Parts is not null || other.Parts is not null)
            throw new InvalidOperationException("A quantized weight cannot be replaced.");
        _data?.Dispose();
        (_data, IsPacked, other._data) = (other._data, other.IsPacked, null);
    }

    /// <summary>Bytes that the weight takes in memory.</summary>
    public long Bytes => Parts?.Sum(p => p.Bytes) ?? (IsPacked ? TorchShim.PackedBytes(Data) : Data.numel() * Data.element_size());

    /// <inheritdoc/>
    public void Dispose()
    {
        _data?.Dispose();
        foreach (var part in Parts ?? [])
            part.Dispose();
    }
}

/// <summary>Weights of one routed expert: down(silu(gate x) * up x).</summary>
/// <param name="GateUp">[2 I, H]: gate rows, then up rows.</param>
/// <param name="Down">[H, I].</param>
public sealed record ExpertWeights(LinearWeight GateUp, LinearWeight Down);

/// <summary>How tokens choose experts (config fields of DeepSeek-V3, paper section 2.1.2).</summary>
/// <param name="TopK">Experts per token (num_experts_per_tok).</param>
/// <param name="Groups">Groups that the experts are split into (n_group).</param>
/// <param name="TopGroups">Groups that stay (topk_group).</param>
/// <param name="Normalize">Divide the chosen scores by their sum (norm_topk_prob).</param>
/// <param name="Scale">Factor on the weights (routed_scaling_factor).</param>
public sealed record RoutingRule(int TopK, int Groups, int TopGroups, bool Normalize, double Scale);

/// <summary>
/// The operations that hardware matters for. <see cref="TorchKernels"/> is the reference and runs everywhere; other sets
/// derive from it and override what they accelerate, so the base is fallback and test oracle in one.
/// </summary>
/// <remarks>
/// Shapes: T rows of a step, H query heads, G key-value heads, D key width, E value width, N outputs, K inputs. Results are
/// fresh tensors of the caller's scope; arguments are never disposed and never changed, caches excepted.
/// </remarks>
public abstract class KernelSet
{
    /// <summary>
    /// Whether the inputs of quantized weights are rounded as well (quantization_config.activation_scheme "dynamic"): for FP8 weights to
    /// FP8 with one scale per row and 128 channels (DeepSeek-V3 paper, section 3.3.2), for int8 weights to int8 with one scale per row.
    /// False multiplies them as they are.
    /// </summary>
    public bool DynamicActivations { get; init; }

    /// <summary>Which implementation serves which operation: one line for the log.</summary>
    public abstract string Description { get; }

    /// <summary>Whether <see cref="Prepare"/> changes the layout of a dense weight of this type; if not, <see cref="Linear"/> reads dense weights.</summary>
    public virtual bool Packs(ScalarType type) => false;

    /// <summary>
    /// Takes a dense [N, K] weight into the form that <see cref="Linear"/> reads. The argument stays the caller's; the result
    /// is independent of it.
    /// </summary>
    public abstract LinearWeight Prepare(Tensor weight);

    /// <summary>x [T, K] times weight [N, K] transposed, plus bias [N]: [T, N] in x's type. A quantized weight is never decoded as a whole for longer than the call.</summary>
    public abstract Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias);

    /// <summary>The dense numbers of an unpacked weight, in the asked type. The caller disposes the result, which may be an alias.</summary>
    public abstract Tensor ToDense(LinearWeight weight, ScalarType type);

    /// <summary>x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed in float32. x [..., K], weight [K].</summary>
    public abstract Tensor RmsNorm(Tensor x, Tensor weight, double eps);

    /// <summary>silu(gate) * up of x [T, 2 I] with gate in the first half: [T, I].</summary>
    public abstract Tensor SiluMultiply(Tensor gateUp);

    /// <summary>
    /// Rotary embedding on the last dimension of x [T, H, D]. cos and sin are [T, D / 2] float32. Pairs are (i, i + D / 2), or
    /// (2 i, 2 i + 1) when interleaved; the result keeps the layout of x.
    /// </summary>
    public abstract Tensor Rotate(Tensor x, Tensor cos, Tensor sin, bool interleaved);

    /// <summary>Writes values [T, G, D] into cache [slots, G, D] at the slots of the step's rows.</summary>
    public abstract void WriteCache(Tensor cache, Tensor values, PagedBatch batch);

    /// <summary>
    /// Causal attention over the paged cache. q [T, H, D]; keys [slots, G, D]; values [slots, G, at least E], of which the first
    /// E columns count (MLA reads values out of its keys). Softmax in float32. Result [T, H, E].
    /// </summary>
    public abstract Tensor PagedAttention(Tensor q, Tensor keys, Tensor values, int valueWidth, PagedBatch batch, double scale);

    /// <summary>
    /// Causal attention of one sequence over dense keys: q [t, H, D], k [L, H, D], v [L, H, E]; row i sees keys up to
    /// L - t + i. Result [t, H, E].
    /// </summary>
    public abstract Tensor DenseAttention(Tensor q, Tensor k, Tensor v, double scale);

    /// <summary>
    /// Chooses experts: sigmoid scores, selection by score + bias inside the best groups, weights from the bare scores.
    /// logits [T, experts] float32, bias [experts] float32. Result: ids [T, TopK] int64, weights [T, TopK] float32.
    /// </summary>
    public abstract (Tensor Experts, Tensor Weights) Route(Tensor logits, Tensor bias, RoutingRule rule);

    /// <summary>
    /// Sum over a token's chosen experts of weight * expert(x). x [T, H]; ids and weights [T, TopK]; only experts in
    /// [firstExpert, firstExpert + local.Count) are computed here. Result [T, H] in x's type.
    /// </summary>
    public abstract Tensor Experts(Tensor x, Tensor experts, Tensor weights, IReadOnlyList<ExpertWeights> local, int firstExpert);

    /// <summary>
    /// Chooses one token per row of logits [R, vocabulary] float32. A row's result depends on its own logits and entries only. Equal seeds,
    /// samples and positions draw at the same point whatever the set.
    /// </summary>
    public abstract SampledToken[] Sample(Tensor logits, SamplingBatch batch);

    /// <summary>Log-probabilities of given tokens, one per row of logits [R, vocabulary] float32, and as many best alternatives.</summary>
    public abstract SampledToken[] Score(Tensor logits, ReadOnlyMemory<int> ids, int top);
}
