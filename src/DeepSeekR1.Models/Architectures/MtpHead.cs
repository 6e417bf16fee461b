using DeepSeekR1.Compute;
using DeepSeekR1.Models.Layers;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Architectures;

/// <summary>
/// Multi-token prediction (DeepSeek-V3 paper, section 2.2): from the main model's state at token t, after its final norm, and the
/// embedding of token t + 1 it predicts token t + 2. One decoder layer of its own, after the main ones, with its own place in the
/// cache; embedding and output layer are the main model's, so the copies in the checkpoint are not loaded.
/// </summary>
public sealed class MtpHead : IDisposable
{
    private readonly CausalLm _model;
    private readonly RmsNorm _embeddingNorm, _stateNorm, _outputNorm;
    private readonly Linear _mix;
    private readonly DecoderLayer _layer;

    /// <summary>Declares the head under <c>model.layers.{NumLayers}</c>.</summary>
    /// <param name="model">The main model, whose vocabulary is shared.</param>
    /// <param name="layer">The head's decoder layer, built for layer index NumLayers.</param>
    internal MtpHead(CausalLm model, DecoderLayer layer)
    {
        var (config, rank, prefix) = (model.Config, model.Rank, Prefix(model.Config));
        _model = model;
        _layer = layer;
        _embeddingNorm = new RmsNorm(rank, $"{prefix}.enorm", config.HiddenSize, config.RmsNormEps);
        _stateNorm = new RmsNorm(rank, $"{prefix}.hnorm", config.HiddenSize, config.RmsNormEps);
        _mix = Linear.Replicated(rank, $"{prefix}.eh_proj", 2 * config.HiddenSize, config.HiddenSize, quantizable: false);
        _outputNorm = new RmsNorm(rank, $"{prefix}.shared_head.norm", config.HiddenSize, config.RmsNormEps);
        Weights = [.. _embeddingNorm.Weights, .. _stateNorm.Weights, .. _mix.Weights, .. layer.Weights, .. _outputNorm.Weights];
    }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>Hub name of the head's layer.</summary>
    public static string Prefix(ModelConfig config) => $"model.layers.{config.NumLayers}";

    /// <summary>
    /// States for <see cref="CausalLm.Logits"/>: [T, hidden]. Row t sees rows up to t of its own sequence, through the head's
    /// part of the cache.
    /// </summary>
    /// <param name="nextIds">Token after each row: [T] int64.</param>
    /// <param name="states">The main model's states after its final norm: [T, hidden].</param>
    /// <param name="context">Positions of the rows; a row at position 0 gets no embedding.</param>
    public Tensor Forward(Tensor nextIds, Tensor states, ForwardContext context)
    {
        using var rotation = _model.RotationAt(context.Positions);
        using var embedded = _model.Embed(nextIds);
        using var start = context.Positions.eq(Scalars.Of(0L)).unsqueeze(1);
        using var visible = embedded.masked_fill(start, Scalars.Of(0L));
        using var embedding = _embeddingNorm.Forward(visible);
        using var state = _stateNorm.Forward(states);
        using var joined = cat([embedding, state], -1); // [T, 2 hidden], embedding first
        using var mixed = _mix.Forward(joined);
        using var output = _layer.Forward(mixed, context with { Rotation = rotation });
        return _outputNorm.Forward(output);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _embeddingNorm.Dispose();
        _stateNorm.Dispose();
        _mix.Dispose();
        _layer.Dispose();
        _outputNorm.Dispose();
    }
}
