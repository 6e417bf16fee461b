using System.Buffers;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// Server-sent events on the response's pipe: UTF-8 written in place, one flush per event, no object per token. Owned by the
/// one task that answers the request.
/// </summary>
internal sealed class SseWriter(HttpResponse response) : IDisposable
{
    private static readonly JsonWriterOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    private readonly PipeWriter _pipe = response.BodyWriter;
    private readonly Utf8JsonWriter _json = new(Stream.Null, Options);

    /// <summary>Sends the headers; nothing but the stream can be told to the client from here on.</summary>
    public void Begin()
    {
        if (response.HasStarted)
            return;
        response.StatusCode = 200;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache, no-store";
        response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>Sends one data event.</summary>
    public async ValueTask SendAsync(Action<Utf8JsonWriter> write, CancellationToken cancellation)
    {
        _pipe.Write("data: "u8);
        _json.Reset(_pipe);
        write(_json);
        _json.Flush();
        _pipe.Write("\n\n"u8);
        await _pipe.FlushAsync(cancellation);
    }

    /// <summary>Sends a comment that keeps the connection open; clients ignore it.</summary>
    public async ValueTask PingAsync(CancellationToken cancellation)
    {
        _pipe.Write(": ping\n\n"u8);
        await _pipe.FlushAsync(cancellation);
    }

    /// <summary>Sends the end mark.</summary>
    public async ValueTask DoneAsync(CancellationToken cancellation)
    {
        _pipe.Write("data: [DONE]\n\n"u8);
        await _pipe.FlushAsync(cancellation);
    }

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();
}
