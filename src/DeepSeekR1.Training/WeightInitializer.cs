using DeepSeekR1.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>
/// Weights of a new model: norms 1, biases 0, matrices normal with a standard deviation (initializer_range; DeepSeek-V3 paper,
/// section 4.2: 0.006 at 7168 channels). Outputs of attention and feed-forward, which are added to the residual stream, are divided by
/// sqrt(2 layers), so that the stream keeps its size with depth (GPT-2).
/// </summary>
public static class WeightInitializer
{
    /// <summary>Fills every weight of a model whose weights are not loaded. The same seed gives the same numbers.</summary>
    public static void Fill(CausalLm model, double standardDeviation, long seed)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        using var generator = new Generator((ulong)seed);
        double residual = standardDeviation / Math.Sqrt(2.0 * model.Config.NumLayers);
        foreach (var spec in model.Weights)
        {
            using var numbers = Numbers(spec, standardDeviation, residual, generator);
            spec.Target.Fill(spec.TargetRow, numbers);
        }
    }

    private static Tensor Numbers(WeightSpec spec, double deviation, double residual, Generator generator)
    {
        if (spec.Shape.Length == 1)
            return spec.Name.EndsWith("bias", StringComparison.Ordinal) ? zeros(spec.Shape) : ones(spec.Shape);
        bool writesStream = spec.Name.EndsWith("o_proj.weight", StringComparison.Ordinal) || spec.Name.EndsWith("down_proj.weight", StringComparison.Ordinal);
        using var factor = (writesStream ? residual : deviation).ToScalar();
        var numbers = randn(spec.Shape, ScalarType.Float32, generator: generator).mul_(factor);
        return numbers;
    }
}
