using DeepSeekR1.Engine;
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

/// <summary>What the user asked of the server. Immutable and validated by whoever made it.</summary>
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
