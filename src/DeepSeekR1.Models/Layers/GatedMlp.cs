using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>down(silu(gate x) * up x), gate and up fused into one product. Sharded over the inner width.</summary>
public sealed class GatedMlp : IFeedForward
{
    private readonly RankContext _rank;
    private readonly Linear _gateUp;
    private readonly Linear _down;

    /// <summary>Declares the layer under a prefix such as <c>model.layers.0.mlp</c>.</summary>
    public GatedMlp(RankContext rank, string prefix, int hidden, int inner, bool bias = false)
    {
        _rank = rank;
        _gateUp = Linear.ByOutputs(rank, [new($"{prefix}.gate_proj", inner), new($"{prefix}.up_proj", inner)], hidden, bias);
        _down = Linear.ByInputs(rank, $"{prefix}.down_proj", inner, hidden, bias);
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
