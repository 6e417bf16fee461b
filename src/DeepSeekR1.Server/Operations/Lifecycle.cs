using System.Diagnostics;
using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Text;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DeepSeekR1.Server.Operations;

/// <summary>What the server can do now.</summary>
internal enum ServerState
{
    /// <summary>The model is being loaded.</summary>
    Loading,

    /// <summary>Requests are answered.</summary>
    Ready,

    /// <summary>Running requests finish, new ones are refused.</summary>
    Draining,

    /// <summary>The model could not be loaded, or the engine failed.</summary>
    Failed,
}

/// <summary>
/// Loads the model while the port is open, hands it out once it is ready, drains it before the port closes. Owns the engine.
/// State changes in one direction only; readable from every thread.
/// </summary>
internal sealed class Lifecycle(ServerOptions options, ILogger<Lifecycle> log) : IHostedLifecycleService, IAsyncDisposable
{
    private readonly CancellationTokenSource _stopLoading = new();
    private readonly CancellationTokenSource _cutDrain = new();
    private readonly ServiceNotifier _notifier = new(options.NotifySocket);
    private readonly TaskCompletionSource<ChatEngine> _loaded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<EngineFaultedException> _faulted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Stopwatch _watch = new();
    private volatile LoadProgress _progress = new("start", 0);
    private volatile ChatEngine? _engine;
    private volatile ServerState _state = ServerState.Loading;
    private int _disposed, _closed;
    private Task _loading = Task.CompletedTask;

    /// <summary>What the server can do now.</summary>
    public ServerState State => _engine is { IsHealthy: false } && _state == ServerState.Ready ? ServerState.Failed : _state;

    /// <summary>How far loading has come.</summary>
    public LoadProgress Progress => _progress;

    /// <summary>The engine, in whatever state; null while it is being loaded.</summary>
    public ChatEngine? EngineOrNull => _engine;

    /// <summary>Completes when the model is ready, or with the reason why it is not.</summary>
    public Task<ChatEngine> Loaded => _loaded.Task;

    /// <summary>Completes when the engine has failed.</summary>
    public Task<EngineFaultedException> Faulted => _faulted.Task;

    /// <summary>The engine for a new request.</summary>
    /// <exception cref="OpenAiException">503 while loading, draining or after a failure.</exception>
    public ChatEngine Require() => (State, _engine) switch
    {
        (ServerState.Ready, { } engine) => engine,
        (ServerState.Loading, _) => throw new OpenAiException(LoadingError()),
        (ServerState.Draining, _) => throw new OpenAiException(OpenAiError.Unavailable("shutting_down",
            "The server is shutting down and takes no new requests. Try again in a few seconds.", retryAfterSeconds: 5)),
        _ => throw new OpenAiException(new OpenAiError(500, "server_error", "engine_fault", null,
            "The engine has failed and answers no more requests. Restart the server; its log holds the details.")),
    };

    /// <summary>Tells that a request saw the engine fail.</summary>
    public void ReportFault(EngineFaultedException fault)
    {
        _state = ServerState.Failed;
        if (_faulted.TrySetResult(fault))
            Log.EngineFault(log, fault, Flags.Spell(fault.Message));
    }

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        _watch.Start();
        _loading = Task.Factory.StartNew(Load, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    /// <summary>Ends the wait for running requests, or the wait that is to come.</summary>
    public void CutDrain() => _cutDrain.Cancel();

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        bool wasReady = State == ServerState.Ready;
        if (_state != ServerState.Failed)
            _state = ServerState.Draining;
        await _stopLoading.CancelAsync();
        _notifier.Stopping(TimeSpan.FromSeconds(options.ShutdownTimeoutSeconds));
        if (!wasReady || _engine is not { } engine)
            return;
        var snapshot = engine.Snapshot();
        Log.Draining(log, snapshot.Running + snapshot.Waiting, options.ShutdownTimeoutSeconds);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _cutDrain.Token);
        deadline.CancelAfter(TimeSpan.FromSeconds(options.ShutdownTimeoutSeconds));
        try
        {
            await engine.DrainAsync(deadline.Token);
            Log.Drained(log);
        }
        catch (OperationCanceledException) when (_cutDrain.IsCancellationRequested)
        {
            Log.DrainCut(log);
        }
        catch (OperationCanceledException)
        {
            Log.DrainTimeout(log, options.ShutdownTimeoutSeconds);
        }
        // What still runs ends here, before the port closes, so that its clients are told.
        await CloseEngineAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // The container knows this object twice (as itself and as hosted service) and disposes it twice.
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _stopLoading.CancelAsync();
        await _loading;
        await CloseEngineAsync();
        _stopLoading.Dispose();
        _cutDrain.Dispose();
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private async Task CloseEngineAsync()
    {
        if (_engine is { } engine && Interlocked.Exchange(ref _closed, 1) == 0)
            await engine.DisposeAsync();
    }

    private void Load()
    {
        try
        {
            string? template = options.ChatTemplateFile is { } file ? ReadTemplate(file) : null;
            var engine = options.LoadEngine(options.Engine, new ProgressSink(this), _stopLoading.Token, line => Log.Engine(log, Flags.Spell(line)));
            _engine = new ChatEngine(engine, template);
            if (_state == ServerState.Loading)
                _state = ServerState.Ready;
            Log.Ready(log, _engine.Facts, _watch.Elapsed.TotalSeconds);
            _notifier.Ready(options.Engine.ModelPath);
            _loaded.TrySetResult(_engine);
            _ = WatchAsync(_engine);
        }
        catch (Exception e)
        {
            _state = ServerState.Failed;
            _loaded.TrySetException(e switch
            {
                OperationCanceledException => e,
                StartupException => new StartupException(Flags.Spell(e.Message), e),
                _ => new StartupException($"Loading '{options.Engine.ModelPath}' failed: {e.Message}", e),
            });
            _ = _loaded.Task.Exception;
        }
    }

    /// <summary>A fault that no request sees must end the process too.</summary>
    private async Task WatchAsync(ChatEngine engine)
    {
        await engine.Stopped;
        if (engine.Fault is { } fault)
            ReportFault(fault);
    }

    private static string ReadTemplate(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"The chat template '{file}' cannot be read: {e.Message}", e);
        }
    }

    /// <summary>503 with the percentage, and a guess of the time left from the time gone.</summary>
    private OpenAiError LoadingError()
    {
        var progress = _progress;
        double left = progress.Fraction > 0.01 ? _watch.Elapsed.TotalSeconds * (1 - progress.Fraction) / progress.Fraction : 5;
        int percent = (int)Math.Floor(100 * Math.Clamp(progress.Fraction, 0, 0.99));
        return OpenAiError.Unavailable("model_loading", string.Create(CultureInfo.InvariantCulture,
            $"The model is loading: {percent} % ({progress.Phase}). Try again in a few seconds."), (int)Math.Clamp(Math.Ceiling(left), 1, 60));
    }

    private sealed class ProgressSink(Lifecycle owner) : IProgress<LoadProgress>
    {
        private int _percent = -1;

        public void Report(LoadProgress value)
        {
            owner._progress = value;
            int percent = (int)(100 * value.Fraction);
            if (Interlocked.Exchange(ref _percent, percent) != percent)
                owner._notifier.Loading(value.Phase, value.Fraction);
        }
    }
}
