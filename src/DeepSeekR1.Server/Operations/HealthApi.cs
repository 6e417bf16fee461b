using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DeepSeekR1.Server.Operations;

/// <summary>Probes and metrics.</summary>
internal sealed class HealthApi(Lifecycle lifecycle, MetricsPage metrics)
{
    /// <summary>Methods of a route that only reads: probes and proxies ask with HEAD.</summary>
    public static readonly string[] Reading = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/health", Reading, ReadyAsync);
        routes.MapMethods("/health/ready", Reading, ReadyAsync);
        routes.MapMethods("/health/live", Reading, LiveAsync);
        routes.MapMethods("/metrics", Reading, MetricsAsync);
    }

    private Task ReadyAsync(HttpContext context)
    {
        lifecycle.Require();
        return context.Response.WriteAsJsonAsync(new HealthReport("ok"), WireJson.Default.HealthReport);
    }

    /// <summary>The process lives; while it loads, the answer says how far it is (startup probe).</summary>
    private Task LiveAsync(HttpContext context)
    {
        var report = lifecycle.State switch
        {
            ServerState.Loading => new HealthReport("loading", lifecycle.Progress.Phase, Math.Round(lifecycle.Progress.Fraction, 4)),
            ServerState.Ready => new HealthReport("ok"),
            ServerState.Draining => new HealthReport("draining"),
            _ => new HealthReport("failed"),
        };
        return context.Response.WriteAsJsonAsync(report, WireJson.Default.HealthReport);
    }

    private Task MetricsAsync(HttpContext context)
    {
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        return context.Response.WriteAsync(metrics.Write());
    }
}
