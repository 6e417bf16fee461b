using System.Security.Cryptography;
using System.Text;
using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// Lets a request in when no key is configured, or when it carries one of them. Keys are compared as hashes in constant time.
/// Health, metrics and the documentation need no key.
/// </summary>
internal sealed class Access(ServerOptions options)
{
    private static readonly string[] Open = ["/health", "/metrics", "/swagger"];

    private readonly byte[][] _hashes = [.. options.ApiKeys.Select(key => SHA256.HashData(Encoding.UTF8.GetBytes(key)))];

    /// <summary>The error of a request that must not pass; null lets it pass.</summary>
    public OpenAiError? Check(HttpRequest request)
    {
        if (_hashes.Length == 0 || HttpMethods.IsOptions(request.Method) || Open.Any(p => request.Path.StartsWithSegments(p)))
            return null;
        string? key = Key(request.Headers);
        if (key is null)
            return Refused("No API key was sent. Send the header 'Authorization: Bearer KEY'.");
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        bool known = false;
        foreach (byte[] allowed in _hashes)
            known |= CryptographicOperations.FixedTimeEquals(hash, allowed);
        return known ? null : Refused("The API key is not valid. Send a key of this server in the header 'Authorization: Bearer KEY'.");
    }

    /// <summary>Whose request it is, for turns in the queue: a name made from the key; null when no keys are configured.</summary>
    public string? TenantOf(HttpRequest request)
        => _hashes.Length > 0 && Key(request.Headers) is { } key ? Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(key)).AsSpan(0, 8)) : null;

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
