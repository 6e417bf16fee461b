using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Server;
using DeepSeekR1.Text;

namespace DeepSeekR1.Cli;

/// <summary>
/// One option of <c>serve</c>: flag, environment variable, settings key, help and meaning in one place.
/// </summary>
/// <param name="Name">Flag without dashes, for example <c>max-model-len</c>.</param>
/// <param name="Value">What stands behind the flag in the help; null for a switch.</param>
/// <param name="Help">One line for people.</param>
/// <param name="Apply">Puts a value into the options, or throws <see cref="UsageException"/> with the range.</param>
internal sealed record ServeOption(string Name, string? Value, string Help, Func<ServerOptions, string, ServerOptions> Apply)
{
    /// <summary>Name of the environment variable.</summary>
    public string EnvironmentVariable => "DEEPSEEKR1_" + Name.Replace('-', '_').ToUpperInvariant();

    /// <summary>True when the flag stands alone.</summary>
    public bool IsSwitch => Value is null;
}

/// <summary>The command line, the environment or the settings file hold something wrong. Becomes exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>All options of <c>serve</c>, under vLLM's names where vLLM has one.</summary>
internal static class ServeOptions
{
    /// <summary>The list.</summary>
    public static readonly IReadOnlyList<ServeOption> All =
    [
        new("host", "IP", "Address to listen on; 0.0.0.0 = all (default 127.0.0.1)", (o, v) => o with { Host = v }),
        new("port", "N", "TCP port, 0 to 65535; 0 = a free one (default 8000)", (o, v) => o with { Port = Int("port", v, 0, 65535) }),
        new("api-key", "KEY", "Key that requests must carry; several separated by commas (default: none)",
            (o, v) => o with { ApiKeys = List("api-key", v) }),
        new("api-key-file", "FILE", "File with keys, one per line, each optionally with name=NAME rpm=N tpm=N; read again when it changes",
            (o, v) => o with { ApiKeyFile = ExistingFile("api-key-file", v) }),
        new("requests-per-minute", "N", "Requests a minute for each key, or for everybody together without keys; 429 above (default: no limit)",
            (o, v) => o with { RequestsPerMinute = Int("requests-per-minute", v, 1, int.MaxValue) }),
        new("tokens-per-minute", "N", "Tokens a minute for each key, prompt and answer; 429 while they are used up (default: no limit)",
            (o, v) => o with { TokensPerMinute = Int("tokens-per-minute", v, 1, int.MaxValue) }),
        new("allowed-origins", "URL", "Origins whose pages may call this server from a browser, several separated by commas; * = all (default: none)",
            (o, v) => o with { AllowedOrigins = List("allowed-origins", v) }),
        new("client-timeout", "SECONDS", "A client that takes nothing of its answer for this long is cut off, 1 to 86400 (default 30)",
            (o, v) => o with { ClientTimeout = TimeSpan.FromSeconds(Int("client-timeout", v, 1, 86400)) }),
        new("max-request-body-bytes", "BYTES", "Largest request body; 413 above (default 33554432)",
            (o, v) => o with { MaxRequestBodyBytes = Long("max-request-body-bytes", v, 1, long.MaxValue) }),
        new("served-model-name", "NAME", "Name in requests and answers; several separated by commas (default: file name of MODEL)",
            (o, v) => o with { ServedModelNames = List("served-model-name", v) }),
        new("dtype", "TYPE", "auto, float32, bfloat16 or float16 (default auto)",
            (o, v) => Engine(o, e => e with { DType = OneOf("dtype", v, "auto", "float32", "bfloat16", "float16") })),
        new("load-format", "FORMAT", "auto: map the files; copy: read them, for disks that mapping does not suit (default auto)",
            (o, v) => Engine(o, e => e with { LoadFormat = OneOf("load-format", v, "auto", "copy") })),
        new("check-weights", null, "Look for NaN and infinity in every tensor before loading",
            (o, v) => Engine(o, e => e with { CheckWeights = Bool("check-weights", v) })),
        new("quantization", "F", "Round the large matrices of a dense checkpoint while loading: fp8, int8, int4 or nf4 (default: as the checkpoint is)",
            (o, v) => Engine(o, e => e with { Quantization = OneOf("quantization", v, "fp8", "int8", "int4", "nf4") })),
        new("dequantize", null, "Decode quantized weights to the compute type when loading, instead of keeping them as they are",
            (o, v) => Engine(o, e => e with { Dequantize = Bool("dequantize", v) })),
        new("activation-scheme", "SCHEME", "weight-only: inputs of quantized weights as they are; dynamic: rounded to FP8 or int8 as well (default weight-only)",
            (o, v) => Engine(o, e => e with { ActivationScheme = OneOf("activation-scheme", v, "weight-only", "dynamic") })),
        new("device", "DEVICE", "auto, cpu or cuda (default auto)",
            (o, v) => Engine(o, e => e with { Device = OneOf("device", v, "auto", "cpu", "cuda") })),
        new("max-model-len", "N", "Longest sequence in tokens, prompt and output (default: the model's, lowered to what fits)",
            (o, v) => Engine(o, e => e with { MaxModelLen = Int("max-model-len", v, 1, int.MaxValue) })),
        new("max-num-seqs", "N", "Most sequences in one step, 1 to 65536 (default 256)",
            (o, v) => Engine(o, e => e with { MaxNumSeqs = Int("max-num-seqs", v, 1, 65536) })),
        new("max-num-batched-tokens", "N", "Most tokens computed in one step, 1 to 1048576 (default 2048)",
            (o, v) => Engine(o, e => e with { MaxNumBatchedTokens = Int("max-num-batched-tokens", v, 1, 1048576) })),
        new("block-size", "N", "Tokens per KV block, 1 to 256 (default 16)",
            (o, v) => Engine(o, e => e with { BlockSize = Int("block-size", v, 1, 256) })),
        new("kv-cache-memory-bytes", "BYTES", "Memory of the KV cache (default on CPU: min(4 GiB, half of the free memory))",
            (o, v) => Engine(o, e => e with { KvCacheMemoryBytes = Long("kv-cache-memory-bytes", v, 1, long.MaxValue) })),
        new("num-gpu-blocks-override", "N", "Number of KV blocks, whatever the memory says",
            (o, v) => Engine(o, e => e with { NumGpuBlocksOverride = Int("num-gpu-blocks-override", v, 1, int.MaxValue) })),
        new("max-queue", "N", "Requests that may wait before new ones get 429, 1 to 1000000 (default 4096)",
            (o, v) => Engine(o, e => e with { MaxQueue = Int("max-queue", v, 1, 1000000) })),
        new("num-threads", "N", "Threads of the CPU kernels, 1 to 1024 (default: the machine's cores)",
            (o, v) => Engine(o, e => e with { NumThreads = Int("num-threads", v, 1, 1024) })),
        new("gpu-memory-utilization", "SHARE", "Share of the GPU's memory to use, above 0 to 1 (default 0.9; needs --device cuda)",
            (o, v) => Engine(o, e => e with { GpuMemoryUtilization = Share("gpu-memory-utilization", v) })),
        new("tensor-parallel-size", "N", "Ranks that share the model, one thread each, 1 to 64 (default 1; CPU only in this version)",
            (o, v) => Engine(o, e => e with { TensorParallelSize = Int("tensor-parallel-size", v, 1, 64) })),
        new("enable-expert-parallel", null, "Give each rank whole experts instead of a slice of every expert",
            (o, v) => Engine(o, e => e with { EnableExpertParallel = Bool("enable-expert-parallel", v) })),
        new("rank-timeout", "SECONDS", "Longest time without progress in a step: then a rank hangs, and the process ends with exit code 70, 1 to 86400 (default 300)",
            (o, v) => Engine(o, e => e with { RankTimeoutSeconds = Int("rank-timeout", v, 1, 86400) })),
        new("no-enable-prefix-caching", null, "Compute every prompt from its beginning, even when an earlier request began the same way",
            (o, v) => Engine(o, e => e with { EnablePrefixCaching = !Bool("no-enable-prefix-caching", v) })),
        new("chat-template", "FILE", "Jinja chat template that replaces the checkpoint's; published = the checkpoint's own",
            (o, v) => o with { ChatTemplateFile = v == "published" ? null : ExistingFile("chat-template", v) }),
        new("reasoning-format", "FORMAT", $"separate: thought in a field of its own; inline: {Dialect.ThinkOpen} inside content (default separate)",
            (o, v) => o with { ReasoningFormat = OneOf("reasoning-format", v, "separate", "inline") == "inline" ? ReasoningFormat.Inline : ReasoningFormat.Separate }),
        new("reasoning-field", "FIELD", "both, reasoning_content or reasoning (default both)",
            (o, v) => o with { ReasoningField = Field(v) }),
        new("thinking-token-budget", "N", "Most tokens of a thought when the request says nothing; 0: empty thoughts (default: no limit)",
            (o, v) => o with { ThinkingTokenBudget = Int("thinking-token-budget", v, 0, int.MaxValue) }),
        new("answer-reserve", "N", "Tokens of max_tokens kept for the answer when a budget is set (default: a quarter, at most 1024)",
            (o, v) => o with { AnswerReserve = Int("answer-reserve", v, 0, int.MaxValue) }),
        new("enforce-thinking", null, "Begin every answer with a thought, also where the template leaves that to the model",
            (o, v) => o with { EnforceThinking = Bool("enforce-thinking", v) }),
        new("request-timeout", "SECONDS", "Time after which a request ends with what is there, 1 to 86400 (default: none)",
            (o, v) => o with { RequestTimeoutSeconds = Int("request-timeout", v, 1, 86400) }),
        new("shutdown-timeout", "SECONDS", "Time for running requests when the server stops, 0 to 86400 (default 120)",
            (o, v) => o with { ShutdownTimeoutSeconds = Int("shutdown-timeout", v, 0, 86400) }),
        new("log-level", "LEVEL", "verbose, debug, information, warning, error or fatal (default information)",
            (o, v) => o with { LogLevel = OneOf("log-level", v, "verbose", "debug", "information", "warning", "error", "fatal") }),
        new("log-format", "FORMAT", "text or json (default text)", (o, v) => o with { LogFormat = OneOf("log-format", v, "text", "json") }),
        new("otlp-traces-endpoint", "URL", "Where traces of requests go (OpenTelemetry), for example http://localhost:4318/v1/traces (default: nowhere)",
            (o, v) => o with { OtlpTracesEndpoint = Address("otlp-traces-endpoint", v) }),
        new("otlp-traces-protocol", "NAME", "http/protobuf or grpc (default http/protobuf)",
            (o, v) => o with { OtlpGrpc = OneOf("otlp-traces-protocol", v, "http/protobuf", "grpc") == "grpc" }),
        new("disable-log-stats", null, "No line of counters every ten seconds",
            (o, v) => o with { LogStats = !Bool("disable-log-stats", v) }),
        new("enforce-eager", null, "Refused: has no meaning here because every step runs eagerly",
            (o, v) => Switch(o, "enforce-eager", v, "has no meaning here because there are no CUDA graphs: every step runs eagerly")),
        new("swap-space", "GIB", "Refused: has no meaning here because nothing is swapped",
            (o, v) => v == "0" ? o : throw Refused("swap-space", v,
                "has no meaning here because a sequence that must give way is computed again, never swapped")),
        new("trust-remote-code", null, "Refused: has no meaning here because no code of a checkpoint is run",
            (o, v) => Switch(o, "trust-remote-code", v, "has no meaning here because no code of a checkpoint is ever run")),
    ];

    /// <summary>Rules between options.</summary>
    public static void Check(ServerOptions options, ISet<string> given)
    {
        if (given.Contains("gpu-memory-utilization") && options.Engine.Device != "cuda")
            throw new UsageException(
                $"--gpu-memory-utilization has no meaning with --device {options.Engine.Device}. Send --device cuda, or use --kv-cache-memory-bytes.");
        if (options.Engine is { Quantization: not null, Dequantize: true })
            throw new UsageException("--quantization and --dequantize contradict each other. Give one of them.");
        if (options.Engine is { KvCacheMemoryBytes: not null, NumGpuBlocksOverride: not null })
            throw new UsageException("--kv-cache-memory-bytes and --num-gpu-blocks-override both set the size of the KV cache. Give one of them.");
    }

    private static ServerOptions Engine(ServerOptions options, Func<EngineOptions, EngineOptions> change)
        => options with { Engine = change(options.Engine) };

    private static int Int(string name, string value, int min, int max) => (int)Long(name, value, min, max);

    private static long Long(string name, string value, long min, long max)
    {
        if (long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) && number >= min && number <= max)
            return number;
        string range = max is int.MaxValue or long.MaxValue ? $"an integer of at least {min}" : $"an integer from {min} to {max}";
        throw new UsageException($"--{name} must be {range}, not '{value}'.");
    }

    private static double Share(string name, string value)
        => double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double share) && share is > 0 and <= 1
            ? share
            : throw new UsageException($"--{name} must be a number above 0 and at most 1, not '{value}'.");

    private static bool Bool(string name, string value) => value.ToLowerInvariant() switch
    {
        "true" or "1" or "" => true,
        "false" or "0" => false,
        _ => throw new UsageException($"--{name} must be true or false, not '{value}'."),
    };

    private static string OneOf(string name, string value, params string[] allowed)
        => allowed.Contains(value) ? value : throw new UsageException($"--{name} must be one of {string.Join(", ", allowed)}, not '{value}'.");

    private static ReasoningField Field(string value) => OneOf("reasoning-field", value, "both", "reasoning_content", "reasoning") switch
    {
        "both" => ReasoningField.Both,
        "reasoning" => ReasoningField.Reasoning,
        _ => ReasoningField.ReasoningContent,
    };

    private static Uri Address(string name, string value)
        => Uri.TryCreate(value, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : throw new UsageException($"--{name} must be an http or https address, not '{value}'.");

    private static string ExistingFile(string name, string value)
        => File.Exists(value) ? value : throw new UsageException($"--{name}: there is no file '{value}'.");

    /// <summary>An empty list is a variable that was not set: nobody asks for a server without keys by naming none.</summary>
    private static string[] List(string name, string value)
        => value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) is { Length: > 0 } items
            ? items
            : throw new UsageException($"--{name} is empty ('{value}'). Give at least one value, or leave the option out.");

    private static ServerOptions Switch(ServerOptions options, string name, string value, string reason)
        => Bool(name, value) ? throw new UsageException($"--{name}: {reason}.") : options;

    private static UsageException Refused(string name, string value, string reason) => new($"--{name} {value}: {reason}.");
}
