using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Optimization;

/// <summary>Settings of <see cref="AdamW"/>.</summary>
public sealed record AdamWOptions
{
    /// <summary>Decay of the mean of gradients, 0 to 1.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the mean of squared gradients, 0 to 1.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Added to the root, above 0.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Share of a weight that is taken away per step and unit of learning rate.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>Whether norms and embeddings decay too.</summary>
    public bool DecayAll { get; init; }
}

/// <summary>
/// AdamW (Loshchilov and Hutter 2019): decay is taken from the weight itself, means are corrected for their start at zero. Weights in fewer bits than
/// float32 get a float32 master that is stepped and rounded into them, so small steps are not lost. Owns means and masters.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly AdamWOptions _options;
    private readonly List<Slot> _slots = [];

    /// <summary>Starts with means of zero.</summary>
    public AdamW(IReadOnlyList<TrainableWeight> weights, AdamWOptions options)
    {
        _options = options;
        using var mode = no_grad();
        foreach (var weight in weights)
        {
            var master = weight.Tensor.dtype == ScalarType.Float32 ? null : weight.Tensor.detach().to(ScalarType.Float32).DetachFromDisposeScope();
            _slots.Add(new Slot(
                weight,
                zeros_like(weight.Tensor, ScalarType.Float32).DetachFromDisposeScope(),
                zeros_like(weight.Tensor, ScalarType.Float32).DetachFromDisposeScope(),
                master));
        }
    }

    /// <summary>Steps taken.</summary>
    public long Steps { get; private set; }

    /// <summary>One step by the gradients that the weights hold; a weight without a gradient stays as it is.</summary>
    public void Step(double learningRate)
    {
        using var mode = no_grad();
        Steps++;
        double meanCorrection = 1 - Math.Pow(_options.Beta1, Steps), squareCorrection = 1 - Math.Pow(_options.Beta2, Steps);

        // Numbers must outlive the calls that read them.
        using var keep1 = _options.Beta1.ToScalar();
        using var fresh1 = (1 - _options.Beta1).ToScalar();
        using var keep2 = _options.Beta2.ToScalar();
        using var fresh2 = (1 - _options.Beta2).ToScalar();
        using var rootCorrection = (1 / Math.Sqrt(squareCorrection)).ToScalar();
        using var epsilon = _options.Epsilon.ToScalar();
        using var one = 1.0.ToScalar();
        using var step = (-learningRate / meanCorrection).ToScalar();
        using var decay = (1 - learningRate * _options.WeightDecay).ToScalar();
        foreach (var slot in _slots)
        {
            if (slot.Weight.Tensor.grad is not { } given)
                continue;
            using var grad = given.to(ScalarType.Float32);
            var target = slot.Master ?? slot.Weight.Tensor;
            if (_options.WeightDecay != 0 && (slot.Weight.Decays || _options.DecayAll))
                target.mul_(decay);
            slot.Mean.mul_(keep1).add_(grad, fresh1);
            slot.Square.mul_(keep2).addcmul_(grad, grad, fresh2);
            using var root = slot.Square.sqrt();
            root.mul_(rootCorrection).add_(epsilon, one);
            target.addcdiv_(slot.Mean, root, step);
            if (slot.Master is not null)
                slot.Weight.Tensor.copy_(slot.Master);
        }

    }

    /// <summary>Everything that a resumed run needs, by name: means, and masters where there are any. The tensors stay the optimizer's.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State()
    {
        foreach (var slot in _slots)
        {
            yield return ("mean." + slot.Weight.Name, slot.Mean);
            yield return ("square." + slot.Weight.Name, slot.Square);
            if (slot.Master is not null)
                yield return ("master." + slot.Weight.Name, slot.Master);
        }
    }

    /// <summary>Takes the state of a saved optimizer of the same weights.</summary>
    public void Restore(long steps, Func<string, long[], Tensor> read)
    {
        using var mode = no_grad();
        Steps = steps;
        foreach (var (name, tensor) in State())
            using (var saved = read(name, tensor.shape))
                tensor.copy_(saved);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.Mean.Dispose();
            slot.Square.Dispose();
            slot.Master?.Dispose();
        }
    }

    private sealed record Slot(TrainableWeight Weight, Tensor Mean, Tensor Square, Tensor? Master);
}
