using System.Text.Json;
using System.Text.RegularExpressions;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Models.Layers;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Lora;

/// <summary>Settings of low-rank adapters.</summary>
/// <param name="Rank">Rank of an adapter (r), at least 1.</param>
/// <param name="Alpha">The product is scaled by alpha / r.</param>
/// <param name="Targets">
/// Names of linear layers as hub checkpoints have them, or regular expressions over them; "all-linear" is all but the output layer.
/// </param>
public sealed record LoraOptions(int Rank, double Alpha, IReadOnlyList<string> Targets);

/// <summary>
/// The adapters of a model: what is trained while its own weights stay. A begins as uniform noise, B as zero, so training begins at the base model. Written as
/// PEFT reads them. Owns the adapters' tensors; one thread.
/// </summary>
public sealed class LoraAdapters : IDisposable
{
    /// <summary>The target that stands for all linear layers but the output layer.</summary>
    public const string AllLinear = "all-linear";

    /// <summary>File of the adapters' numbers.</summary>
    public const string WeightsFile = "adapter_model.safetensors";

    /// <summary>Folder of the adapters beside a result that has them merged in.</summary>
    public const string Folder = "adapter";

    private const string ConfigFile = "adapter_config.json", NamePrefix = "base_model.model.";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private readonly AdapterKernels _kernels;
    private readonly LoraOptions _options;

    private LoraAdapters(AdapterKernels kernels, LoraOptions options, IReadOnlyList<Adapter> all)
    {
        (_kernels, _options, All) = (kernels, options, all);
        Weights = [.. all.SelectMany(a => new[] { new TrainableWeight(NameOf(a, "A"), a.A, true), new TrainableWeight(NameOf(a, "B"), a.B, true) })];
    }

    /// <summary>All adapters.</summary>
    public IReadOnlyList<Adapter> All { get; }

    /// <summary>Their matrices as an optimizer wants them.</summary>
    public IReadOnlyList<TrainableWeight> Weights { get; }

    /// <summary>Puts fresh adapters on a model of <see cref="ModelSource"/>.</summary>
    /// <exception cref="StartupException">A target matches no linear layer.</exception>
    public static LoraAdapters Attach(CausalLm model, LoraOptions options, long seed)
    {
        var kernels = model.Rank.Kernels as AdapterKernels ?? throw new ArgumentException("The model's kernels take no adapters; open it with ModelSource.", nameof(model));
        using var generator = new Generator((ulong)seed);
        var all = new List<Adapter>();
        foreach (var spec in Targets(model, options.Targets))
        {
            // Kaiming's uniform distribution with slope sqrt(5), as PEFT begins: bounds of 1 / sqrt(inputs).
            var (a, b) = Fresh(spec, options.Rank, generator);
            var adapter = new Adapter(ModuleOf(spec), a, b, spec.TargetRow, options.Alpha / options.Rank);
            kernels.Attach(spec.Target.Prepared, adapter);
            all.Add(adapter);
        }

        return new LoraAdapters(kernels, options, all);
    }

    /// <summary>The base model until the result is disposed.</summary>
    public IDisposable Off() => new Switch(_kernels);

    /// <summary>Writes adapter_config.json and adapter_model.safetensors, float32, under PEFT's names.</summary>
    public void Save(string folder, string baseModel)
    {
        Directory.CreateDirectory(folder);
        using (no_grad())
            CheckpointWriter.Write(
                Path.Combine(folder, WeightsFile),
                [.. Weights.Select(w => new TensorLayout(w.Name, w.Tensor.shape, [DType.Float32]))],
                Weights.Select(w => w.Tensor.detach()));
        File.WriteAllText(Path.Combine(folder, ConfigFile), JsonSerializer.Serialize(Configuration(baseModel), Indented) + "\n");
    }

    /// <summary>Takes the numbers of saved adapters of the same targets.</summary>
    /// <exception cref="ModelLoadException">The folder has none, or those of other layers or another rank.</exception>
    public void Load(string folder)
    {
        string path = Path.Combine(folder, WeightsFile);
        if (!File.Exists(path))
            throw new ModelLoadException($"'{folder}' has no {WeightsFile}: it is not of a run with adapters. Set lora_r to 0, or choose another output_dir.");
        using var mode = no_grad();
        using var file = Checkpoint.Open(path);
        if (file.Tensors.Keys.Except(Weights.Select(w => w.Name)).FirstOrDefault() is { } extra)
            throw new ModelLoadException($"'{path}' has {extra}, which lora_target_modules does not name. Go on with the options that the run began with.");
        foreach (var weight in Weights)
        {
            using var saved = file.Read(weight.Name);
            if (!saved.shape.SequenceEqual(weight.Tensor.shape))
                throw new ModelLoadException($"{weight.Name} in '{path}' has shape [{string.Join(", ", saved.shape)}], lora_r {_options.Rank} wants [{string.Join(", ", weight.Tensor.shape)}]. Go on with the lora_r that the run began with.");
            weight.Tensor.copy_(saved);
        }
    }

    /// <summary>The rows of a checkpoint tensor with its adapter, if it has one, merged in: fresh, without a graph, float32 when merged.</summary>
    public static Tensor Merged(CausalLm model, WeightSpec spec)
    {
        using var mode = no_grad();
        using var rows = spec.Target.Parameter.narrow(0, spec.TargetRow, spec.Shape[0]);
        if (!(model.Rank.Kernels is AdapterKernels kernels && kernels.ByModule.TryGetValue(ModuleOf(spec), out var adapter)
            && spec.Name.EndsWith(".weight", StringComparison.Ordinal)))
            return rows.detach();
        using var product = adapter.Product();
        using var wide = rows.to(ScalarType.Float32);
        return wide.Plus(product);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _kernels.Detach();
        foreach (var adapter in All)
        {
            adapter.A.Dispose();
            adapter.B.Dispose();
        }
    }

    private static (Tensor A, Tensor B) Fresh(WeightSpec spec, int rank, Generator generator)
    {
        long outputs = spec.Shape[0], inputs = spec.Shape[1];
        using var mode = no_grad();
        using var noise = rand([rank, inputs], ScalarType.Float32, generator: generator);
        using var centred = noise.mul(Scalars.Of(2L)).Plus(Scalars.Of(-1L));
        var device = spec.Target.Parameter.device;
        var a = centred.mul(Scalars.Of(1 / Math.Sqrt(inputs))).to(device).DetachFromDisposeScope();
        var b = zeros([outputs, rank], ScalarType.Float32, device).DetachFromDisposeScope();
        return (a.requires_grad_(), b.requires_grad_());
    }

    /// <summary>The linear layers that the targets name, in the order of the data. The head for one token more has no adapters: PEFT's models lack it.</summary>
    private static List<WeightSpec> Targets(CausalLm model, IReadOnlyList<string> targets)
    {
        var linears = model.Weights
            .Where(s => s.Target.Form == WeightForm.Prepared && s.Name.EndsWith(".weight", StringComparison.Ordinal) && !s.Name.StartsWith($"model.layers.{model.Config.NumLayers}.", StringComparison.Ordinal))
            .ToList();
        var chosen = new HashSet<WeightSpec>();
        foreach (var target in targets)
        {
            var matches = linears.Where(s => Matches(target, s)).ToList();
            if (matches.Count == 0)
                throw new StartupException($"lora_target_modules has '{target}', which matches no linear layer. This model has {string.Join(", ", linears.Select(s => ModuleOf(s).Split('.')[^1]).Distinct())}; '{AllLinear}' is all but the output layer.");
            chosen.UnionWith(matches);
        }

        return [.. linears.Where(chosen.Contains)];
    }

    private static bool Matches(string target, WeightSpec spec)
    {
        if (target == AllLinear)
            return spec.Name != Embedding.HeadName;
        try
        {
            return Regex.IsMatch(ModuleOf(spec), $"^(.*\\.)?(?:{target})$", RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
        }
        catch (Exception e) when (e is RegexParseException or RegexMatchTimeoutException)
        {
            throw new StartupException($"lora_target_modules has '{target}', which is neither a name nor a usable regular expression: {e.Message}", e);
        }
    }

    private static string ModuleOf(WeightSpec spec) => spec.Name[..spec.Name.LastIndexOf('.')];

    private static string NameOf(Adapter adapter, string matrix) => $"{NamePrefix}{adapter.Module}.lora_{matrix}.weight";

    /// <summary>What PEFT's LoraConfig holds; modules by their whole names, so nothing else of the model can match.</summary>
    private Dictionary<string, object?> Configuration(string baseModel) => new()
    {
        ["peft_type"] = "LORA",
        ["task_type"] = "CAUSAL_LM",
        ["base_model_name_or_path"] = baseModel,
        ["r"] = _options.Rank,
        ["lora_alpha"] = _options.Alpha,
        ["lora_dropout"] = 0.0,
        ["target_modules"] = All.Select(a => a.Module).ToArray(),
        ["modules_to_save"] = null,
        ["bias"] = "none",
        ["fan_in_fan_out"] = false,
        ["init_lora_weights"] = true,
        ["use_rslora"] = false,
        ["use_dora"] = false,
        ["inference_mode"] = true,
    };

    private sealed class Switch : IDisposable
    {
        private readonly AdapterKernels _kernels;

        public Switch(AdapterKernels kernels) => (_kernels = kernels).IsOn = false;

        public void Dispose() => _kernels.IsOn = true;
    }
}
