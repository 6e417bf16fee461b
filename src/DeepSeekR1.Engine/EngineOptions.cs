using DeepSeekR1.Compute.Kernels;

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
