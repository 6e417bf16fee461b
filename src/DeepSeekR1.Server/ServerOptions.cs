using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server;

/// <summary>Which field of an answer carries the thought.</summary>
public enum ReasoningField
{
    /// <summary><c>reasoning_content</c> and its mirror <c>reasoning</c>.</summary>
    Both,

    /// <summary>Only <c>reasoning_content</c> (DeepSeek's name).</summary>
    ReasoningContent,

    /// <summary>Only <c>reasoning</c> (vLLM's name).</summary>
    Reasoning,
}

/// <summary>Loads an engine; blocks.</summary>
internal delegate LlmEngine LoadEngine(
    EngineOptions options, IProgress<LoadProgress>? progress, CancellationToken cancellation, Action<string>? log);

/// <summary>
/// What the user asked of the server. Immutable and validated by whoever made it; names, ranges and help stand in
/// <see cref="ServerOptionList"/>.
/// </summary>
public sealed record ServerOptions
{
    /// <summary>What the user asked of the engine.</summary>
    public required EngineOptions Engine { get; init; }

    /// <summary>IP address to listen on; 0.0.0.0 listens on all.</summary>
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>TCP port, 0 to 65535; 0 takes a free one.</summary>
    public int Port { get; init; } = 8000;

    /// <summary>Names that requests may use; the first one stands in answers. Empty takes the checkpoint's file name.</summary>
    public IReadOnlyList<string> ServedModelNames { get; init; } = [];

    /// <summary>What the model is, for GET /v1/models; null says nothing.</summary>
    public string? ModelDescription { get; init; }

    /// <summary>Keys of which one must be sent; empty lets everybody in.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>File with further keys, one per line; read again when it changes.</summary>
    public string? ApiKeyFile { get; init; }

    /// <summary>Requests a minute for each key, or for everybody together without keys; null sets no limit.</summary>
    public int? RequestsPerMinute { get; init; }

    /// <summary>Tokens a minute, prompt and answer, for each key; null sets no limit.</summary>
    public int? TokensPerMinute { get; init; }

    /// <summary>Origins whose pages may call this server from a browser; <c>*</c> allows all, empty allows none.</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = [];

    /// <summary>File with a Jinja chat template that replaces the checkpoint's; null keeps it.</summary>
    public string? ChatTemplateFile { get; init; }

    /// <summary>Where thoughts go unless a request says otherwise.</summary>
    public ReasoningFormat ReasoningFormat { get; init; }

    /// <summary>Which field carries the thought.</summary>
    public ReasoningField ReasoningField { get; init; }

    /// <summary>Most tokens of a thought when a request says nothing about it; 0 begins with an empty thought, null sets no limit.</summary>
    public int? ThinkingTokenBudget { get; init; }

    /// <summary>Tokens of the limit kept for the answer when a budget is set; null keeps a quarter, at most 1,024.</summary>
    public int? AnswerReserve { get; init; }

    /// <summary>Whether answers begin with a thought also where the template leaves that to the model.</summary>
    public bool EnforceThinking { get; init; }

    /// <summary>Seconds after which a request ends with what is there, unless it says otherwise; null for ever.</summary>
    public double? RequestTimeoutSeconds { get; init; }

    /// <summary>Seconds that running requests have to finish when the server stops, 0 to 86400.</summary>
    public int ShutdownTimeoutSeconds { get; init; } = 120;

    /// <summary>How long a client may take nothing of its answer, or acknowledge nothing, before its connection is cut.</summary>
    public TimeSpan ClientTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Seconds after which a connection without a request is closed; longer than a proxy in front keeps its own.</summary>
    public int KeepAliveTimeoutSeconds { get; init; } = 130;

    /// <summary>Largest request body in bytes.</summary>
    public long MaxRequestBodyBytes { get; init; } = 32L << 20;

    /// <summary>Log a line of counters every ten seconds while requests run.</summary>
    public bool LogStats { get; init; } = true;

    /// <summary>Least level that is logged: verbose, debug, information, warning, error or fatal.</summary>
    public string LogLevel { get; init; } = "information";

    /// <summary>text for people, json (compact, one object a line) for machines.</summary>
    public string LogFormat { get; init; } = "text";

    /// <summary>Where traces go, for example http://localhost:4318/v1/traces; null sends none.</summary>
    public Uri? OtlpTracesEndpoint { get; init; }

    /// <summary>Traces go by gRPC instead of HTTP.</summary>
    public bool OtlpGrpc { get; init; }

    /// <summary>Socket of the service manager (NOTIFY_SOCKET); null when there is none.</summary>
    public string? NotifySocket { get; init; } = Environment.GetEnvironmentVariable("NOTIFY_SOCKET");

    /// <summary>Seconds of silence after which a waiting stream gets a comment line.</summary>
    internal TimeSpan PingInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Test seam: replaces the loading of the engine.</summary>
    internal LoadEngine LoadEngine { get; init; } = LlmEngine.Load;

    /// <summary>Test seam: a mask over token ids by the request's <c>user</c> field and the sample index.</summary>
    internal Func<string, int, ITokenGuide?>? TestConstraint { get; init; }

    /// <summary>Test seam: replaces the console log.</summary>
    internal Serilog.ILogger? Logger { get; init; }
}

/// <summary>The options of <c>serve</c>: the server's, each declared once here, and the engine's.</summary>
public static class ServerOptionList
{
    private static readonly Option<ServerOptions>[] Door =
    [
        Of("host", OptionType.Text("IP"), "Address to listen on; 0.0.0.0 = all", o => o.Host, (o, v) => o with { Host = v }),
        Of("port", OptionType.Integer(0, 65535), "TCP port; 0 = a free one", o => o.Port, (o, v) => o with { Port = v }),
        Of("api-key", OptionType.List("KEY"), "Key that requests must carry; requests of different keys take turns in the queue", o => o.ApiKeys, (o, v) => o with { ApiKeys = v }, "none: open"),
        Of("api-key-file", OptionType.ExistingFile("FILE"), "File with keys, one per line, each optionally with name=NAME rpm=N tpm=N; read again when it changes", o => o.ApiKeyFile, (o, v) => o with { ApiKeyFile = v }),
        Of("requests-per-minute", OptionType.Integer(1), "Requests a minute for each key, or for everybody together without keys; 429 above", o => o.RequestsPerMinute, (o, v) => o with { RequestsPerMinute = v }, "no limit"),
        Of("tokens-per-minute", OptionType.Integer(1), "Tokens a minute for each key, prompt and answer; 429 while they are used up", o => o.TokensPerMinute, (o, v) => o with { TokensPerMinute = v }, "no limit"),
        Of("allowed-origins", OptionType.List("URL"), "Origins whose pages may call this server from a browser; * = all", o => o.AllowedOrigins, (o, v) => o with { AllowedOrigins = v }, "none"),
        Of("client-timeout", OptionType.Integer(1, 86400, "SECONDS"), "A client that takes nothing of its answer for this long is cut off", o => o.ClientTimeout.TotalSeconds, (o, v) => o with { ClientTimeout = TimeSpan.FromSeconds(v) }),
        Of("keep-alive-timeout", OptionType.Integer(1, 86400, "SECONDS"), "A connection without a request is closed after this long; set it above what a proxy in front keeps, or it closes in the moment of a new request", o => o.KeepAliveTimeoutSeconds, (o, v) => o with { KeepAliveTimeoutSeconds = v }),
        Of("max-request-body-bytes", OptionType.LongInteger(1, "BYTES"), "Largest request body; 413 above", o => o.MaxRequestBodyBytes, (o, v) => o with { MaxRequestBodyBytes = v }),
        Of("served-model-name", OptionType.List("NAME"), "Name in requests and answers", o => o.ServedModelNames, (o, v) => o with { ServedModelNames = v }, "file name of MODEL"),
    ];

    /// <summary>Chat template that replaces the checkpoint's.</summary>
    public static readonly Option<ServerOptions> ChatTemplate = Of(
        "chat-template", OptionType.ExistingFile("FILE", nothing: "published"), "Jinja chat template that replaces the checkpoint's; published = the checkpoint's own", o => o.ChatTemplateFile, (o, v) => o with { ChatTemplateFile = v }, "published");

    private static readonly Option<ServerOptions>[] Answers =
    [
        ChatTemplate,
        Of("reasoning-format", OptionType.Meaning("FORMAT", ("separate", ReasoningFormat.Separate), ("inline", ReasoningFormat.Inline)),
            $"A thought in a field of its own, or as {Dialect.ThinkOpen} inside content", o => o.ReasoningFormat, (o, v) => o with { ReasoningFormat = v }, "separate"),
        Of("reasoning-field", OptionType.Meaning("FIELD", ("both", ReasoningField.Both), ("reasoning_content", ReasoningField.ReasoningContent), ("reasoning", ReasoningField.Reasoning)),
            "Field of a separate thought", o => o.ReasoningField, (o, v) => o with { ReasoningField = v }, "both"),
        Of("thinking-token-budget", OptionType.Integer(0), "Most tokens of a thought when the request says nothing; 0: empty thoughts", o => o.ThinkingTokenBudget, (o, v) => o with { ThinkingTokenBudget = v }, "no limit"),
        Of("answer-reserve", OptionType.Integer(0), "Tokens of max_tokens kept for the answer when a budget is set", o => o.AnswerReserve, (o, v) => o with { AnswerReserve = v }, "a quarter, at most 1024"),
        Of("enforce-thinking", OptionType.Switch(), "Begin every answer with a thought, also where the template leaves that to the model", o => o.EnforceThinking, (o, v) => o with { EnforceThinking = v }),
        Of("request-timeout", OptionType.Integer(1, 86400, "SECONDS"), "Time after which a request ends with what is there", o => o.RequestTimeoutSeconds, (o, v) => o with { RequestTimeoutSeconds = v }, "none"),
        Of("shutdown-timeout", OptionType.Integer(0, 86400, "SECONDS"), "Time for running requests when the server stops", o => o.ShutdownTimeoutSeconds, (o, v) => o with { ShutdownTimeoutSeconds = v }),
        Of("log-level", OptionType.Choice("LEVEL", "verbose", "debug", "information", "warning", "error", "fatal"), "Least level that is logged", o => o.LogLevel, (o, v) => o with { LogLevel = v }),
        Of("log-format", OptionType.Choice("FORMAT", "text", "json"), "For people or for machines", o => o.LogFormat, (o, v) => o with { LogFormat = v }),
        Of("otlp-traces-endpoint", OptionType.Address("URL"), "Where traces of requests go (OpenTelemetry), for example http://localhost:4318/v1/traces", o => o.OtlpTracesEndpoint, (o, v) => o with { OtlpTracesEndpoint = v }, "nowhere"),
        Of("otlp-traces-protocol", OptionType.Meaning("NAME", ("http/protobuf", false), ("grpc", true)), "How traces are sent", o => o.OtlpGrpc, (o, v) => o with { OtlpGrpc = v }, "http/protobuf"),
        Of("disable-log-stats", OptionType.Switch(), "No line of counters every ten seconds", o => !o.LogStats, (o, v) => o with { LogStats = !v }),
        Refused("enforce-eager", null, "", "there are no CUDA graphs: every step runs eagerly"),
        Refused("swap-space", "GIB", "0", "a sequence that must give way is computed again, never swapped"),
        Refused("trust-remote-code", null, "", "no code of a checkpoint is ever run"),
    ];

    /// <summary>All of them.</summary>
    public static OptionList<ServerOptions> All { get; } = new(
        new ServerOptions { Engine = EngineOptionList.All.Defaults }, CheckRules, [.. Door, .. EngineOptionList.All.Select(OfEngine), .. Answers]);

    /// <summary>An option of the engine as one of the server.</summary>
    public static Option<ServerOptions> OfEngine(Option<EngineOptions> option) => option.In<ServerOptions>(o => o.Engine, (o, engine) => o with { Engine = engine });

    private static Option<ServerOptions, T> Of<T>(
        string name, OptionType<T> type, string help, Func<ServerOptions, object?> get, Func<ServerOptions, T, ServerOptions> set, string? byDefault = null)
        => new(name, type, help, get, set) { DefaultInWords = byDefault };

    /// <summary>An option of vLLM without meaning here.</summary>
    private static Option<ServerOptions, bool> Refused(string name, string? placeholder, string neutral, string reason) => Of(
        name, OptionType.Refused(placeholder, neutral, "has no meaning here because " + reason), "Refused: has no meaning here because " + reason, _ => null, (o, _) => o);

    private static void CheckRules(ServerOptions options)
    {
        EngineOptionList.All.CheckRules(options.Engine);
        if (options.Engine is { KvCacheMemoryBytes: { } bytes, NumGpuBlocksOverride: not null })
            throw new OptionException(
                EngineOptionList.KvCacheMemoryBytes.Name, $"{bytes}",
                $"{EngineOptionList.KvCacheMemoryBytes} and {EngineOptionList.NumGpuBlocksOverride} both set the size of the KV cache. Give one of them.");
    }
}
