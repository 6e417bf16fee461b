using System.Globalization;
using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Text;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.Operations;

/// <summary>Counters that only the HTTP side knows. Safe for many threads.</summary>
internal sealed class RequestCounters
{
    private long _finished, _left, _wasted;

    /// <summary>Requests answered to the end.</summary>
    public long FinishedTotal => Interlocked.Read(ref _finished);

    /// <summary>Requests whose client left early.</summary>
    public long LeftTotal => Interlocked.Read(ref _left);

    /// <summary>Tokens generated after their client had left.</summary>
    public long WastedTokens => Interlocked.Read(ref _wasted);

    /// <summary>A request was answered.</summary>
    public void Finished() => Interlocked.Increment(ref _finished);

    /// <summary>A client left.</summary>
    public void ClientLeft(int wastedTokens)
    {
        Interlocked.Increment(ref _left);
        Interlocked.Add(ref _wasted, wastedTokens);
    }
}

/// <summary>Metrics in Prometheus' text format; where vLLM has a name for a thing, it is that name.</summary>
internal static class MetricsText
{
    /// <summary>The page.</summary>
    public static string Write(string model, EngineSnapshot s, RequestCounters counters)
    {
        var text = new StringBuilder();
        string labels = $"{{model_name=\"{Escape(model)}\",engine=\"0\"}}";
        void Add(string name, string kind, string help, double value) => text.Append(CultureInfo.InvariantCulture,
            $"# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n");

        Add("vllm:num_requests_running", "gauge", "Sequences in the running batch.", s.Running);
        Add("vllm:num_requests_waiting", "gauge", "Sequences waiting for room.", s.Waiting);
        Add("vllm:kv_cache_usage_perc", "gauge", "Share of KV blocks in use, 0 to 1.",
            s.BlocksTotal > 0 ? (double)s.BlocksUsed / s.BlocksTotal : 0);
        Add("vllm:prompt_tokens_total", "counter", "Prompt tokens computed.", s.PromptTokens);
        Add("vllm:generation_tokens_total", "counter", "Tokens generated.", s.GeneratedTokens);
        Add("vllm:num_preemptions_total", "counter", "Sequences put back because blocks ran out.", s.Preemptions);
        Add("vllm:prefix_cache_queries_total", "counter", "Prompt tokens looked up in the prefix cache.", s.PrefixQueries);
        Add("vllm:prefix_cache_hits_total", "counter", "Prompt tokens found in the prefix cache.", s.PrefixHits);
        Add("deepseekr1:kv_blocks_used", "gauge", "KV blocks in use.", s.BlocksUsed);
        Add("deepseekr1:kv_blocks_total", "gauge", "KV blocks in the cache.", s.BlocksTotal);
        Add("deepseekr1:steps_total", "counter", "Engine steps.", s.Steps);
        Add("deepseekr1:sequences_finished_total", "counter", "Sequences that ended by themselves.", s.RequestsFinished);
        Add("deepseekr1:sequences_cancelled_total", "counter", "Sequences that were cancelled.", s.RequestsCancelled);
        Add("deepseekr1:http_requests_finished_total", "counter", "Requests answered to the end.", counters.FinishedTotal);
        Add("deepseekr1:clients_left_total", "counter", "Requests whose client left early.", counters.LeftTotal);
        Add("deepseekr1:tokens_after_client_left_total", "counter", "Tokens generated after their client had left.", counters.WastedTokens);
        return text.ToString();
    }

    private static string Escape(string label) => label.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n");
}

/// <summary>Logs a line of counters every ten seconds while requests run, and notices an engine that failed without a request.</summary>
internal sealed class StatsLogger(ServerOptions options, Lifecycle lifecycle, ILogger<StatsLogger> log) : BackgroundService
{
    private const int SecondsPerLine = 10;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
        EngineSnapshot? last = null;
        for (int second = 1; await NextAsync(timer, stoppingToken); second++)
        {
            if (lifecycle.EngineOrNull is not { } engine)
                continue;
            if (lifecycle.State == ServerState.Failed)
            {
                lifecycle.ReportFault(new EngineFaultedException("the engine thread has ended."));
                return;
            }
            if (!options.LogStats || second % SecondsPerLine != 0 || lifecycle.State != ServerState.Ready)
                continue;
            var now = engine.Snapshot();
            if (last is not null && (now.Running + now.Waiting > 0 || now.GeneratedTokens != last.GeneratedTokens))
                Log.Stats(log, now.Running, now.Waiting,
                    (double)(now.PromptTokens - last.PromptTokens) / SecondsPerLine,
                    (double)(now.GeneratedTokens - last.GeneratedTokens) / SecondsPerLine,
                    100.0 * now.BlocksUsed / Math.Max(1, now.BlocksTotal));
            last = now;
        }
    }

    private static async Task<bool> NextAsync(PeriodicTimer timer, CancellationToken cancellation)
    {
        try
        {
            return await timer.WaitForNextTickAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}

/// <summary>Log lines, compiled. No line ever holds text of a prompt or of an answer.</summary>
internal static partial class Log
{
    /// <summary>The model can be used.</summary>
    public static void Ready(ILogger log, EngineFacts facts, double seconds) => Ready(log, facts.Architecture, facts.DType, facts.Device,
        facts.ParameterCount / 1e6, facts.MaxModelLen, (long)facts.NumBlocks * facts.BlockSize, facts.KvCacheBytes / 1048576.0, seconds);

    [LoggerMessage(Level = LogLevel.Information, Message =
        "Ready after {Seconds:F1} s: {Architecture}, {Parameters:F1} M parameters, {DType} on {Device}, context {MaxModelLen} tokens, KV cache {KvTokens} tokens ({KvMiB:F0} MiB)")]
    private static partial void Ready(
        ILogger log, string architecture, string dType, string device, double parameters, int maxModelLen, long kvTokens, double kvMiB, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Line}")]
    public static partial void Engine(ILogger log, string line);

    [LoggerMessage(Level = LogLevel.Information, Message = "Listening on {Address}; the model '{Model}' is loading")]
    public static partial void Listening(ILogger log, Uri address, string model);

    /// <summary>A request was answered.</summary>
    public static void Finished(ILogger log, string id, string requestId, TokenUsage usage, AnswerClock clock) => Finished(
        log, id, requestId, usage.PromptTokens, usage.CompletionTokens, usage.ReasoningTokens, clock.FirstTokenSeconds ?? 0, clock.Seconds);

    [LoggerMessage(Level = LogLevel.Information, Message =
        "{Id} ({RequestId}) finished: {PromptTokens} prompt, {CompletionTokens} completion tokens ({ReasoningTokens} reasoning), first token after {FirstSeconds:F2} s, all after {Seconds:F2} s")]
    private static partial void Finished(
        ILogger log, string id, string requestId, int promptTokens, int completionTokens, int reasoningTokens, double firstSeconds, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message =
        "{Id} ({RequestId}) cancelled: the client left after {CompletionTokens} tokens, {WastedTokens} tokens wasted, {Seconds:F2} s")]
    public static partial void ClientLeft(
        ILogger log, string id, string requestId, int completionTokens, int wastedTokens, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message =
        "Running {Running}, waiting {Waiting}, prompt {PromptRate:F1} tokens/s, generation {GenerationRate:F1} tokens/s, KV cache {KvPercent:F1} %")]
    public static partial void Stats(ILogger log, int running, int waiting, double promptRate, double generationRate, double kvPercent);

    [LoggerMessage(Level = LogLevel.Information, Message = "Shutting down: {Requests} requests may finish within {Seconds} s, new ones get 503")]
    public static partial void Draining(ILogger log, int requests, int seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "All requests have finished")]
    public static partial void Drained(ILogger log);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Requests still run after {Seconds} s; they are cut off")]
    public static partial void DrainTimeout(ILogger log, int seconds);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The engine failed: {Reason}")]
    public static partial void EngineFault(ILogger log, Exception exception, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    public static partial void RequestFailed(ILogger log, Exception exception, string method, string path);

    [LoggerMessage(Message = "{Method} {Path} refused with {Status}: {Code} {Param}")]
    public static partial void Refused(ILogger log, LogLevel level, string method, string path, int status, string? code, string? param);

    [LoggerMessage(Level = LogLevel.Trace, Message = "Refused because: {Reason}")]
    public static partial void RefusedBecause(ILogger log, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The key file has changed: {Count} keys are valid")]
    public static partial void KeysRead(ILogger log, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "The key file '{File}' cannot be used, the keys stay as they are: {Reason}")]
    public static partial void KeysNotRead(ILogger log, string file, string reason);
}
