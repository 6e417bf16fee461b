using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Training.Lora;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>Where a run stands, besides weights and optimizer.</summary>
public sealed record TrainingState
{
    /// <summary>Optimizer steps done.</summary>
    public required long Step { get; init; }

    /// <summary>Next sample of the data.</summary>
    public required long NextSample { get; init; }

    /// <summary>Tokens seen.</summary>
    public long Tokens { get; init; }

    /// <summary>Learned tokens seen.</summary>
    public long Targets { get; init; }

    /// <summary>Seconds of all runs so far.</summary>
    public double Seconds { get; init; }

    /// <summary>Samples that were longer than max_length and left out.</summary>
    public long LeftOut { get; init; }
}

/// <summary>
/// Folders <c>checkpoint-N</c> from which a run goes on exactly: weights in the type of training or adapters as PEFT has them, the optimizer, the place in the
/// data. A folder appears under its name
/// when all of it is on the disk, or not at all, so a run that is killed or finds the disk full leaves the last good one.
/// </summary>
public static class TrainingCheckpoint
{
    private const string Prefix = "checkpoint-", OptimizerFile = "optimizer.safetensors", StateFile = "trainer_state.json";

    /// <summary>Writes a checkpoint and removes the oldest beyond the limit (0 keeps all).</summary>
    /// <exception cref="TrainingException">The disk did not take it; earlier checkpoints are untouched.</exception>
    public static string Save(string outputDir, CausalLm model, TrainingLoop loop, TrainingState state, int keep)
    {
        string final = Path.Combine(outputDir, Prefix + state.Step.ToString(CultureInfo.InvariantCulture)), partial = final + ".partial";
        try
        {
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
            Directory.CreateDirectory(partial);
            if (loop.Lora is { } adapters)
                adapters.Save(partial, loop.BaseModel);
            else
                ModelExporter.WriteWeights(model, Path.Combine(partial, ModelSource.WeightsFile), model.Rank.Type == ScalarType.Float32 ? DType.Float32 : DType.BFloat16);
            var tensors = loop.Optimizer.State().ToList();
            CheckpointWriter.Write(
                Path.Combine(partial, OptimizerFile),
                [.. tensors.Select(t => new TensorLayout(t.Name, t.Tensor.shape, [DType.Float32]))],
                tensors.Select(t => t.Tensor.alias()));
            File.WriteAllText(Path.Combine(partial, StateFile), JsonSerializer.Serialize(state));
            if (Directory.Exists(final))
                Directory.Delete(final, recursive: true);
            Directory.Move(partial, final);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Discard(partial); // on a full disk what was written of it is what is missing
            throw NotWritten($"Checkpoint '{final}'", outputDir, e);
        }

        foreach (var old in keep == 0 ? [] : All(outputDir).SkipLast(keep))
            Directory.Delete(old, recursive: true);
        return final;
    }

    /// <summary>The error of a file of a run that the disk did not take: what is safe, and what to do.</summary>
    internal static TrainingException NotWritten(string what, string outputDir, Exception e)
        => new($"{what} could not be written: {e.Message} The last good checkpoint is '{Latest(outputDir) ?? "none"}'. Free space or choose another output_dir, then start the same command again.", e);

    private static void Discard(string partial)
    {
        try
        {
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The error that led here is the one to report.
        }
    }

    /// <summary>The newest complete checkpoint of a run; null when there is none.</summary>
    public static string? Latest(string outputDir) => All(outputDir).LastOrDefault();

    /// <summary>Puts weights and optimizer back as they were.</summary>
    /// <exception cref="ModelLoadException">The checkpoint is of another model, or damaged; the message names the checkpoint to fall back on.</exception>
    public static TrainingState Restore(string folder, CausalLm model, TrainingLoop loop)
    {
        if (loop.Lora is null && File.Exists(Path.Combine(folder, LoraAdapters.WeightsFile)))
            throw new ModelLoadException($"'{folder}' is of a run with adapters. Set lora_r as it was, or choose another output_dir.");
        if (loop.Lora is not null && File.Exists(Path.Combine(folder, ModelSource.WeightsFile)))
            throw new ModelLoadException($"'{folder}' has no {LoraAdapters.WeightsFile}: it is not of a run with adapters. Set lora_r to 0, or choose another output_dir.");
        try
        {
            return Read(folder, model, loop);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or ModelLoadException)
        {
            string before = All(Path.GetDirectoryName(Path.GetFullPath(folder))!).TakeWhile(f => Path.GetFileName(f) != Path.GetFileName(folder))
                .LastOrDefault() is { } earlier ? $"'{Path.GetFileName(earlier)}'" : "the beginning";
            throw new ModelLoadException($"Checkpoint '{folder}' cannot be used: {e.Message} Remove that folder to go on from {before}, or choose another output_dir.", e);
        }
    }

    private static TrainingState Read(string folder, CausalLm model, TrainingLoop loop)
    {
        var state = JsonSerializer.Deserialize<TrainingState>(File.ReadAllText(Path.Combine(folder, StateFile)))
            ?? throw new ModelLoadException($"{StateFile} is empty.");
        using var mode = no_grad();
        if (loop.Lora is { } adapters)
            adapters.Load(folder);
        else
            RestoreWeights(folder, model);
        using var optimizer = Checkpoint.Open(Path.Combine(folder, OptimizerFile));
        loop.Optimizer.Restore(state.Step, (name, shape) => Fitting(optimizer.Read(name), name, shape));
        return state;
    }

    private static void RestoreWeights(string folder, CausalLm model)
    {
        using var weights = Checkpoint.Open(Path.Combine(folder, ModelSource.WeightsFile));
        foreach (var spec in model.Weights)
        {
            using var saved = Fitting(weights.Read(spec.Name), spec.Name, spec.Shape);
            using var rows = spec.Target.Parameter.narrow(0, spec.TargetRow, spec.Shape[0]);
            rows.copy_(saved);
        }
    }

    private static Tensor Fitting(Tensor saved, string name, long[] shape)
    {
        if (saved.shape.SequenceEqual(shape))
            return saved;
        string found = string.Join(", ", saved.shape);
        saved.Dispose();
        throw new ModelLoadException($"it is of another model: {name} is [{found}] there and [{string.Join(", ", shape)}] here.");
    }

    private static List<string> All(string outputDir) => !Directory.Exists(outputDir)
        ? []
        : [.. Directory.GetDirectories(outputDir, Prefix + "*")
            .Select(path => (path, Step: long.TryParse(Path.GetFileName(path)[Prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out long step) ? step : -1))
            .Where(found => found.Step >= 0)
            .OrderBy(found => found.Step)
            .Select(found => found.path)];
}
