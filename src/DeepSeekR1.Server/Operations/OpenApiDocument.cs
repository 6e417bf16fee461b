using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace DeepSeekR1.Server.Operations;

/// <summary>The OpenAPI document and its page.</summary>
internal static class OpenApiDocument
{
    /// <summary>Adds the generator.</summary>
    public static void Add(IServiceCollection services, ServerOptions options)
    {
    }

    /// <summary>Adds document and page.</summary>
    public static void Use(WebApplication app)
    {
    }
}
