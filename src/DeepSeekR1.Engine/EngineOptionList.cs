using DeepSeekR1.Compute.Quantization;
using DeepSeekR1.Engine.Options;

namespace DeepSeekR1.Engine;

/// <summary>The options of the engine, each declared once, under vLLM's names where vLLM has one.</summary>
public static class EngineOptionList
{
    /// <summary>Compute type.</summary>
    public static readonly Option<EngineOptions> DType = Of(
        "dtype", OptionType.Choice("TYPE", "auto", "float32", "bfloat16", "float16"), "Compute type", o => o.DType, (o, v) => o with { DType = v });

    /// <summary>How files are read.</summary>
    public static readonly Option<EngineOptions> LoadFormat = Of(
        "load-format", OptionType.Choice("FORMAT", "auto", "copy"), "auto maps the files, copy reads them (for disks that mapping does not suit)", o => o.LoadFormat, (o, v) => o with { LoadFormat = v });

    /// <summary>Whether weights are looked at.</summary>
    public static readonly Option<EngineOptions> CheckWeights = Of(
        "check-weights", OptionType.Switch(), "Look for NaN and infinity in every tensor before loading", o => o.CheckWeights, (o, v) => o with { CheckWeights = v });

    /// <summary>Format to round to.</summary>
    public static readonly Option<EngineOptions> Quantization = Of(
        "quantization", OptionType.OptionalChoice("F", [.. QuantizedTensor.Formats]), "Round the large matrices of a dense checkpoint while loading", o => o.Quantization, (o, v) => o with { Quantization = v }, "as the checkpoint is");

    /// <summary>Whether quantized weights are decoded.</summary>
    public static readonly Option<EngineOptions> Dequantize = Of(
        "dequantize", OptionType.Switch(), "Decode quantized weights to the compute type when loading, instead of keeping them as they are", o => o.Dequantize, (o, v) => o with { Dequantize = v });

    /// <summary>How inputs of quantized weights are treated.</summary>
    public static readonly Option<EngineOptions> ActivationScheme = Of(
        "activation-scheme", OptionType.Choice("SCHEME", "weight-only", "dynamic"), "Inputs of quantized weights as they are, or rounded to FP8 or int8 as well", o => o.ActivationScheme, (o, v) => o with { ActivationScheme = v });

    /// <summary>Device.</summary>
    public static readonly Option<EngineOptions> Device = Of(
        "device", OptionType.Choice("DEVICE", "auto", "cpu", "cuda"), "Device that computes", o => o.Device, (o, v) => o with { Device = v });

    /// <summary>Longest sequence.</summary>
    public static readonly Option<EngineOptions> MaxModelLen = Of(
        "max-model-len", OptionType.Integer(1), "Longest sequence in tokens, prompt and output", o => o.MaxModelLen, (o, v) => o with { MaxModelLen = v }, "the model's, lowered to what fits");

    /// <summary>Most sequences in a step.</summary>
    public static readonly Option<EngineOptions> MaxNumSeqs = Of(
        "max-num-seqs", OptionType.Integer(1, 65536), "Most sequences in one step", o => o.MaxNumSeqs, (o, v) => o with { MaxNumSeqs = v });

    /// <summary>Most tokens in a step.</summary>
    public static readonly Option<EngineOptions> MaxNumBatchedTokens = Of(
        "max-num-batched-tokens", OptionType.Integer(1, 1 << 20), "Most tokens computed in one step", o => o.MaxNumBatchedTokens, (o, v) => o with { MaxNumBatchedTokens = v });

    /// <summary>Tokens of a block.</summary>
    public static readonly Option<EngineOptions> BlockSize = Of(
        "block-size", OptionType.Integer(1, 1024), "Tokens per KV block", o => o.BlockSize, (o, v) => o with { BlockSize = v });

    /// <summary>Memory of the cache.</summary>
    public static readonly Option<EngineOptions> KvCacheMemoryBytes = Of(
        "kv-cache-memory-bytes", OptionType.LongInteger(1, "BYTES"), "Memory of the KV cache", o => o.KvCacheMemoryBytes, (o, v) => o with { KvCacheMemoryBytes = v }, "on CPU min(4 GiB, half of the free memory)");

    /// <summary>Blocks of the cache.</summary>
    public static readonly Option<EngineOptions> NumGpuBlocksOverride = Of(
        "num-gpu-blocks-override", OptionType.Integer(1), "Number of KV blocks, whatever the memory says", o => o.NumGpuBlocksOverride, (o, v) => o with { NumGpuBlocksOverride = v });

    /// <summary>Places in the queue. Each waiting request keeps its ids and its channel: a million of them is a bound on memory, not a target.</summary>
    public static readonly Option<EngineOptions> MaxQueue = Of(
        "max-queue", OptionType.Integer(1, 1 << 20), "Requests that may wait before new ones get 429", o => o.MaxQueue, (o, v) => o with { MaxQueue = v });

    /// <summary>Threads.</summary>
    public static readonly Option<EngineOptions> NumThreads = Of(
        "num-threads", OptionType.Integer(1, 1024), "Threads of the CPU kernels", o => o.NumThreads, (o, v) => o with { NumThreads = v }, "the machine's cores");

    /// <summary>Share of the GPU.</summary>
    public static readonly Option<EngineOptions> GpuMemoryUtilization = Of(
        "gpu-memory-utilization", OptionType.Number(0, 1, above: true, "SHARE"), "Share of the GPU's memory to use; needs device cuda", o => o.GpuMemoryUtilization, (o, v) => o with { GpuMemoryUtilization = v }, "0.9");

    /// <summary>Ranks.</summary>
    public static readonly Option<EngineOptions> TensorParallelSize = Of(
        "tensor-parallel-size", OptionType.Integer(1, 64), "Ranks that share the model, one thread each; CPU only in this version", o => o.TensorParallelSize, (o, v) => o with { TensorParallelSize = v });

    /// <summary>Whole experts on a rank.</summary>
    public static readonly Option<EngineOptions> EnableExpertParallel = Of(
        "enable-expert-parallel", OptionType.Switch(), "Give each rank whole experts instead of a slice of every expert", o => o.EnableExpertParallel, (o, v) => o with { EnableExpertParallel = v });

    /// <summary>Longest step.</summary>
    public static readonly Option<EngineOptions> RankTimeout = Of(
        "rank-timeout", OptionType.Integer(1, 86400, "SECONDS"), "Longest time without progress in a step: then a rank hangs, and the process ends with exit code 70", o => o.RankTimeoutSeconds, (o, v) => o with { RankTimeoutSeconds = v });

    /// <summary>No sharing of beginnings.</summary>
    public static readonly Option<EngineOptions> NoEnablePrefixCaching = Of(
        "no-enable-prefix-caching", OptionType.Switch(), "Compute every prompt from its beginning, even when an earlier request began the same way", o => !o.EnablePrefixCaching, (o, v) => o with { EnablePrefixCaching = !v });

    /// <summary>All of them.</summary>
    public static OptionList<EngineOptions> All { get; } = new(
        new EngineOptions { ModelPath = "" }, CheckRules,
        DType, LoadFormat, CheckWeights, Quantization, Dequantize, ActivationScheme, Device, MaxModelLen, MaxNumSeqs, MaxNumBatchedTokens, BlockSize, KvCacheMemoryBytes,
        NumGpuBlocksOverride, MaxQueue, NumThreads, GpuMemoryUtilization, TensorParallelSize, EnableExpertParallel, RankTimeout, NoEnablePrefixCaching);

    private static Option<EngineOptions, T> Of<T>(
        string name, OptionType<T> type, string help, Func<EngineOptions, object?> get, Func<EngineOptions, T, EngineOptions> set, string? byDefault = null)
        => new(name, type, help, get, set) { DefaultInWords = byDefault };

    private static void CheckRules(EngineOptions options)
    {
        if (options.GpuMemoryUtilization is not null && options.Device != "cuda")
            throw Contradiction(GpuMemoryUtilization, $"{GpuMemoryUtilization} has no meaning with {Device} {options.Device}. Send {Device} cuda, or use {KvCacheMemoryBytes}.");
        if (options is { Quantization: not null, Dequantize: true })
            throw Contradiction(Quantization, $"{Quantization} and {Dequantize} contradict each other. Give one of them.");
        if (options is { Dequantize: true, ActivationScheme: "dynamic" })
            throw Contradiction(ActivationScheme, $"{ActivationScheme} dynamic rounds the inputs of FP8 weights, and {Dequantize} leaves none. Give one of them.");
        if (options.MaxNumBatchedTokens < options.MaxNumSeqs)
            throw Contradiction(
                MaxNumBatchedTokens,
                $"{MaxNumBatchedTokens} ({options.MaxNumBatchedTokens}) is below {MaxNumSeqs} ({options.MaxNumSeqs}): not every sequence could get a token each step. Raise the first or lower the second.");
        OptionException Contradiction(Option<EngineOptions> option, string message) => new(option.Name, option.DefaultOf(options), message);
    }
}
