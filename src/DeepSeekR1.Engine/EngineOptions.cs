using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Quantization;
using DeepSeekR1.Engine.Options;

namespace DeepSeekR1.Engine;

/// <summary>
/// What the user asked of the engine. Immutable; names, ranges and help stand in <see cref="EngineOptionList"/>, what is measured goes
/// into <see cref="EngineFacts"/>.
/// </summary>
public sealed record EngineOptions
{
    /// <summary>Checkpoint folder or .gguf file.</summary>
    public required string ModelPath { get; init; }

    /// <summary>Compute type: auto, float32, bfloat16 or float16.</summary>
    public string DType { get; init; } = "auto";

    /// <summary>auto maps the files; copy reads them.</summary>
    public string LoadFormat { get; init; } = "auto";

    /// <summary>Whether every number of the checkpoint is looked at before it is loaded.</summary>
    public bool CheckWeights { get; init; }

    /// <summary>Format to round dense matrices to while they are loaded (fp8, int8, int4, nf4); null leaves them.</summary>
    public string? Quantization { get; init; }

    /// <summary>Decode quantized weights to the compute type instead of keeping them as they are.</summary>
    public bool Dequantize { get; init; }

    /// <summary>
    /// weight-only multiplies FP8 weights with inputs as they are; dynamic rounds the inputs to FP8 too, per row and 128 channels.
    /// </summary>
    public string ActivationScheme { get; init; } = "weight-only";

    /// <summary>auto, cpu or cuda.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>Number of ranks that share the model.</summary>
    public int TensorParallelSize { get; init; } = 1;

    /// <summary>Whether sequences share the cached keys of equal beginnings.</summary>
    public bool EnablePrefixCaching { get; init; } = true;

    /// <summary>Whether each rank holds whole routed experts instead of a slice of each.</summary>
    public bool EnableExpertParallel { get; init; }

    /// <summary>Longest sequence (prompt and output) in tokens; null takes the model's, lowered to what fits.</summary>
    public int? MaxModelLen { get; init; }

    /// <summary>Most sequences in one step.</summary>
    public int MaxNumSeqs { get; init; } = 256;

    /// <summary>Most tokens computed in one step.</summary>
    public int MaxNumBatchedTokens { get; init; } = 2048;

    /// <summary>Tokens per KV block.</summary>
    public int BlockSize { get; init; } = 16;

    /// <summary>Memory for the KV cache in bytes; null takes min(4 GiB, half of the free memory) on CPU.</summary>
    public long? KvCacheMemoryBytes { get; init; }

    /// <summary>Number of KV blocks; overrides the memory size.</summary>
    public int? NumGpuBlocksOverride { get; init; }

    /// <summary>Share of a GPU's memory that weights and KV cache may take, above 0 to 1; null takes 0.9. Only with device cuda.</summary>
    public double? GpuMemoryUtilization { get; init; }

    /// <summary>Requests that may wait for the engine before new ones are refused.</summary>
    public int MaxQueue { get; init; } = 4096;

    /// <summary>Threads of the CPU kernels per rank; null takes the machine's cores.</summary>
    public int? NumThreads { get; init; }

    /// <summary>Longest wait for a rank that does not come back, in seconds.</summary>
    public int RankTimeoutSeconds { get; init; } = 300;

    /// <summary>Test seam: wraps a rank's kernels, to count or to fail.</summary>
    internal Func<int, KernelSet, KernelSet>? WrapKernels { get; init; }
}

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

/// <summary>What is true of a loaded engine: measured or derived, never configured.</summary>
public sealed record EngineFacts
{
    /// <summary>Architecture name from config.json, for example <c>DeepseekV3ForCausalLM</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>Compute type in use: float32, bfloat16 or float16.</summary>
    public required string DType { get; init; }

    /// <summary>Device in use: cpu or cuda.</summary>
    public required string Device { get; init; }

    /// <summary>Rows of the output layer; valid ids are 0 to VocabularySize - 1.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Longest sequence in tokens.</summary>
    public required int MaxModelLen { get; init; }

    /// <summary>Context length that the checkpoint declares.</summary>
    public required int TrainedContextLength { get; init; }

    /// <summary>Tokens per KV block.</summary>
    public required int BlockSize { get; init; }

    /// <summary>KV blocks in the cache.</summary>
    public required int NumBlocks { get; init; }

    /// <summary>Parameters loaded, shared ones counted once.</summary>
    public required long ParameterCount { get; init; }

    /// <summary>Bytes of the checkpoint's weights in memory.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of the KV cache.</summary>
    public required long KvCacheBytes { get; init; }

    /// <summary>End-of-sequence ids (generation_config.json, then config.json).</summary>
    public required IReadOnlyList<int> EosTokenIds { get; init; }

    /// <summary>Sampling defaults of the checkpoint's generation_config.json.</summary>
    public required GenerationDefaults Defaults { get; init; }

    /// <summary>Refuses a request that can never be served.</summary>
    /// <exception cref="InvalidRequestException">It is too long, or an id is out of range.</exception>
    internal void Check(GenerationRequest request)
    {
        int prompt = request.PromptIds.Count, limit = MaxModelLen, wanted = request.Sampling.MaxTokens;
        if (prompt == 0)
            throw new InvalidRequestException("prompt", "invalid_value", "The prompt has no tokens. Send at least one.");
        if (prompt >= limit)
            throw new InvalidRequestException(
                "messages", "context_length_exceeded", $"The prompt has {prompt} tokens; the longest sequence is {limit} tokens and must leave room for an answer. Shorten it.");
        if (wanted < 1)
            throw new InvalidRequestException("max_tokens", "invalid_value", $"max_tokens is {wanted}; it must be at least 1.");
        if ((long)prompt + wanted > limit)
            throw new InvalidRequestException(
                "max_tokens", "context_length_exceeded",
                $"max_tokens is {wanted} and the prompt has {prompt} tokens, together {(long)prompt + wanted}; the longest sequence is {limit} tokens. Lower max_tokens to {limit - prompt} or shorten the prompt.");
        foreach (int id in request.PromptIds)
            if ((uint)id >= (uint)VocabularySize)
                throw new InvalidRequestException("prompt", "invalid_value", $"Token id {id} is outside the vocabulary, 0 to {VocabularySize - 1}.");
    }
}

/// <summary>Sampling defaults of a checkpoint (generation_config.json); null where the file says nothing.</summary>
public sealed record GenerationDefaults(
    float? Temperature = null,
    float? TopP = null,
    int? TopK = null,
    float? MinP = null,
    float? RepetitionPenalty = null,
    int? MaxNewTokens = null);
