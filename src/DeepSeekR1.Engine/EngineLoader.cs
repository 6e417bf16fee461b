using System.Diagnostics;
using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine.Execution;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Engine.Planning;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using static TorchSharp.torch;

namespace DeepSeekR1.Engine;

/// <summary>What a load yields: the running parts and the facts about them.</summary>
internal sealed record LoadedEngine(RankGroup Ranks, ModelTextAssets TextAssets, int ThreadsPerRank, EngineFacts Facts);

/// <summary>
/// Options and a checkpoint to a loaded engine: everything that can be refused is refused here, with the numbers. Order: options,
/// configuration, device and type, weights, then the cache from what memory is left.
/// </summary>
internal sealed class EngineLoader(EngineOptions options, IProgress<LoadProgress>? progress, Action<string> log, CancellationToken cancellation)
{
    private const long DefaultCacheBytes = 4L << 30;
    private const double ShareOfReading = 0.1, ShareOfWeights = 0.95, DefaultGpuShare = 0.9;

    /// <summary>Loads.</summary>
    /// <exception cref="ModelLoadException">The checkpoint, an option or the machine does not allow it.</exception>
    public LoadedEngine Load()
    {
        CheckOptions();
        Report("checkpoint", 0);
        bool gguf = options.ModelPath.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
        if (gguf ? !File.Exists(options.ModelPath) : !Directory.Exists(options.ModelPath))
            throw new ModelLoadException(
                $"MODEL '{options.ModelPath}' does not exist. Name a checkpoint folder (config.json, *.safetensors, tokenizer.json) or a .gguf file.");
        var config = gguf ? null : ModelConfigReader.Read(options.ModelPath);
        using var checkpoint = Checkpoint.Open(options.ModelPath, copies: options.LoadFormat == "copy");
        config ??= ((GgufCheckpoint)checkpoint).Config;
        var assets = checkpoint is GgufCheckpoint source ? ModelTextAssetsReader.FromGguf(source.File) : ModelTextAssetsReader.FromFolder(options.ModelPath);
        if (options.Quantization is { } wanted && config.QuantizationMethod is { } stored && stored != wanted)
            throw new ModelLoadException(
                $"{EngineOptionList.Quantization} {wanted}: the checkpoint is in {stored} already. Leave the flag out, or write a {wanted} checkpoint with `deepseek-r1 quantize`.");
        TorchRuntime.Initialize();
        log($"libtorch: {TorchRuntime.Source}.");
        if (options.CheckWeights && checkpoint.FindNonFinite() is { Count: > 0 } bad)
            throw new ModelLoadException(
                $"{EngineOptionList.CheckWeights}: {bad.Count} tensors of '{options.ModelPath}' hold NaN or infinity: {string.Join(", ", bad.Take(20))}{(bad.Count > 20 ? ", ..." : "")}. Download the checkpoint again.");
        if (options.EnableExpertParallel && config.Moe is null)
            throw new ModelLoadException($"{EngineOptionList.EnableExpertParallel}: {config.Architecture} has no experts. Leave the flag out.");
        if (options.EnableExpertParallel && config.Moe!.ExpertCount < options.TensorParallelSize)
            throw new ModelLoadException(
                $"{EngineOptionList.EnableExpertParallel}: {config.Moe.ExpertCount} experts cannot be shared out to {options.TensorParallelSize} ranks. Lower {EngineOptionList.TensorParallelSize} to {config.Moe.ExpertCount} or less.");
        var group = new LocalGroup(options.TensorParallelSize, TimeSpan.FromSeconds(options.RankTimeoutSeconds));
        var ranks = ChooseRanks(config, group);
        var runners = new List<ModelRunner>();
        var models = new List<CausalLm>();
        try
        {
            var reports = LoadModels(config, checkpoint, ranks, models);
            LogModel(config, ranks, reports);
            foreach (var difference in PlanCheck.Compare(config, ranks[0], reports[^1]))
                log("WARNING: " + difference);
            Report("cache", ShareOfWeights);
            var (blocks, maxLength) = SizeCache(config, ranks[0]);
            foreach (var model in models)
                runners.Add(new ModelRunner(model, new KvCache(config, model.Rank, blocks, options.BlockSize)));
            long cacheBytes = runners.Sum(r => r.Cache.Bytes);
            log($"KV cache: {(long)blocks * options.BlockSize:N0} tokens in {blocks:N0} blocks of {options.BlockSize}, {Size(cacheBytes)}.");
            var rankGroup = new RankGroup(runners, group, ThreadsPerRank, TimeSpan.FromSeconds(options.RankTimeoutSeconds));
            return new LoadedEngine(rankGroup, assets, ThreadsPerRank, Facts(config, ranks[0], reports, blocks, cacheBytes, maxLength));
        }
        catch
        {
            models.ForEach(m => m.Dispose());
            runners.ForEach(r => r.Cache.Dispose());
            throw;
        }
    }

    /// <summary>Threads of one operation: the asked ones, else the cores shared out to the ranks.</summary>
    private int ThreadsPerRank => options.NumThreads ?? Math.Max(1, Environment.ProcessorCount / options.TensorParallelSize);

    private List<LoadReport> LoadModels(ModelConfig config, Checkpoint checkpoint, IReadOnlyList<RankContext> ranks, List<CausalLm> models)
    {
        Report("weights", ShareOfReading);
        var reports = new List<LoadReport>();
        foreach (var rank in ranks)
        {
            models.Add(CausalLm.Create(config, rank));
            reports.Add(WeightLoader.Load(
                models[^1],
                checkpoint,
                new LoadOptions(options.Dequantize, options.Quantization),
                done => Report("weights", ShareOfReading + (ShareOfWeights - ShareOfReading) * (rank.Rank + done) / ranks.Count),
                cancellation));
        }

        return reports;
    }

    private void LogModel(ModelConfig config, IReadOnlyList<RankContext> ranks, IReadOnlyList<LoadReport> reports)
    {
        var (rank, report) = (ranks[0], reports[0]);
        string over = ranks.Count == 1 ? "" : $" over {ranks.Count} ranks";
        log($"{config.Architecture}: {report.Parameters:N0} parameters, {Size(reports.Sum(r => r.Bytes))}, computed in {Name(rank.Type)} on {rank.Device}{over}.");
        foreach (var (format, parameters, bytes, _, _) in report.Formats)
            log($"  {format}: {parameters:N0} parameters, {Size(bytes)}{(ranks.Count == 1 ? "" : " on rank 0")}, {(double)bytes / parameters:0.000} bytes a parameter.");
        if (report.Ignored.Count > 0)
            log($"{report.Ignored.Count} tensors of the checkpoint are not used: {string.Join(", ", report.Ignored.Take(5))}{(report.Ignored.Count > 5 ? ", ..." : "")}");
        log($"Kernels: {rank.Kernels.Description}.");
    }

    private void CheckOptions()
    {
        try
        {
            EngineOptionList.All.Check(options);
        }
        catch (OptionException e)
        {
            throw new ModelLoadException(e.Message, e);
        }
    }

    private List<RankContext> ChooseRanks(ModelConfig config, LocalGroup group)
    {
        var device = ChooseDevice();
        bool cpu = device.type == TorchSharp.DeviceType.CPU;
        if (!cpu && options.TensorParallelSize > 1)
            throw new ModelLoadException(
                $"{EngineOptionList.TensorParallelSize} {options.TensorParallelSize} on CUDA needs NCCL between the GPUs, which comes with GPU ranks. Use {EngineOptionList.Device} cpu, or 1 rank.");
        var type = ChooseType(config, device);
        bool dynamic = options.ActivationScheme == "dynamic";
        var kernels = cpu ? CpuKernels.CreateOrReference(dynamic) : new TorchKernels { DynamicActivations = dynamic };
        IReadOnlyList<Communicator> members = options.TensorParallelSize == 1 ? [new SingleRank()] : group.Members();
        return [.. members.Select(m => new RankContext(m, options.WrapKernels?.Invoke(m.Rank, kernels) ?? kernels, device,
            type) { ExpertParallel = options.EnableExpertParallel })];
    }

    private Device ChooseDevice()
    {
        int gpus = options.Device == "cpu" ? 0 : TorchRuntime.CudaDeviceCount;
        return options.Device switch
        {
            "cpu" => CPU,
            "auto" => gpus > 0 ? new Device(TorchSharp.DeviceType.CUDA, 0) : CPU,
            "cuda" when gpus > 0 => new Device(TorchSharp.DeviceType.CUDA, 0),
            "cuda" => throw new ModelLoadException(
                $"{EngineOptionList.Device} cuda: libtorch ({TorchRuntime.Source}) sees no CUDA device. Build with -p:TorchBackend=cuda or set {TorchRuntime.LibraryVariable} "
                + $"to a CUDA libtorch, and check that nvidia-smi lists a GPU; or use {EngineOptionList.Device} cpu."),
            var other => throw new UnreachableException($"{EngineOptionList.Device} {other} has passed the check."),
        };
    }

    private ScalarType ChooseType(ModelConfig config, Device device)
    {
        if (DTypes.ParseComputeType(options.DType) is { } asked)
            return asked.ToScalarType();

        // It is auto. A GGUF file declares no type, and its decoded blocks are exact in float32 only.
        var declared = config.DeclaredType ?? DType.Float32;
        bool halfOnCpu = declared == DType.Float16 && device.type == TorchSharp.DeviceType.CPU;
        if (halfOnCpu)
            log($"{EngineOptionList.DType} auto: the checkpoint is float16, which CPUs compute slowly; bfloat16 is used. Set {EngineOptionList.DType} to choose.");
        return (halfOnCpu ? DType.BFloat16 : declared).ToScalarType();
    }

    /// <summary>Blocks of the cache and the longest sequence, from options and free memory.</summary>
    private (int Blocks, int MaxLength) SizeCache(ModelConfig config, RankContext rank)
    {
        long blockBytes = KvCache.BytesPerToken(config, rank.WorldSize, rank.Type == ScalarType.Float32 ? 4 : 2) * options.BlockSize;
        long budget = (options.KvCacheMemoryBytes ?? FreeBytes(rank.Device)) / rank.WorldSize;
        long wanted = options.MaxModelLen ?? config.MaxPositions;
        long blocks = options.NumGpuBlocksOverride ?? Math.Min(budget / blockBytes, UsefulBlocks(wanted));
        if (blocks < 1)
            throw new ModelLoadException(
                $"The KV cache gets {Size(budget)}, but one block of {options.BlockSize} tokens takes {Size(blockBytes)}. Raise {EngineOptionList.KvCacheMemoryBytes} or lower {EngineOptionList.BlockSize}.");
        long capacity = Math.Min(blocks * options.BlockSize, int.MaxValue);
        if (options.MaxModelLen is { } asked)
        {
            if (asked > config.MaxPositions)
                throw new ModelLoadException($"{EngineOptionList.MaxModelLen} is {asked}; the model allows 1 to {config.MaxPositions} (max_position_embeddings).");
            if (asked > capacity)
                throw new ModelLoadException(
                    $"{EngineOptionList.MaxModelLen} {asked} does not fit: the KV cache holds {capacity} tokens ({blocks} blocks of {options.BlockSize}, {Size(blocks * blockBytes)}), "
                    + $"and {asked} tokens need {Size((asked + options.BlockSize - 1L) / options.BlockSize * blockBytes)}. Lower it to {capacity}, or raise {EngineOptionList.KvCacheMemoryBytes}.");
        }
        else if (capacity < config.MaxPositions)
        {
            log($"Maximum length lowered from the model's {config.MaxPositions} to {capacity} tokens, which is what the KV cache holds. Raise {EngineOptionList.KvCacheMemoryBytes} for more.");
        }

        return ((int)blocks, (int)Math.Min(wanted, capacity));
    }

    /// <summary>More blocks than all sequences at full length can fill would never be used.</summary>
    private long UsefulBlocks(long length) => Math.Min(int.MaxValue, (length + options.BlockSize - 1) / options.BlockSize * options.MaxNumSeqs);

    private long FreeBytes(Device device)
    {
        if (device.type == TorchSharp.DeviceType.CPU)
            return Math.Min(DefaultCacheBytes, MachineMemory.FreeHostBytes() / 2);
        var (free, total) = MachineMemory.CudaBytes();
        return Math.Max(0, free - (long)((1 - (options.GpuMemoryUtilization ?? DefaultGpuShare)) * total));
    }

    private EngineFacts Facts(ModelConfig config, RankContext rank, IReadOnlyList<LoadReport> reports, int blocks, long cacheBytes, int maxLength)
    {
        var generation = options.ModelPath.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)
            ? (Eos: [], Defaults: new GenerationDefaults())
            : GenerationConfig.Read(options.ModelPath);
        return new EngineFacts
        {
            Architecture = config.Architecture,
            DType = Name(rank.Type),
            Device = rank.Device.type == TorchSharp.DeviceType.CPU ? "cpu" : "cuda",
            VocabularySize = config.VocabSize,
            MaxModelLen = maxLength,
            TrainedContextLength = config.MaxPositions,
            BlockSize = options.BlockSize,
            NumBlocks = blocks,
            ParameterCount = reports[0].Parameters,
            WeightBytes = reports.Sum(r => r.Bytes),
            KvCacheBytes = cacheBytes,
            EosTokenIds = generation.Eos.Count > 0 ? generation.Eos : config.EosTokenIds,
            Defaults = generation.Defaults,
        };
    }

    private void Report(string phase, double fraction)
    {
        cancellation.ThrowIfCancellationRequested();
        progress?.Report(new LoadProgress(phase, fraction));
    }

    private static string Name(ScalarType type) => type switch
    {
        ScalarType.Float32 => "float32",
        ScalarType.BFloat16 => "bfloat16",
        _ => "float16",
    };

    private static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.00} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.0} MiB",
        _ => $"{bytes / 1024.0:0.0} KiB",
    };
}

/// <summary>generation_config.json: end ids and sampling defaults, as vLLM takes them.</summary>
internal static class GenerationConfig
{
    /// <summary>Reads the file of a checkpoint folder; everything is optional.</summary>
    public static (IReadOnlyList<int> Eos, GenerationDefaults Defaults) Read(string folder)
    {
        var path = Path.Combine(folder, "generation_config.json");
        if (!File.Exists(path))
            return ([], new GenerationDefaults());
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            var root = document.RootElement;
            double? Number(string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
            int[] eos = !root.TryGetProperty("eos_token_id", out var ids) ? []
                : ids.ValueKind == JsonValueKind.Number ? [ids.GetInt32()]
                : ids.ValueKind == JsonValueKind.Array ? [.. ids.EnumerateArray().Select(e => e.GetInt32())] : [];
            return (eos, new GenerationDefaults(
                (float?)Number("temperature"), (float?)Number("top_p"), (int?)Number("top_k"), (float?)Number("min_p"),
                (float?)Number("repetition_penalty"), (int?)Number("max_new_tokens")));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new ModelLoadException($"'{path}' is not a valid generation_config.json: {e.Message}", e);
        }
    }
}
