using DeepSeekR1.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>A weight that is trained: one or more checkpoint tensors, one under the other.</summary>
/// <param name="Name">Hub name of its first checkpoint tensor.</param>
/// <param name="Tensor">The numbers, shared with the layer; requires a gradient.</param>
/// <param name="Decays">Whether weight decay applies: matrices other than the embedding.</param>
public sealed record TrainableWeight(string Name, Tensor Tensor, bool Decays);

/// <summary>
/// The weights of a model as an optimizer wants them. The layers keep owning them; this only marks them as trained and knows which
/// rows belong to which checkpoint tensor. Router biases are not among them: they follow the load of the experts, not a gradient.
/// </summary>
public sealed class TrainableWeights
{
    /// <summary>Suffix of the router's selection bias (e_score_correction_bias).</summary>
    public const string RouterBias = ".e_score_correction_bias";

    private readonly CausalLm _model;

    /// <summary>Marks all weights of a loaded model on kernels that keep weights dense.</summary>
    /// <exception cref="InvalidOperationException">A weight is packed, quantized or not loaded.</exception>
    public TrainableWeights(CausalLm model)
    {
        _model = model;
        var list = new List<TrainableWeight>();
        foreach (var group in model.Weights.GroupBy(spec => spec.Target))
        {
            var first = group.First();
            if (first.Name.EndsWith(RouterBias, StringComparison.Ordinal))
                continue;
            var tensor = group.Key.Parameter;
            tensor.requires_grad = true;
            list.Add(new TrainableWeight(first.Name, tensor, tensor.dim() > 1 && first.Name != Models.Layers.Embedding.EmbeddingName));
        }

        All = list;
    }

    /// <summary>Trains only the given weights beside those of a model, which stay as they are.</summary>
    public TrainableWeights(CausalLm model, IReadOnlyList<TrainableWeight> adapters) => (_model, All) = (model, adapters);

    /// <summary>All of them, in the order in which data flows.</summary>
    public IReadOnlyList<TrainableWeight> All { get; }

    /// <summary>Numbers in all of them.</summary>
    public long Count => All.Sum(w => w.Tensor.numel());

    /// <summary>The gradient of a checkpoint tensor by name, a view; null when no gradient reached it.</summary>
    public Tensor? Gradient(string name)
    {
        var spec = _model.Weights.First(s => s.Name == name);
        return spec.Target.Parameter.grad is not { } grad ? null : grad.dim() == 0 ? grad : grad.narrow(0, spec.TargetRow, spec.Shape[0]);
    }

    /// <summary>Forgets all gradients.</summary>
    public void ZeroGradients()
    {
        foreach (var weight in All)
            if (weight.Tensor.grad is { } grad)
            {
                weight.Tensor.grad = null;
                grad.Dispose();
            }
    }

    /// <summary>Square root of the sum of all squared gradients, in float32; the name of the first weight whose gradient is not finite, if any.</summary>
    public (double Norm, string? NotFinite) GradientNorm()
    {
        double sum = 0;
        foreach (var weight in All)
        {
            if (weight.Tensor.grad is not { } grad)
                continue;
            using var wide = grad.to(ScalarType.Float32);
            using var norm = wide.norm();
            double value = norm.item<float>();
            if (!double.IsFinite(value))
                return (double.NaN, weight.Name);
            sum += value * value;
        }

        return (Math.Sqrt(sum), null);
    }

    /// <summary>Multiplies all gradients by a factor.</summary>
    public void ScaleGradients(double factor)
    {
        using var number = factor.ToScalar();
        foreach (var weight in All)
            weight.Tensor.grad?.mul_(number);
    }
}
