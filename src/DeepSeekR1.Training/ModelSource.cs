using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Architectures;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Training.Lora;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>Builds the model that is trained, from a checkpoint folder, with weights or without.</summary>
public static class ModelSource
{
    /// <summary>Name of the weights' file.</summary>
    public const string WeightsFile = "model.safetensors";

    /// <summary>Files of a checkpoint folder that are not weights.</summary>
    public static IReadOnlyList<string> SideFiles { get; } =
        ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];

    /// <summary>A model on reference kernels, which have gradients and take adapters. Weights come from the folder, or, if it has none, from the seed.</summary>
    /// <param name="folder">config.json and what else there is.</param>
    /// <param name="type">float32 or bfloat16.</param>
    /// <param name="initializerRange">Standard deviation of new matrices.</param>
    /// <param name="seed">Seed of new weights.</param>
    /// <param name="withMtp">Whether a DeepSeek model's head for one token more is wanted.</param>
    /// <exception cref="ModelLoadException">The folder has no usable checkpoint.</exception>
    public static CausalLm Open(string folder, ScalarType type, double initializerRange, long seed, bool withMtp)
    {
        if (!File.Exists(Path.Combine(folder, "config.json")))
            throw new StartupException($"model_name_or_path '{folder}' has no config.json. Name a checkpoint folder.");
        var config = ModelConfigReader.Read(folder);
        TorchRuntime.Initialize();
        var rank = new RankContext(new SingleRank(), new AdapterKernels(), TorchRuntime.Host, type);
        bool head = withMtp && config.NumMtpLayers > 0;
        var model = config.Architecture == "DeepseekV3ForCausalLM" ? new DeepseekV3(config, rank, head) : CausalLm.Create(config, rank);
        if (Directory.GetFiles(folder, "*.safetensors").Length == 0)
        {
            WeightInitializer.Fill(model, initializerRange, seed);
            return model;
        }

        using var checkpoint = Checkpoint.Open(folder);
        WeightLoader.Load(model, checkpoint, new LoadOptions(Dequantize: true));
        return model;
    }
}
