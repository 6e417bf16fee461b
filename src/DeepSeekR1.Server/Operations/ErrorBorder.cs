using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// The outermost border of a request: names it, checks its key, and turns whatever goes wrong into OpenAI's error object.
/// </summary>
internal sealed class ErrorBorder(
    RequestDelegate next, Access access, Lifecycle lifecycle, RequestCounters counters, ILogger<ErrorBorder> log)
{
    private const int MaxRequestIdLength = 128;

    /// <summary>An answer is data: nothing in it may run or load anything.</summary>
    private const string DataPolicy = "default-src 'none'; frame-ancestors 'none'";

    /// <summary>The documentation page has inline scripts and styles of its own and asks this server only.</summary>
    private const string PagePolicy =
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

    /// <summary>Name of the header that identifies a request.</summary>
    public const string RequestIdHeader = "x-request-id";

    /// <summary>Headers that a page of another origin may read.</summary>
    public static readonly string[] ExposedHeaders =
    [
        RequestIdHeader, "retry-after", "x-should-retry", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
    ];

    /// <summary>Handles one request.</summary>
    public async Task InvokeAsync(HttpContext context)
    {
        context.TraceIdentifier = RequestId(context.Request);
        AddHeaders(context);
        try
        {
            if (access.Check(context) is { } refused)
                throw new OpenAiException(refused);
            await next(context);
            if (!context.Response.HasStarted && context.Response.StatusCode >= 400 && context.Response.ContentType is null)
                await RefuseAsync(context, OpenAiError.FromStatus(context));
        }
        catch (Exception e) when (e is SlowReaderException || context.RequestAborted.IsCancellationRequested)
        {
            // The client has left: nobody is there to be told. The status is for the log alone (as nginx writes it).
            if (!context.Response.HasStarted)
                context.Response.StatusCode = 499;
        }
        catch (Exception e)
        {
            ReportFault(e);
            var error = OpenAiError.From(e);
            // What the engine says of itself fits into a line; a hundred requests that it ends together need no hundred stack traces.
            if (error.Code == OpenAiError.Unexpected)
                Log.RequestFailed(log, e, context.Request.Method, context.Request.Path);
            else if (error.Status >= 500 && e is not OpenAiException)
                Log.RequestEnded(log, context.Request.Method, context.Request.Path, context.TraceIdentifier, error.Status, error.Message);
            if (context.Response.HasStarted)
                throw;
            await RefuseAsync(context, error);
        }
        finally
        {
            if (!Logging.IsQuiet(context.Request.Path))
                counters.Responded(context.Response.StatusCode);
        }
    }

    /// <summary>The request's name, and what keeps browsers from guessing, framing and caching.</summary>
    private static void AddHeaders(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers[RequestIdHeader] = context.TraceIdentifier;
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "no-referrer";
        headers.ContentSecurityPolicy = context.Request.Path.StartsWithSegments("/swagger") ? PagePolicy : DataPolicy;
        headers.CacheControl = "no-store";
    }

    private void ReportFault(Exception e)
    {
        if ((e as EngineFaultedException ?? e.InnerException as EngineFaultedException) is { } fault)
            lifecycle.ReportFault(fault);
    }

    private async Task RefuseAsync(HttpContext context, OpenAiError error)
    {
        var level = Logging.IsQuiet(context.Request.Path) ? LogLevel.Debug : LogLevel.Information;
        // The message of a wrong request may quote it, so it is only traced; its code and field say enough.
        Log.Refused(log, level, context.Request.Method, context.Request.Path, error.Status, error.Code, error.Param);
        Log.RefusedBecause(log, error.Message);
        await error.WriteAsync(context);
    }

    /// <summary>The client's own id when it is harmless in a header and in a log, else a new one.</summary>
    private static string RequestId(HttpRequest request)
    {
        string sent = request.Headers[RequestIdHeader].ToString();
        return sent.Length is > 0 and <= MaxRequestIdLength && Ascii.IsValid(sent) && sent.All(c => c is > ' ' and < (char)127)
            ? sent
            : "req-" + Guid.NewGuid().ToString("N");
    }
}
