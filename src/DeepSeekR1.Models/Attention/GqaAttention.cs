using DeepSeekR1.Models.Layers;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Attention;

/// <summary>The attention half of a decoder layer.</summary>
public interface IAttention : IDisposable
{
    /// <summary>What the checkpoint must hold.</summary>
    IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>x [T, hidden] to [T, hidden].</summary>
    Tensor Forward(Tensor x, ForwardContext context);
}

/// <summary>
/// Grouped-query attention with rotary embedding (Llama, Qwen2, Qwen3). q, k and v are one product; heads are split over ranks.
/// </summary>
public sealed class GqaAttention : IAttention
{
    private readonly RankContext _rank;
    private readonly int _layer, _heads, _kvHeads, _width;
    private readonly bool _interleaved;
    private readonly Linear _qkv, _output;
    private readonly RmsNorm? _queryNorm, _keyNorm;

    /// <summary>Declares the layer under a prefix such as <c>model.layers.0.self_attn</c>.</summary>
    public GqaAttention(ModelConfig config, RankContext rank, int layer, string prefix)
    {
        _rank = rank;
        _layer = layer;
        (_heads, int firstKvHead, _kvHeads) = rank.Heads(config.NumHeads, config.NumKvHeads);
        _width = config.HeadDim;
        _interleaved = config.Rope.Interleaved;
        int queries = config.NumHeads * _width, keys = config.NumKvHeads * _width;
        _qkv = Linear.ByOutputs(
            rank,
            [
                new LinearPart($"{prefix}.q_proj", queries, rank.Rank * _heads * _width, _heads * _width),
                new LinearPart($"{prefix}.k_proj", keys, firstKvHead * _width, _kvHeads * _width),
                new LinearPart($"{prefix}.v_proj", keys, firstKvHead * _width, _kvHeads * _width),
            ],
            config.HiddenSize,
            config.QkvBias);
        _output = Linear.ByInputs(
            rank, $"{prefix}.o_proj", queries, (rank.Rank * _heads * _width, _heads * _width), config.HiddenSize, config.OutputBias);
        if (config.QkNorm)
        {
            _queryNorm = new RmsNorm(rank, $"{prefix}.q_norm", _width, config.RmsNormEps);
            _keyNorm = new RmsNorm(rank, $"{prefix}.k_norm", _width, config.RmsNormEps);
        }

        Weights = [.. _qkv.Weights, .. _queryNorm?.Weights ?? [], .. _keyNorm?.Weights ?? [], .. _output.Weights];
    }

    /// <inheritdoc/>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, ForwardContext context)
    {
        long rows = x.shape[0];
        using var qkv = _qkv.Forward(x);
        using var heads = qkv.view(rows, _heads + 2 * _kvHeads, _width); // [T, H + 2 G, D]
        using var q = Place(heads.narrow(1, 0, _heads), _queryNorm, context.Rotation!);
        using var k = Place(heads.narrow(1, _heads, _kvHeads), _keyNorm, context.Rotation!);
        using var v = heads.narrow(1, _heads + _kvHeads, _kvHeads);
        using var mixed = context.Attention.Attend(_layer, q, k, v, 1 / Math.Sqrt(_width));
        using var flat = mixed.reshape(rows, _heads * _width);
        return _output.Forward(flat);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _qkv.Dispose();
        _output.Dispose();
        _queryNorm?.Dispose();
        _keyNorm?.Dispose();
    }

    /// <summary>Norm (if any) and rotation of [T, heads, D]. Disposes its argument.</summary>
    private Tensor Place(Tensor heads, RmsNorm? norm, Rotation rotation)
    {
        using (heads)
        {
            using var normed = norm?.Forward(heads);
            return _rank.Kernels.Rotate(normed ?? heads, rotation.Cos, rotation.Sin, _interleaved);
        }
    }
}
