using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// The outermost border of a request: names it, checks its key, and turns whatever goes wrong into OpenAI's error object.
/// </summary>
internal sealed class ErrorBorder(RequestDelegate next, Access access, Lifecycle lifecycle, ILogger<ErrorBorder> log)
{
    private const int MaxRequestIdLength = 128;

    /// <summary>Name of the header that identifies a request.</summary>
    public const string RequestIdHeader = "x-request-id";

    /// <summary>Handles one request.</summary>
    public async Task InvokeAsync(HttpContext context)
    {
        context.TraceIdentifier = RequestId(context.Request);
        context.Response.Headers[RequestIdHeader] = context.TraceIdentifier;
        try
        {
            if (access.Check(context.Request) is { } refused)
                throw new OpenAiException(refused);
            await next(context);
            if (!context.Response.HasStarted && context.Response.StatusCode >= 400 && context.Response.ContentType is null)
                await RefuseAsync(context, OpenAiError.FromStatus(context));
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has left: nobody is there to be told. The status is for the log alone (as nginx writes it).
            if (!context.Response.HasStarted)
                context.Response.StatusCode = 499;
        }
        catch (Exception e)
        {
            ReportFault(e);
            var error = OpenAiError.From(e);
            if (error.Status >= 500 && e is not OpenAiException)
                Log.RequestFailed(log, e, context.Request.Method, context.Request.Path);
            if (context.Response.HasStarted)
                throw;
            await RefuseAsync(context, error);
        }
    }

    private void ReportFault(Exception e)
    {
        if ((e as EngineFaultedException ?? e.InnerException as EngineFaultedException) is { } fault)
            lifecycle.ReportFault(fault);
    }

    private async Task RefuseAsync(HttpContext context, OpenAiError error)
    {
        Log.Refused(log, context.Request.Method, context.Request.Path, error.Status, error.Message);
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
