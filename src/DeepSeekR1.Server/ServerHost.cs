using System.Net;
using System.Net.Sockets;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Server.Operations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry.Trace;
using Serilog;

namespace DeepSeekR1.Server;

/// <summary>
/// The whole server: options in, a running OpenAI-style server out. The port opens at once; the model loads behind it.
/// </summary>
public sealed class ServerHost : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ServerOptions _options;
    private readonly Lifecycle _lifecycle;
    private readonly TracerProvider? _tracing;

    private ServerHost(WebApplication app, ServerOptions options)
    {
        _app = app;
        _options = options;
        _lifecycle = app.Services.GetRequiredService<Lifecycle>();
        _tracing = Tracing.Start(options);
    }

    /// <summary>Where the server listens; known once it has started.</summary>
    public Uri Address { get; private set; } = new("http://localhost");

    /// <summary>How far loading has come.</summary>
    public LoadProgress Progress => _lifecycle.Progress;

    /// <summary>Builds the server; nothing runs yet.</summary>
    public static ServerHost Create(ServerOptions options)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "deepseek-r1" });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            Sockets.Limit(kestrel.Limits, options);
            kestrel.Listen(ParseHost(options.Host), options.Port);
        });
        builder.Services.Configure<SocketTransportOptions>(transport => transport.CreateBoundListenSocket = endpoint => Sockets.Listen(endpoint, options.ClientTimeout));
        builder.Services.AddRoutingCore();
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => policy.WithOrigins([.. options.AllowedOrigins])
            .AllowAnyHeader().AllowAnyMethod().WithExposedHeaders(ErrorBorder.ExposedHeaders)));
        builder.Services.AddSerilog(options.Logger ?? Logging.Create(options), dispose: options.Logger is null);
        builder.Services.Configure<HostOptions>(host =>
        {
            host.ShutdownTimeout = TimeSpan.FromSeconds(options.ShutdownTimeoutSeconds + 10);
            host.BackgroundServiceExceptionBehavior = BackgroundServiceExceptionBehavior.Ignore;
        });
        AddOurs(builder.Services, options);
        return new ServerHost(Configure(builder.Build()), options);
    }

    /// <summary>Opens the port and begins to load the model.</summary>
    /// <exception cref="StartupException">The port cannot be opened.</exception>
    public async Task StartAsync(CancellationToken cancellation = default)
    {
        try
        {
            await _app.StartAsync(cancellation);
        }
        catch (IOException e) when (e.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            throw new StartupException(
                $"Port {_options.Port} on {_options.Host} is in use. Choose another with --port, or stop the server that has it.", e);
        }
        catch (SocketException e)
        {
            throw new StartupException($"Cannot listen on {_options.Host} port {_options.Port}: {e.Message}. Choose another address of this machine with --host, or another port with --port.", e);
        }
        var addresses = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!;
        Address = new Uri(addresses.Addresses.First());
        Operations.Log.Listening(_app.Logger, Address, _app.Services.GetRequiredService<ServedModels>().Names[0]);
    }

    /// <summary>Waits until requests are answered.</summary>
    /// <exception cref="StartupException">The model cannot be served.</exception>
    public Task WaitUntilReadyAsync(CancellationToken cancellation = default) => _lifecycle.Loaded.WaitAsync(cancellation);

    /// <summary>Waits until the server has stopped by signal, or until the engine has failed.</summary>
    /// <exception cref="EngineFaultedException">The engine failed; the server has stopped.</exception>
    public async Task WaitForShutdownAsync(CancellationToken cancellation = default)
    {
        var stopped = _app.WaitForShutdownAsync(cancellation);
        if (await Task.WhenAny(stopped, _lifecycle.Faulted) == stopped)
        {
            await stopped;
            return;
        }
        await _app.StopAsync(cancellation);
        throw await _lifecycle.Faulted;
    }

    /// <summary>Counters and gauges of the engine; null while the model is loading.</summary>
    public EngineSnapshot? Snapshot() => _lifecycle.EngineOrNull?.Snapshot();

    /// <summary>Drains and closes.</summary>
    public Task StopAsync(CancellationToken cancellation = default) => _app.StopAsync(cancellation);

    /// <summary>Ends running requests now, if the server is draining: their clients are told, and the port closes.</summary>
    public void CutDrain() => _lifecycle.CutDrain();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _tracing?.Dispose();
    }

    private static void AddOurs(IServiceCollection services, ServerOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<ServedModels>();
        services.AddSingleton<RequestCounters>();
        services.AddSingleton<ApiKeys>();
        services.AddSingleton<Access>();
        services.AddSingleton<RequestMapper>();
        services.AddSingleton<AnswerWriter>();
        services.AddSingleton<ChatCompletionsApi>();
        services.AddSingleton<CompletionsApi>();
        services.AddSingleton<MetricsPage>();
        services.AddSingleton<HealthApi>();
        services.AddSingleton<Lifecycle>();
        services.AddHostedService(provider => provider.GetRequiredService<Lifecycle>());
        services.AddHostedService<StatsLogger>();
        OpenApiDocument.Add(services);
    }

    private static WebApplication Configure(WebApplication app)
    {
        // Bad keys must be found at the start, not by the first request.
        app.Services.GetRequiredService<ApiKeys>();
        app.UseSerilogRequestLogging(logging =>
        {
            logging.Logger = app.Services.GetRequiredService<Serilog.ILogger>();
            logging.GetLevel = (_, _, _) => Serilog.Events.LogEventLevel.Debug;
        });
        // Outside of the border, so that a page of another origin can read refusals too.
        if (app.Services.GetRequiredService<ServerOptions>().AllowedOrigins.Count > 0)
            app.UseCors();
        app.UseMiddleware<ErrorBorder>();
        app.UseRouting();
        OpenApiDocument.Use(app);
        app.Services.GetRequiredService<ChatCompletionsApi>().Map(app);
        app.Services.GetRequiredService<CompletionsApi>().Map(app);
        app.Services.GetRequiredService<HealthApi>().Map(app);
        return app;
    }

    private static IPAddress ParseHost(string host) => host is "localhost" ? IPAddress.Loopback
        : IPAddress.TryParse(host, out var address) ? address
        : throw new StartupException($"Host '{host}' is not an IP address. Use 127.0.0.1, 0.0.0.0 (all), or another address of this machine.");
}
