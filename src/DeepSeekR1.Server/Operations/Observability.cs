using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Text;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.Operations;

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

    [LoggerMessage(Level = LogLevel.Warning, Message =
        "{Id} ({RequestId}) cut: the client took nothing of its answer for {Seconds} s; it had {CompletionTokens} tokens")]
    public static partial void ClientCut(ILogger log, string id, string requestId, int completionTokens, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message =
        "Running {Running}, waiting {Waiting}, prompt {PromptRate:F1} tokens/s, generation {GenerationRate:F1} tokens/s, KV cache {KvPercent:F1} %")]
    public static partial void Stats(ILogger log, int running, int waiting, double promptRate, double generationRate, double kvPercent);

    [LoggerMessage(Level = LogLevel.Information, Message = "Shutting down: {Requests} requests may finish within {Seconds} s, new ones get 503")]
    public static partial void Draining(ILogger log, int requests, int seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "All requests have finished")]
    public static partial void Drained(ILogger log);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Stopping at once: requests that still run are cut off")]
    public static partial void DrainCut(ILogger log);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Requests still run after {Seconds} s; they are cut off")]
    public static partial void DrainTimeout(ILogger log, int seconds);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The engine failed: {Reason}")]
    public static partial void EngineFault(ILogger log, Exception exception, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    public static partial void RequestFailed(ILogger log, Exception exception, string method, string path);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Method} {Path} ({RequestId}) ended with {Status}: {Reason}")]
    public static partial void RequestEnded(ILogger log, string method, string path, string requestId, int status, string reason);

    [LoggerMessage(Message = "{Method} {Path} refused with {Status}: {Code} {Param}")]
    public static partial void Refused(ILogger log, LogLevel level, string method, string path, int status, string? code, string? param);

    [LoggerMessage(Level = LogLevel.Trace, Message = "Refused because: {Reason}")]
    public static partial void RefusedBecause(ILogger log, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The key file has changed: {Count} keys are valid")]
    public static partial void KeysRead(ILogger log, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "The key file '{File}' cannot be used, the keys stay as they are: {Reason}")]
    public static partial void KeysNotRead(ILogger log, string file, string reason);
}
