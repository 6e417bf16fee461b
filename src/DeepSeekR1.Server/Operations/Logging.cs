using Microsoft.AspNetCore.Http;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Formatting.Compact;

namespace DeepSeekR1.Server.Operations;

/// <summary>Where log lines go and which of them.</summary>
internal static class Logging
{
    /// <summary>The console logger of the options.</summary>
    public static Logger Create(ServerOptions options)
    {
        var configuration = new LoggerConfiguration()
            .MinimumLevel.Is(Enum.Parse<LogEventLevel>(options.LogLevel, ignoreCase: true))
            .MinimumLevel.Override("Microsoft", LogEventLevel.Warning)
            .MinimumLevel.Override("Microsoft.Hosting.Lifetime", LogEventLevel.Fatal)
            .Enrich.FromLogContext();
        return options.LogFormat == "json"
            ? configuration.WriteTo.Console(new RenderedCompactJsonFormatter()).CreateLogger()
            : configuration.WriteTo.Console(outputTemplate: "{Timestamp:HH:mm:ss} {Level:u3} {Message:lj}{NewLine}{Exception}",
                formatProvider: System.Globalization.CultureInfo.InvariantCulture).CreateLogger();
    }

    /// <summary>Level of the line that ends a request: probes and pages whisper, failures shout.</summary>
    public static LogEventLevel RequestLevel(HttpContext context, double milliseconds, Exception? exception)
    {
        if (exception is not null || context.Response.StatusCode >= 500 && context.Response.StatusCode != 503)
            return LogEventLevel.Error;
        bool quiet = context.Request.Path.StartsWithSegments("/health")
            || context.Request.Path.StartsWithSegments("/metrics")
            || context.Request.Path.StartsWithSegments("/swagger");
        return quiet ? LogEventLevel.Debug : LogEventLevel.Information;
    }
}
