using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>down(silu(gate x) * up x), gate and up fused into one product. Sharded over the inner width.</summary>
public sealed class GatedMlp : IFeedForward
{
    private readonly RankContext _rank;
    private readonly Linear _gateUp;
    private readonly Linear _down;

    /// <summary>Declares the layer under a prefix such as <c>model.layers.0.mlp</c>.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="prefix">Hub name of the layer.</param>
    /// <param name="hidden">Width of the residual stream.</param>
    /// <param name="inner">Full inner width.</param>
    /// <param name="bias">Whether the checkpoint has biases.</param>
    /// <param name="sumOverRanks">False when the caller adds the ranks' parts up, together with others.</param>
    public GatedMlp(RankContext rank, string prefix, int hidden, int inner, bool bias = false, bool sumOverRanks = true)
    {
        _rank = rank;
        _gateUp = Linear.ByOutputs(
            rank, [LinearPart.Split(rank, $"{prefix}.gate_proj", inner), LinearPart.Split(rank, $"{prefix}.up_proj", inner)], hidden, bias);
        _down = Linear.ByInputs(rank, $"{prefix}.down_proj", inner, rank.Range(inner), hidden, bias, sumOverRanks);
        Weights = [.. _gateUp.Weights, .. _down.Weights];
    }

    /// <inheritdoc/>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <inheritdoc/>
    public Tensor Forward(Tensor x)
    {
        using var gateUp = _gateUp.Forward(x);
        using var active = _rank.Kernels.SiluMultiply(gateUp);
        return _down.Forward(active);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _gateUp.Dispose();
        _down.Dispose();
    }
}

/// <summary>The second half of a decoder layer: a dense MLP or a mixture of experts.</summary>
public interface IFeedForward : IDisposable
{
    /// <summary>What the checkpoint must hold.</summary>
    IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>x [T, hidden] to [T, hidden].</summary>
    Tensor Forward(Tensor x);
}
