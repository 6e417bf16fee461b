using System.Globalization;
using DeepSeekR1.Engine;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>An error with its HTTP status, in the words of OpenAI's error object.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Type">Class of error, for example <c>invalid_request_error</c>.</param>
/// <param name="Code">Machine-readable code; null when there is none.</param>
/// <param name="Param">Offending field; null when there is none.</param>
/// <param name="Message">For people: value, limit, next step.</param>
/// <param name="RetryAfterSeconds">When to try again; null when trying again does not help.</param>
internal sealed record OpenAiError(
    int Status, string Type, string? Code, string? Param, string Message, int? RetryAfterSeconds = null)
{
    /// <summary>Code of a failure that nobody foresaw.</summary>
    public const string Unexpected = "internal_error";

    /// <summary>The error that a status without a body stands for.</summary>
    public static OpenAiError FromStatus(HttpContext context) => context.Response.StatusCode switch
    {
        404 => Invalid(404, "not_found",
            $"No route {context.Request.Method} {context.Request.Path}. See /swagger for the routes of this server."),
        405 => Invalid(405, "method_not_allowed",
            $"{context.Request.Path} does not accept {context.Request.Method}. Use {context.Response.Headers.Allow}."),
        int status and < 500 => Invalid(status, null, $"The request was refused with HTTP status {status}."),
        int status => new OpenAiError(status, "server_error", null, null, $"The server failed with HTTP status {status}."),
    };

    /// <summary>The error that an exception stands for.</summary>
    public static OpenAiError From(Exception exception) => exception switch
    {
        OpenAiException e => e.Error,
        BrokenStreamException { InnerException: { } cause } => From(cause),
        InvalidRequestException e => new OpenAiError(400, "invalid_request_error", e.Code, e.Param, Flags.Spell(e.Message)),
        CapacityException { Closing: true } e => Unavailable("shutting_down", Flags.Spell(e.Message), retryAfterSeconds: 5),
        CapacityException e => new OpenAiError(429, "rate_limit_error", "queue_full", null, Flags.Spell(e.Message), RetryAfterSeconds: 1),
        BadHttpRequestException { StatusCode: 413 } => TooLarge(null),
        BadHttpRequestException e => Invalid(e.StatusCode, "bad_request", e.Message),
        StepFailedException e => new OpenAiError(500, "server_error", "step_failed", null, Flags.Spell(e.Message), RetryAfterSeconds: 1),
        EngineFaultedException e => new OpenAiError(500, "server_error", "engine_fault", null,
            $"The engine failed and answers no more requests: {Flags.Spell(e.Message)} Restart the server; its log holds the details."),
        _ => new OpenAiError(500, "server_error", Unexpected, null, "The server failed on this request; its log holds the details."),
    };

    /// <summary>A request that is wrong in itself.</summary>
    public static OpenAiError Invalid(int status, string? code, string message, string? param = null)
        => new(status, "invalid_request_error", code, param, message);

    /// <summary>The server cannot answer now.</summary>
    public static OpenAiError Unavailable(string code, string message, int retryAfterSeconds)
        => new(503, "service_unavailable", code, null, message, retryAfterSeconds);

    /// <summary>The body is over the limit.</summary>
    public static OpenAiError TooLarge(long? limitBytes) => Invalid(413, "request_too_large",
        limitBytes is { } limit
            ? string.Create(CultureInfo.InvariantCulture, $"The request body is larger than {limit} bytes. Send a smaller one.")
            : "The request body is larger than this server allows. Send a smaller one.");

    /// <summary>Writes status, headers and body.</summary>
    public async Task WriteAsync(HttpContext context)
    {
        var response = context.Response;
        string allow = response.Headers.Allow.ToString();
        response.StatusCode = Status;
        if (Status == 401)
            response.Headers.WWWAuthenticate = "Bearer";
        if (allow.Length > 0)
            response.Headers.Allow = allow;
        if (RetryAfterSeconds is { } seconds)
            response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        else
            response.Headers["x-should-retry"] = "false";
        await response.WriteAsJsonAsync(ToBody(), WireJson.Default.ErrorBody, "application/json", context.RequestAborted);
    }

    /// <summary>The body as it goes over the wire.</summary>
    public ErrorBody ToBody() => new(new ErrorDetail(Message, Type, Param, Code));
}

/// <summary>Ends a request with an error.</summary>
internal sealed class OpenAiException(OpenAiError error) : Exception(error.Message)
{
    /// <summary>What the client gets.</summary>
    public OpenAiError Error { get; } = error;
}

/// <summary>A failure after the answer has begun: the stream has told the client, the connection must break.</summary>
internal sealed class BrokenStreamException(Exception cause) : Exception("The answer broke off: " + cause.Message, cause);
