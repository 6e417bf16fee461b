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

/// <summary>
/// Reads a running request to its end and writes the answer, whole or as a stream. Nothing is sent before the first token,
/// so that an early failure is a plain error with its status; a later one is told in the stream, then the connection breaks.
/// </summary>
internal sealed class AnswerWriter(ServerOptions options, RequestCounters counters, ILogger<AnswerWriter> log)
{
    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Answers a request.</summary>
    public async Task WriteAsync(HttpContext context, string id, TextGeneration generation, AnswerFormat format, AnswerOptions answer)
    {
        var watch = Stopwatch.StartNew();
        bool complete = false;
        try
        {
            if (answer.Stream)
                await StreamAsync(context, generation, format, answer);
            else
                await WholeAsync(context, generation, format);
            complete = true;
        }
        finally
        {
            int wasted = await generation.AbandonAsync();
            Report(context, id, generation.Usage, complete, wasted, watch.Elapsed);
        }
    }

    private void Report(HttpContext context, string id, TokenUsage usage, bool complete, int wasted, TimeSpan time)
    {
        if (complete)
        {
            counters.Finished();
            Log.Finished(log, id, usage.PromptTokens, usage.CompletionTokens, usage.ReasoningTokens, time.TotalSeconds);
        }
        else if (context.RequestAborted.IsCancellationRequested)
        {
            counters.ClientLeft(wasted);
            Log.ClientLeft(log, id, usage.CompletionTokens, wasted, time.TotalSeconds);
        }
    }

    private static async Task WholeAsync(HttpContext context, TextGeneration generation, AnswerFormat format)
    {
        var parts = Enumerable.Range(0, generation.ChoiceCount).Select(_ => new AnswerParts()).ToArray();
        await foreach (var delta in generation.ReadAsync(context.RequestAborted))
        {
            var part = parts[delta.Choice];
            part.Reasoning.Append(delta.Reasoning);
            part.Content.Append(delta.Content);
            part.Tokens.AddRange(delta.Tokens);
            part.End = delta.End ?? part.End;
        }
        var buffer = new ArrayBufferWriter<byte>(4096);
        using (var json = new Utf8JsonWriter(buffer, Json))
            format.WriteWhole(json, generation, parts);
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.ContentLength = buffer.WrittenCount;
        await context.Response.BodyWriter.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }

    private async Task StreamAsync(HttpContext context, TextGeneration generation, AnswerFormat format, AnswerOptions answer)
    {
        using var sse = new SseWriter(context.Response);
        var begun = new bool[generation.ChoiceCount];
        try
        {
            await foreach (var delta in WithPings(generation, sse, context.RequestAborted))
                await SendAsync(sse, generation, format, delta, begun, context.RequestAborted);
            if (answer.IncludeUsage)
                await sse.SendAsync(json => format.WriteUsageChunk(json, generation), context.RequestAborted);
            await sse.DoneAsync(context.RequestAborted);
        }
        catch (Exception e) when (e is not OperationCanceledException && context.Response.HasStarted)
        {
            var error = OpenAiError.From(e);
            await sse.SendAsync(json => JsonSerializer.Serialize(json, error.ToBody(), WireJson.Default.ErrorBody), context.RequestAborted);
            // Without [DONE] and with a broken chunked body every client notices that the answer is not complete.
            throw new BrokenStreamException(e);
        }
    }

    private static async ValueTask SendAsync(
        SseWriter sse, TextGeneration generation, AnswerFormat format, TextDelta delta, bool[] begun, CancellationToken cancellation)
    {
        sse.Begin();
        if (!begun[delta.Choice])
        {
            begun[delta.Choice] = true;
            if (format.HasFirstChunk)
                await sse.SendAsync(json => format.WriteFirst(json, generation, delta.Choice), cancellation);
        }
        if (delta is { Reasoning: not null, Content: not null })
        {
            // One token closed the thought and opened the answer: two chunks, the token belongs to the first.
            await sse.SendAsync(json => format.WriteChunk(json, generation, delta with { Content = null }), cancellation);
            delta = delta with { Reasoning = null, Tokens = [] };
        }
        await sse.SendAsync(json => format.WriteChunk(json, generation, delta), cancellation);
    }

    /// <summary>The deltas; while none comes for a while, a comment goes out instead.</summary>
    private async IAsyncEnumerable<TextDelta> WithPings(
        TextGeneration generation, SseWriter sse, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var silence = new Silence(options.PingInterval);
        await using var deltas = generation.ReadAsync(cancellation).GetAsyncEnumerator(cancellation);
        while (true)
        {
            var next = deltas.MoveNextAsync();
            if (!next.IsCompleted)
            {
                var waiting = next.AsTask();
                while (!await silence.EndedByAsync(waiting))
                {
                    sse.Begin();
                    await sse.PingAsync(CancellationToken.None);
                }
                next = new ValueTask<bool>(waiting);
            }
            if (!await next)
                yield break;
            yield return deltas.Current;
            silence.Restart();
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
                _timer ??= Task.Delay(limit - Stopwatch.GetElapsedTime(_since), _stop.Token);
                if (await Task.WhenAny(waiting, _timer) == waiting)
                    return true;
                _timer = null;
                if (Stopwatch.GetElapsedTime(_since) < limit)
                    continue;
                Restart();
                return false;
            }
        }

        public void Dispose()
        {
            _stop.Cancel();
            _stop.Dispose();
        }
    }
}
