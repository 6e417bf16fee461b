using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>Root-mean-square norm over the last dimension (Zhang and Sennrich 2019), computed in float32.</summary>
public sealed class RmsNorm : IDisposable
{
    private readonly RankContext _rank;
    private readonly Weight _weight;
    private readonly double _eps;

    /// <summary>Declares the norm; the weight is <paramref name="name"/>.weight [width].</summary>
    public RmsNorm(RankContext rank, string name, int width, double eps)
    {
        _rank = rank;
        _eps = eps;
        _weight = new Weight(rank, [width]);
        Weights = [WeightSpec.Replicated(name + ".weight", [width], _weight)];
    }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>x [..., width] to the same shape and type.</summary>
    public Tensor Forward(Tensor x) => _rank.Kernels.RmsNorm(x, _weight.Value, _eps);

    /// <inheritdoc/>
    public void Dispose() => _weight.Dispose();
}
