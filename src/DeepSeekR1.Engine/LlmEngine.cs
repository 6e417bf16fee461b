using System.Collections.Concurrent;
using System.Threading.Channels;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Engine.Diagnostics;
using DeepSeekR1.Engine.Execution;
using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Engine;

/// <summary>How far loading has come.</summary>
/// <param name="Phase">What is being done, for example "weights".</param>
/// <param name="Fraction">0 to 1 over the whole start.</param>
public sealed record LoadProgress(string Phase, double Fraction);

/// <summary>
/// Token ids in, token ids out, for many requests at once. One dedicated thread owns scheduler, model and cache; everybody else
/// talks to it through the inbox and reads from a channel per request. A fault ends all requests with an exception; the thread
/// never dies silently.
/// </summary>
public sealed class LlmEngine : IAsyncDisposable
{
    private const int MaxFaultsInARow = 2;
    private readonly Action<string> _log;
    private readonly LoadedEngine _loaded;
    private readonly EngineOptions _options;
    private readonly BlockManager _blocks;
    private readonly Scheduler _scheduler;
    private readonly ConcurrentQueue<Action> _inbox = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly RequestLedger _requests;
    private volatile EngineFaultedException? _fault;
    private volatile bool _closing, _stop;
    private volatile TaskCompletionSource? _drained;
    private readonly StepWatch _watch;
    private long _policyVersion;
    private int _faultsInARow;
    private InvalidOperationException? _broken;

    private LlmEngine(LoadedEngine loaded, EngineOptions options, Action<string> log)
    {
        _log = log;
        _loaded = loaded;
        _options = options;
        _blocks = new BlockManager(loaded.Facts.NumBlocks, loaded.Facts.BlockSize, options.EnablePrefixCaching);
        _scheduler = new Scheduler(_blocks, new SchedulerLimits(options.MaxNumSeqs, options.MaxNumBatchedTokens, loaded.Facts.MaxModelLen, loaded.Facts.VocabularySize));
        Metrics = new EngineMetrics(loaded.Facts.MaxModelLen);
        _requests = new RequestLedger(_scheduler, _blocks, Metrics);
        _watch = new StepWatch(() => loaded.Ranks.Progress, TimeSpan.FromSeconds(options.RankTimeoutSeconds), GiveUp);
        _thread = new Thread(Run) { IsBackground = true, Name = "engine" };
        _thread.Start();
    }

    /// <summary>What is true of the loaded engine.</summary>
    public EngineFacts Facts => _loaded.Facts;

    /// <summary>Times and sizes of requests so far.</summary>
    public EngineMetrics Metrics { get; }

    /// <summary>Tokenizer and template of the checkpoint.</summary>
    public ModelTextAssets TextAssets => _loaded.TextAssets;

    /// <summary>Most requests that run and wait at once.</summary>
    public int MaxRequests => _options.MaxQueue + _options.MaxNumSeqs;

    /// <summary>False once the engine has faulted or is closing.</summary>
    public bool IsHealthy => _fault is null && !_closing;

    /// <summary>Completes when the engine answers no more: after a fault, or when it was disposed.</summary>
    public Task Stopped => _stopped.Task;

    /// <summary>The fault that ended the engine; null while it runs.</summary>
    public EngineFaultedException? Fault => _fault;

    /// <summary>Loads a checkpoint and starts the engine thread. Blocks; call it from a background thread.</summary>
    /// <param name="options">What to load and how.</param>
    /// <param name="progress">Hears how far it is.</param>
    /// <param name="cancellation">Gives up between two tensors.</param>
    /// <param name="log">Receives one line per decision and measured fact.</param>
    /// <exception cref="StartupException">The checkpoint cannot be served.</exception>
    public static LlmEngine Load(
        EngineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellation = default, Action<string>? log = null)
    {
        try
        {
            log ??= _ => { };
            var engine = new LlmEngine(new EngineLoader(options, progress, log, cancellation).Load(), options, log);
            progress?.Report(new LoadProgress("ready", 1));
            return engine;
        }
        catch (ModelLoadException e)
        {
            throw new StartupException(e.Message, e);
        }
    }

    /// <summary>Queues a request.</summary>
    /// <exception cref="InvalidRequestException">It can never be served (too long, id out of range).</exception>
    /// <exception cref="CapacityException">The queue is full or the engine is closing.</exception>
    /// <exception cref="EngineFaultedException">The engine has failed.</exception>
    public GenerationStream Submit(GenerationRequest request)
    {
        Facts.Check(request);
        if (_fault is { } fault)
            throw fault;
        if (_closing)
            throw new CapacityException("The server is shutting down. Send the request again to another instance or later.", closing: true);
        var channel = Channel.CreateUnbounded<TokenOutput>(new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = false });
        var sequence = new Sequence(request, channel.Writer);
        if (!_requests.TryOpen(sequence, MaxRequests))
            throw new CapacityException($"The queue is full: {_options.MaxQueue} requests wait ({EngineOptionList.MaxQueue}). Try again later.");
        Post(() => _requests.Admit(sequence));

        // The thread may have ended between the check above and the post; nobody would answer then.
        if (_fault is { } late)
            _requests.End(sequence, late);
        else if (_stop)
            _requests.End(sequence, new CapacityException("The server is shutting down.", closing: true));
        return new GenerationStream(channel.Reader, () => Post(() => _requests.Cancel(sequence)), () => Post(() => _requests.Complete(sequence)),
            change => AdjustAsync(sequence, change));
    }

    private async Task<bool> AdjustAsync(Sequence sequence, Func<ITokenGuide, bool> change)
    {
        var changed = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() =>
        {
            try
            {
                changed.TrySetResult(sequence.Status != SequenceStatus.Finished && sequence.Request.Guide is { } guide && change(guide));
            }
            catch (Exception e)
            {
                changed.TrySetException(e);
            }
        });

        // An engine that has stopped runs no commands any more.
        await Task.WhenAny(changed.Task, _stopped.Task).ConfigureAwait(false);
        return changed.Task.IsCompleted && await changed.Task.ConfigureAwait(false);
    }

    /// <summary>Counters and gauges as of the last step.</summary>
    public EngineSnapshot Snapshot() => _requests.Snapshot;

    /// <summary>How often the weights were replaced since the start: 0 for the checkpoint's own.</summary>
    public long PolicyVersion => Interlocked.Read(ref _policyVersion);

    /// <summary>
    /// Changes the weights between two steps, on the engine's thread, and forgets every cached prefix: keys of the old weights serve nobody. Requests that are running go
    /// on with the new weights and the keys they have; whoever wants one policy per sequence waits for them first.
    /// </summary>
    /// <param name="update">Is given the model of each rank in order.</param>
    /// <returns>The new <see cref="PolicyVersion"/>, when the change is done.</returns>
    /// <exception cref="EngineFaultedException">The engine has failed.</exception>
    public Task<long> UpdateWeightsAsync(Action<Models.CausalLm> update)
    {
        if (_fault is { } fault)
            throw fault;
        var done = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() =>
        {
            try
            {
                using var scope = new TensorScope();
                foreach (var runner in _loaded.Ranks.Runners)
                    update(runner.Model);
                _blocks.Reset();
                done.TrySetResult(Interlocked.Increment(ref _policyVersion));
            }
            catch (Exception e)
            {
                done.TrySetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Waits until every submitted request has ended, at most until the token is cancelled; new ones are refused.</summary>
    public async Task DrainAsync(CancellationToken cancellation)
    {
        _closing = true;
        var drained = _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() => { });
        await Task.WhenAny(drained.Task, _stopped.Task).WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Ends all requests and the engine thread, frees the model.</summary>
    /// <exception cref="InvalidOperationException">The block accounting did not add up: a bug of this program.</exception>
    public async ValueTask DisposeAsync()
    {
        _closing = true;
        _stop = true;
        _wake.Set();
        await _stopped.Task.ConfigureAwait(false);
        _wake.Dispose();
        if (_broken is { } broken)
            throw broken;
    }

    private void Post(Action command)
    {
        _inbox.Enqueue(command);
        try
        {
            _wake.Set();
        }
        catch (ObjectDisposedException)
        {
            // The engine is gone, and everybody has been answered.
        }
    }

    private void Run()
    {
        try
        {
            TorchRuntime.SetThreads(_loaded.ThreadsPerRank);
            while (!_stop && _fault is null)
                try
                {
                    Turn();
                }
                catch (Exception e) when (_fault is null && e is not RankFailedException && ++_faultsInARow <= MaxFaultsInARow)
                {
                    Recover(e);
                }
        }
        catch (Exception e)
        {
            if (_fault is null)
                _requests.CountStepFault();
            _fault ??= new EngineFaultedException($"The engine stopped after a fault in step {_requests.Steps}: {e.Message}", e);
        }

        Shut();
    }

    /// <summary>
    /// A step has failed: its requests end with an error, the others go on with an empty cache, whose slots are written before they are read.
    /// Ranks that share a model cannot go on, because they may stand at different places.
    /// </summary>
    private void Recover(Exception cause)
    {
        _watch.StepEnds();
        _log($"step {_requests.Steps} failed and its {_scheduler.Running.Count} requests with it; the engine goes on with an empty cache "
            + $"(failure {_faultsInARow} in a row, it is given up after {MaxFaultsInARow}): {cause}");
        _requests.OnStepFault(new StepFailedException($"The step that computed this request failed: {cause.Message} Send the request again.", cause));
    }

    /// <summary>One turn of the loop: commands, one step, deliveries; or a wait when there is nothing to do.</summary>
    private void Turn()
    {
        while (_inbox.TryDequeue(out var command))
            command();
        _requests.Expire(Environment.TickCount64);
        var batch = _scheduler.Schedule();
        Reject();
        if (batch is null)
        {
            _requests.Publish();
            if (_scheduler.IsIdle && _inbox.IsEmpty)
            {
                _drained?.TrySetResult();
                _wake.WaitOne();
            }

            return;
        }

        _watch.StepBegins();
        var output = _loaded.Ranks.Execute(batch);
        _watch.StepEnds();
        if (_fault is not null)
            return;
        _faultsInARow = 0;
        _requests.OnStep(batch.TotalTokens);
        _scheduler.Apply(batch, output, _requests.Deliver);
        Reject();
        _requests.Publish();
    }

    /// <summary>Ends the requests whose guides have failed.</summary>
    private void Reject()
    {
        foreach (var (sequence, cause) in _scheduler.Rejected)
            _requests.Fail(sequence, cause);
        _scheduler.Rejected.Clear();
    }

    /// <summary>No rank works any more: nobody has to wait for a thread that cannot be stopped.</summary>
    private void GiveUp()
    {
        _requests.CountStepFault();
        _fault = new EngineFaultedException(_loaded.Ranks.Failure?.Message
            ?? $"Rank 0 did not come back from step {_requests.Steps}: no operation was begun for {_options.RankTimeoutSeconds} s ({EngineOptionList.RankTimeout}). The engine is given up.");
        _requests.EndAll(_fault);
        _stopped.TrySetResult();
    }

    /// <summary>The thread's last act: everybody who still waits gets an answer, then memory is freed.</summary>
    private void Shut()
    {
        _requests.RemoveAll(_fault ?? (Exception)new CapacityException("The server is shutting down and has ended this request. Send it again to another instance or later.", closing: true));
        try
        {
            _scheduler.CheckIntegrity();
        }
        catch (InvalidOperationException e)
        {
            _broken = e;
        }

        _requests.Publish();
        _watch.Dispose();
        _loaded.Ranks.Dispose();
        _stopped.TrySetResult();
    }
}
