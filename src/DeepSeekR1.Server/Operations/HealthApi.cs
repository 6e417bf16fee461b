using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DeepSeekR1.Server.Operations;

/// <summary>Probes and metrics.</summary>
internal sealed class HealthApi(Lifecycle lifecycle, MetricsPage metrics)
{
    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/health", ReadyAsync);
        routes.MapGet("/health/ready", ReadyAsync);
        routes.MapGet("/health/live", LiveAsync);
        routes.MapGet("/metrics", MetricsAsync);
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
