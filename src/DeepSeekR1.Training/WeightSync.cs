using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Training.Lora;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>Brings a trainer's weights into a running engine, in place: no files, no second engine.</summary>
public static class WeightSync
{
    /// <summary>Copies all weights that the target has, adapters merged in; the trainer may have more (the head for one token more). Both on one rank.</summary>
    /// <exception cref="InvalidOperationException">A weight of the target is missing in the source, or is quantized.</exception>
    public static void Copy(CausalLm source, CausalLm target)
    {
        var byName = source.Weights.ToDictionary(spec => spec.Name);
        foreach (var group in target.Weights.GroupBy(spec => spec.Target))
        {
            var first = group.First();
            if (!byName.TryGetValue(first.Name, out var own))
                throw new InvalidOperationException($"The trained model has no {first.Name}.");
            using var scope = NewDisposeScope();
            var parts = source.Weights.Where(spec => spec.Target == own.Target).OrderBy(spec => spec.TargetRow).Select(spec => LoraAdapters.Merged(source, spec)).ToList();
            group.Key.Assign(parts.Count == 1 ? parts[0] : cat([.. parts.Select(part => part.to(ScalarType.Float32))]));
        }
    }

    /// <summary>Copies between two steps of the engine and returns its new policy version.</summary>
    public static Task<long> PushAsync(CausalLm source, LlmEngine engine) => engine.UpdateWeightsAsync(target =>
    {
        if (target.Rank.WorldSize != 1)
            throw new InvalidOperationException("Weights can be pushed into an engine of one rank only.");
        Copy(source, target);
    });
}
