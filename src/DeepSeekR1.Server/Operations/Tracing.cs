using DeepSeekR1.Engine.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// Sends traces to an OpenTelemetry collector: the span of each HTTP request (a <c>traceparent</c> header is continued) and below it the
/// engine's spans of queue, prefill and decode. Nothing runs without an endpoint.
/// </summary>
internal static class Tracing
{
    /// <summary>The exporter; null when no endpoint is configured.</summary>
    public static TracerProvider? Start(ServerOptions options)
    {
        if (options.OtlpTracesEndpoint is not { } endpoint)
            return null;
        return Sdk.CreateTracerProviderBuilder()
            .ConfigureResource(resource => resource.AddService("deepseek-r1", serviceVersion: typeof(Tracing).Assembly.GetName().Version?.ToString(3)))
            .AddSource("Microsoft.AspNetCore", EngineTracing.SourceName)
            .AddOtlpExporter(exporter =>
            {
                exporter.Endpoint = endpoint;
                exporter.Protocol = options.OtlpGrpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
            })
            .Build();
    }
}
