using System.Buffers;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// Server-sent events on the response's pipe: UTF-8 written in place, no object per token. Events leave with the next flush, which the
/// owner calls when it would have to wait for more: single tokens go out at once, a burst goes out in one piece. Owned by the one task
/// that answers the request.
/// </summary>
internal sealed class SseWriter(HttpContext context, TimeSpan patience) : IDisposable
{
    /// <summary>Bytes that are flushed even though more is at hand.</summary>
    private const int PieceBytes = 16 << 10;

    private static readonly JsonWriterOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    private readonly PipeWriter _pipe = context.Response.BodyWriter;
    private readonly Utf8JsonWriter _json = new(Stream.Null, Options);
    private long _unflushed;

    /// <summary>True when something was written, sent or not: from then on a failure must be told in the stream.</summary>
    public bool HasBegun { get; private set; }

    /// <summary>Sends the headers; nothing but the stream can be told to the client from here on.</summary>
    public void Begin()
    {
        var response = context.Response;
        if (HasBegun)
            return;
        HasBegun = true;
        response.StatusCode = 200;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache, no-store";
        response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>Opens a data event; what the writer gets until <see cref="EndEventAsync"/> is its JSON.</summary>
    public Utf8JsonWriter BeginEvent()
    {
        _pipe.Write("data: "u8);
        _json.Reset(_pipe);
        return _json;
    }

    /// <summary>Closes a data event.</summary>
    public ValueTask EndEventAsync(CancellationToken cancellation)
    {
        _json.Flush();
        _pipe.Write("\n\n"u8);
        _unflushed += _json.BytesCommitted;
        return _unflushed < PieceBytes ? ValueTask.CompletedTask : FlushAsync(cancellation);
    }

    /// <summary>Sends what is written; nothing when nothing is.</summary>
    /// <exception cref="SlowReaderException">The client does not read; the connection was cut.</exception>
    public ValueTask FlushAsync(CancellationToken cancellation)
    {
        if (_unflushed == 0)
            return ValueTask.CompletedTask;
        _unflushed = 0;
        return ClientPatience.FlushAsync(context, patience, cancellation);
    }

    /// <summary>Sends a comment that keeps the connection open; clients ignore it.</summary>
    public ValueTask PingAsync(CancellationToken cancellation) => SendAsync(": ping\n\n"u8, cancellation);

    /// <summary>Sends the end mark.</summary>
    public ValueTask DoneAsync(CancellationToken cancellation) => SendAsync("data: [DONE]\n\n"u8, cancellation);

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();

    private ValueTask SendAsync(ReadOnlySpan<byte> text, CancellationToken cancellation)
    {
        _pipe.Write(text);
        _unflushed += text.Length;
        return FlushAsync(cancellation);
    }
}
