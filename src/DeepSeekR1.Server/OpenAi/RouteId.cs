using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>The <c>id</c> in a path. Clients escape the slash of a name such as <c>org/model</c>, and routing leaves that escape as it is.</summary>
internal static class RouteId
{
    /// <summary>The id of a request's route; empty when there is none.</summary>
    public static string Of(HttpContext context)
        => (context.Request.RouteValues["id"] as string ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
}
