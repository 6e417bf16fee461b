using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models.Architectures;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>What to write.</summary>
/// <param name="Format">fp8, int8, int4 or nf4.</param>
/// <param name="Group">Numbers of a row that share a scale in int4: 32 or 128.</param>
/// <param name="DoubleQuant">nf4: quantize the largest magnitudes too.</param>
/// <param name="OutlierThreshold">int8: llm_int8_threshold; 0 for none.</param>
public sealed record QuantizeOptions(string Format, int Group = 128, bool DoubleQuant = false, float OutlierThreshold = 0);

/// <summary>
/// A checkpoint folder to a quantized one, shard by shard, one matrix in memory at a time. It is written into a folder beside the
/// output and renamed when it is complete, so what is there under the output's name always loads; finished shards of a run that
/// was cut are not written again.
/// </summary>
public static class CheckpointQuantizer
{
    private const string IndexName = "model.safetensors.index.json", PlanName = "quantize.json";

    /// <summary>Writes the output folder.</summary>
    /// <param name="input">Checkpoint folder of safetensors files, dense or quantized in another format.</param>
    /// <param name="output">Folder that does not exist yet.</param>
    /// <param name="options">What to write.</param>
    /// <param name="progress">Hears the share of bytes read so far and the shard.</param>
    /// <param name="cancellation">Stops between two tensors; what is finished stays for the next run.</param>
    /// <exception cref="ModelLoadException">The input cannot be read, is in that format already, or the output is in the way.</exception>
    public static void Run(
        string input, string output, QuantizeOptions options, Action<double, string>? progress = null, CancellationToken cancellation = default)
    {
        if (Directory.Exists(output) || File.Exists(output))
            throw new ModelLoadException($"OUT '{output}' exists. Name a folder that does not, or remove it.");
        if (!Directory.Exists(input))
            throw new ModelLoadException($"IN '{input}' is not a folder. Name a checkpoint folder of safetensors files; GGUF files are quantized already.");
        var config = ModelConfigReader.Read(input);
        if (config.QuantizationMethod == options.Format)
            throw new ModelLoadException($"IN '{input}' is in {options.Format} already.");
        TorchRuntime.Initialize();
        using var checkpoint = SafetensorsCheckpoint.Open(input);
        var work = output.TrimEnd(Path.DirectorySeparatorChar) + ".partial";
        Begin(work, input, options);
        var plan = new Plan(checkpoint, config, FormatOf(options));
        long total = checkpoint.Tensors.Values.Sum(SizeOf), done = 0;
        foreach (var (file, names) in checkpoint.Shards)
        {
            var target = Path.Combine(work, file);
            if (!File.Exists(target))
            {
                long before = done;
                CheckpointWriter.Write(target, [.. names.SelectMany(plan.LayoutsOf)], names.SelectMany(name =>
                {
                    cancellation.ThrowIfCancellationRequested();
                    var tensors = plan.DataOf(name);
                    before += SizeOf(checkpoint.Find(name));
                    progress?.Invoke((double)before / total, file);
                    return tensors;
                }));
            }

            done += names.Sum(name => SizeOf(checkpoint.Find(name)));
            progress?.Invoke((double)done / total, file);
        }

        Finish(work, input, output, plan, checkpoint.Shards);
    }

    private static StoredFormat FormatOf(QuantizeOptions options) => options.Format switch
    {
        "fp8" => new StoredFp8((128, 128)),
        "int8" => new StoredInt8(options.OutlierThreshold),
        "int4" when options.Group is 32 or 128 => new StoredInt4(options.Group),
        "int4" => throw new ModelLoadException($"{new OptionName("group")} is {options.Group}; it must be 32 or 128."),
        "nf4" => new StoredNf4(options.DoubleQuant),
        var other => throw new ModelLoadException($"{new OptionName("format")} is '{other}'; it must be fp8, int8, int4 or nf4."),
    };

    /// <summary>Makes the folder, or checks that the one of a run that was cut is for the same work.</summary>
    private static void Begin(string work, string input, QuantizeOptions options)
    {
        var plan = JsonSerializer.Serialize(new { input = Path.GetFullPath(input), options });
        var file = Path.Combine(work, PlanName);
        if (!Directory.Exists(work))
        {
            Directory.CreateDirectory(work);
            File.WriteAllText(file, plan);
        }
        else if (!File.Exists(file) || File.ReadAllText(file) != plan)
        {
            throw new ModelLoadException($"'{work}' holds a run with another input or other options. Remove it to begin anew.");
        }
    }

    private static void Finish(string work, string input, string output, Plan plan, IReadOnlyList<(string File, IReadOnlyList<string> Names)> shards)
    {
        if (shards.Count > 1)
        {
            var layouts = shards.SelectMany(s => s.Names.SelectMany(plan.LayoutsOf).Select(l => (s.File, Layout: l))).ToList();
            var index = new
            {
                metadata = new { total_size = layouts.Sum(l => CheckpointWriter.BytesOf(l.Layout)) },
                weight_map = layouts.OrderBy(l => l.Layout.Name, StringComparer.Ordinal).ToDictionary(l => l.Layout.Name, l => l.File),
            };
            File.WriteAllText(Path.Combine(work, IndexName), JsonSerializer.Serialize(index));
        }

        foreach (var file in Directory.GetFiles(input).Where(f => !f.EndsWith(".safetensors", StringComparison.Ordinal) && Path.GetFileName(f) is not (IndexName or "config.json")))
            File.Copy(file, Path.Combine(work, Path.GetFileName(file)), overwrite: true);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(input, "config.json")))!.AsObject();
        config["quantization_config"] = JsonSerializer.SerializeToNode(plan.Format.Config());
        File.WriteAllText(Path.Combine(work, "config.json"), config.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        File.Delete(Path.Combine(work, PlanName));
        Directory.Move(work, output);
    }

    private static long SizeOf(StoredTensor tensor) => tensor.Shape.Aggregate((long)tensor.Type.Bytes(), (a, b) => a * b);

    /// <summary>What becomes of each tensor of the input.</summary>
    private sealed class Plan
    {
        private readonly SafetensorsCheckpoint _checkpoint;
        private readonly Dictionary<string, (WeightSpec Spec, StoredFormat? Source)> _matrices = [];
        private readonly HashSet<string> _companions = [];

        public Plan(SafetensorsCheckpoint checkpoint, ModelConfig config, StoredFormat format)
        {
            (_checkpoint, Format) = (checkpoint, format);
            var rank = new RankContext(new SingleRank(), new TorchKernels(), TorchRuntime.Host, ScalarType.BFloat16);
            using var model = config.NumMtpLayers > 0 ? new DeepseekV3(config, rank, withMtp: true) : CausalLm.Create(config, rank);
            foreach (var spec in model.Weights.Where(s => s.Target.Quantizable && s.Shape.Length == 2 && checkpoint.Tensors.ContainsKey(s.Name)))
            {
                var source = StoredFormat.Of(checkpoint, spec, config);
                _matrices[spec.Name] = (spec with { Slice = TensorSlice.Whole(spec.Shape) }, source);
                foreach (var companion in source?.Tensors(spec.Name, spec.Shape).Skip(1) ?? [])
                    _companions.Add(companion.Name);
            }
        }

        public StoredFormat Format { get; }

        public IEnumerable<TensorLayout> LayoutsOf(string name)
        {
            if (_companions.Contains(name))
                return [];
            if (_matrices.TryGetValue(name, out var matrix))
                return Format.Tensors(name, matrix.Spec.Shape).Select(l => l with { Types = [l.Types[0]] });
            var stored = _checkpoint.Find(name);
            return [new TensorLayout(name, stored.Shape, [stored.Type])];
        }

        public IReadOnlyList<Tensor> DataOf(string name)
        {
            if (_companions.Contains(name))
                return [];
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            if (!_matrices.TryGetValue(name, out var matrix))
                return [_checkpoint.Read(name).DetachFromDisposeScope()];
            Tensor dense;
            if (matrix.Source is { } source)
            {
                using var quantized = source.Read(_checkpoint, matrix.Spec);
                dense = quantized.Dequantize();
            }
            else
            {
                dense = _checkpoint.Read(name);
            }

            return [.. Format.Write(dense).Select(t => t.DetachFromDisposeScope())];
        }
    }
}
