using System.Buffers;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>How long an answer took, and its first token.</summary>
internal sealed class AnswerClock
{
    private readonly long _start = Stopwatch.GetTimestamp();

    /// <summary>Seconds until the first token; null while there is none.</summary>
    public double? FirstTokenSeconds { get; private set; }

    /// <summary>Seconds so far.</summary>
    public double Seconds => Stopwatch.GetElapsedTime(_start).TotalSeconds;

    /// <summary>A token has arrived.</summary>
    public void TokenArrived() => FirstTokenSeconds ??= Seconds;
}

/// <summary>
/// Reads a running request to its end and writes the answer, whole or as a stream. Nothing is sent before the first token,
/// so that an early failure is a plain error with its status; a later one is told in the stream, then the connection breaks.
/// </summary>
internal sealed class AnswerWriter(ServerOptions options, RequestCounters counters, ILogger<AnswerWriter> log)
{
    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Answers a request.</summary>
    public async Task WriteAsync(HttpContext context, string id, TextGeneration generation, AnswerFormat format, AnswerOptions answer, Tenant tenant)
    {
        var clock = new AnswerClock();
        bool complete = false, cut = false;
        try
        {
            if (answer.Stream)
                await StreamAsync(context, generation, format, answer, clock);
            else
                await WholeAsync(context, generation, format, answer, clock);
            complete = true;
        }
        catch (SlowReaderException)
        {
            cut = true;
            throw;
        }
        finally
        {
            int wasted = await generation.AbandonAsync();
            tenant.Charge(generation.Usage, wasted);
            Report(context, id, generation, format, (complete, cut, wasted), clock);
        }
    }

    private void Report(
        HttpContext context, string id, TextGeneration generation, AnswerFormat format, (bool Complete, bool Cut, int Wasted) end, AnswerClock clock)
    {
        var usage = generation.Usage;
        counters.Ended(usage);
        if (end.Complete)
        {
            counters.Finished(generation, format.Engine.Facts.MaxModelLen);
            Log.Finished(log, id, context.TraceIdentifier, usage, clock);
        }
        else if (end.Cut)
        {
            counters.ClientCut();
            Log.ClientCut(log, id, context.TraceIdentifier, usage.CompletionTokens, options.ClientTimeout.TotalSeconds);
        }
        else if (context.RequestAborted.IsCancellationRequested)
        {
            counters.ClientLeft(end.Wasted);
            Log.ClientLeft(log, id, context.TraceIdentifier, usage.CompletionTokens, end.Wasted, clock.Seconds);
        }
    }

    private async Task WholeAsync(
        HttpContext context, TextGeneration generation, AnswerFormat format, AnswerOptions answer, AnswerClock clock)
    {
        int perPrompt = generation.ChoiceCount / generation.Prompts.Count;
        var answers = Enumerable.Range(0, generation.ChoiceCount).Select(i => new WholeAnswer(i / perPrompt)).ToArray();
        await foreach (var step in generation.ReadAsync(context.RequestAborted))
        {
            clock.TokenArrived();
            answers[step.Choice].Append(step);
        }
        var buffer = new ArrayBufferWriter<byte>(4096);
        using (var json = new Utf8JsonWriter(buffer, Json))
            format.WriteWhole(json, generation, answer.Answers < perPrompt ? Best(answers, answer.Answers) : answers);
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.ContentLength = buffer.WrittenCount;
        await ClientPatience.WriteAsync(context, buffer.WrittenMemory, options.ClientTimeout, context.RequestAborted);
    }

    /// <summary>The best answers of each prompt, best first.</summary>
    private static WholeAnswer[] Best(WholeAnswer[] answers, int count)
        => [.. answers.GroupBy(p => p.Prompt).SelectMany(own => own.OrderByDescending(p => p.Score).Take(count))];

    private async Task StreamAsync(
        HttpContext context, TextGeneration generation, AnswerFormat format, AnswerOptions answer, AnswerClock clock)
    {
        using var sse = new SseWriter(context, options.ClientTimeout);
        var begun = new bool[generation.ChoiceCount];
        try
        {
            await foreach (var step in WithPings(generation, sse, context.RequestAborted))
            {
                clock.TokenArrived();
                await SendAsync(sse, generation, format, step, begun, context.RequestAborted);
            }
            if (answer.IncludeUsage)
            {
                format.WriteUsageChunk(sse.BeginEvent(), generation);
                await sse.EndEventAsync(context.RequestAborted);
            }
            await sse.DoneAsync(context.RequestAborted);
        }
        catch (Exception e) when (e is not (OperationCanceledException or SlowReaderException) && sse.HasBegun)
        {
            JsonSerializer.Serialize(sse.BeginEvent(), OpenAiError.From(e).ToBody(), WireJson.Default.ErrorBody);
            await sse.EndEventAsync(context.RequestAborted);
            await sse.FlushAsync(context.RequestAborted);
            // Without [DONE] and with a broken chunked body every client notices that the answer is not complete.
            throw new BrokenStreamException(e);
        }
    }

    private static async ValueTask SendAsync(
        SseWriter sse, TextGeneration generation, AnswerFormat format, OutputStep step, bool[] begun, CancellationToken cancellation)
    {
        sse.Begin();
        if (!begun[step.Choice])
        {
            begun[step.Choice] = true;
            if (format.HasFirstChunk)
            {
                format.WriteFirst(sse.BeginEvent(), generation, step.Choice);
                await sse.EndEventAsync(cancellation);
            }
        }
        var tokens = step.Tokens;
        foreach (var next in step.Events)
        {
            if (next.IsMark)
                continue;
            format.WriteChunk(sse.BeginEvent(), generation, new AnswerChunk(step.Choice, next, tokens));
            await sse.EndEventAsync(cancellation);

            // Where one token closed the thought and opened the answer, it belongs to the first of two chunks.
            tokens = [];
        }
    }

    /// <summary>The steps; while none comes for a while, a comment goes out instead.</summary>
    private async IAsyncEnumerable<OutputStep> WithPings(
        TextGeneration generation, SseWriter sse, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var silence = new Silence(options.PingInterval);
        await using var steps = generation.ReadAsync(cancellation).GetAsyncEnumerator(cancellation);
        while (true)
        {
            var next = steps.MoveNextAsync();
            if (!next.IsCompleted)
            {
                var waiting = next.AsTask();
                await WaitAsync(waiting, sse, silence, cancellation);
                next = new ValueTask<bool>(waiting);
            }
            if (!await next)
                yield break;
            yield return steps.Current;
            silence.Restart();
        }
    }

    /// <summary>Sends what is written before it waits, and a comment whenever nothing has come for a while.</summary>
    private static async Task WaitAsync(Task waiting, SseWriter sse, Silence silence, CancellationToken cancellation)
    {
        try
        {
            await sse.FlushAsync(cancellation);
            while (!await silence.EndedByAsync(waiting))
            {
                sse.Begin();
                await sse.PingAsync(CancellationToken.None);
            }
        }
        catch (Exception)
        {
            // The source must have ended its step before it can be disposed; the connection is gone, so it will soon.
            await waiting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
    }

    /// <summary>Measures how long nothing was sent, with one timer per request instead of one per token.</summary>
    private sealed class Silence(TimeSpan limit) : IDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private long _since = Stopwatch.GetTimestamp();
        private Task? _timer;

        /// <summary>Something was sent.</summary>
        public void Restart() => _since = Stopwatch.GetTimestamp();

        /// <summary>Waits for a task; false when the limit passes first.</summary>
        public async Task<bool> EndedByAsync(Task waiting)
        {
            while (true)
            {
                _timer ??= Task.Delay(Left(), _stop.Token);
                if (await Task.WhenAny(waiting, _timer) == waiting)
                    return true;
                _timer = null;
                if (Left() > TimeSpan.Zero)
                    continue;
                Restart();
                return false;
            }
        }

        private TimeSpan Left() => TimeSpan.FromTicks(Math.Max(0, (limit - Stopwatch.GetElapsedTime(_since)).Ticks));

        public void Dispose()
        {
            _stop.Cancel();
            _stop.Dispose();
        }
    }
}
