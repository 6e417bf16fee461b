using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>A client took nothing of its answer for too long; its connection is gone.</summary>
internal sealed class SlowReaderException(TimeSpan limit) : Exception($"The client took nothing of its answer for {limit.TotalSeconds:F0} s.");

/// <summary>
/// Writing to a client that may not read: a flush that makes no way within the limit cuts the connection, so that the sequence, its
/// blocks and what is buffered for it do not wait for somebody who has gone to sleep.
/// </summary>
internal static class ClientPatience
{
    /// <summary>Bytes that must get away within the limit; a client that takes less than that counts as asleep.</summary>
    private const int PieceBytes = 64 << 10;

    /// <summary>Flushes what was written.</summary>
    /// <exception cref="SlowReaderException">The client does not read; the connection was cut.</exception>
    public static ValueTask FlushAsync(HttpContext context, TimeSpan limit, CancellationToken cancellation)
    {
        var flush = context.Response.BodyWriter.FlushAsync(cancellation);
        return flush.IsCompletedSuccessfully ? ValueTask.CompletedTask : WaitAsync(context, flush, limit);
    }

    /// <summary>Writes a whole body piece by piece.</summary>
    /// <exception cref="SlowReaderException">The client does not read; the connection was cut.</exception>
    public static async Task WriteAsync(HttpContext context, ReadOnlyMemory<byte> body, TimeSpan limit, CancellationToken cancellation)
    {
        for (int start = 0; start < body.Length; start += PieceBytes)
        {
            context.Response.BodyWriter.Write(body.Span[start..Math.Min(body.Length, start + PieceBytes)]);
            await FlushAsync(context, limit, cancellation);
        }
    }

    private static async ValueTask WaitAsync(HttpContext context, ValueTask<FlushResult> flush, TimeSpan limit)
    {
        try
        {
            await flush.AsTask().WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            context.Abort();
            throw new SlowReaderException(limit);
        }
    }
}
