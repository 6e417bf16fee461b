using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// Lets a request in when no key is configured, or when it carries one of them, and counts generating requests against the limits of
/// their key. Health, metrics and the documentation need no key.
/// </summary>
internal sealed class Access(ApiKeys keys)
{
    private static readonly string[] Open = ["/health", "/metrics", "/swagger"];

    /// <summary>The error of a request that must not pass; null lets it pass and remembers whose it is.</summary>
    public OpenAiError? Check(HttpContext context)
    {
        var request = context.Request;
        if (!keys.Required)
        {
            context.Features.Set(keys.Everybody);
            return null;
        }
        if (HttpMethods.IsOptions(request.Method) || Open.Any(p => request.Path.StartsWithSegments(p)))
            return null;
        string? key = Key(request.Headers);
        if (key is null)
            return Refused("No API key was sent. Send the header 'Authorization: Bearer KEY'.");
        if (keys.Find(key) is not { } tenant)
            return Refused("The API key is not valid. Send a key of this server in the header 'Authorization: Bearer KEY'.");
        context.Features.Set(tenant);
        return null;
    }

    /// <summary>Counts a request that generates; its owner.</summary>
    /// <exception cref="OpenAiException">429: a limit of its key is used up.</exception>
    public Tenant Admit(HttpContext context)
    {
        var tenant = context.Features.Get<Tenant>() ?? keys.Everybody;
        tenant.Admit(context.Response.Headers);
        return tenant;
    }

    private static string? Key(IHeaderDictionary headers)
    {
        string authorization = headers.Authorization.ToString();
        if (authorization.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return authorization[7..].Trim();
        string other = headers["api-key"].ToString();
        return other.Length > 0 ? other : null;
    }

    private static OpenAiError Refused(string message) => new(401, "authentication_error", "invalid_api_key", null, message);
}
