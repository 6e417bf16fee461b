using DeepSeekR1.Compute;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Training.Lora;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>Writes a trained model's weights as a hub checkpoint: one safetensors file, hub names, routers' biases in float32, adapters merged in.</summary>
public static class ModelExporter
{
    /// <summary>Writes or replaces a file at once. The model must hold all weights on one rank.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">The file.</param>
    /// <param name="type">Type of the numbers in the file.</param>
    public static void WriteWeights(CausalLm model, string path, DType type)
    {
        if (model.Rank.WorldSize != 1)
            throw new ArgumentException("Only a model on one rank holds all of its weights.", nameof(model));
        using var mode = no_grad();
        CheckpointWriter.Write(
            path,
            [.. model.Weights.Select(spec => new TensorLayout(spec.Name, spec.Shape, [TypeOf(spec, type)]))],
            model.Weights.Select(spec => Numbers(model, spec, TypeOf(spec, type))));
    }

    /// <summary>Writes a folder that the server loads: weights, and the other files of the folder that training started from.</summary>
    public static void WriteFolder(CausalLm model, string start, string folder, DType type)
    {
        Directory.CreateDirectory(folder);
        if (Path.GetFullPath(start) != Path.GetFullPath(folder))
            foreach (var file in ModelSource.SideFiles.Where(f => File.Exists(Path.Combine(start, f))))
                File.Copy(Path.Combine(start, file), Path.Combine(folder, file), overwrite: true);
        WriteWeights(model, Path.Combine(folder, ModelSource.WeightsFile), type);
    }

    private static DType TypeOf(WeightSpec spec, DType type)
        => spec.Name.EndsWith(TrainableWeights.RouterBias, StringComparison.Ordinal) ? DType.Float32 : type;

    private static Tensor Numbers(CausalLm model, WeightSpec spec, DType type)
    {
        using var own = LoraAdapters.Merged(model, spec);
        using var typed = own.to(type.ToScalarType(), copy: true);
        return typed.cpu();
    }
}
