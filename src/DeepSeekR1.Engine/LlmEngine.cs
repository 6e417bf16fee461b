using System.Collections.Concurrent;
using System.Diagnostics;
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
    private readonly ConcurrentDictionary<Sequence, byte> _alive = new();
    private volatile EngineFaultedException? _fault;
    private volatile EngineSnapshot _snapshot;
    private volatile bool _closing, _stop;
    private long _promptTokens, _generatedTokens, _steps, _finished, _cancelled;
    private volatile TaskCompletionSource? _drained;
    private readonly StepWatch _watch;
    private long _stepFaults, _stepEnded, _policyVersion;
    private int _faultsInARow;
    private InvalidOperationException? _broken;
    private long _nextDeadline = long.MaxValue;

    private LlmEngine(LoadedEngine loaded, EngineOptions options, Action<string> log)
    {
        _log = log;
        _loaded = loaded;
        _options = options;
        _blocks = new BlockManager(loaded.Facts.NumBlocks, loaded.Facts.BlockSize, options.EnablePrefixCaching);
        _scheduler = new Scheduler(_blocks, new SchedulerLimits(options.MaxNumSeqs, options.MaxNumBatchedTokens, loaded.Facts.MaxModelLen));
        Metrics = new EngineMetrics(loaded.Facts.MaxModelLen);
        _snapshot = TakeSnapshot();
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
        if (_alive.Count >= _options.MaxQueue + _options.MaxNumSeqs)
            throw new CapacityException($"The queue is full: {_options.MaxQueue} requests wait (--max-queue). Try again later.");
        var channel = Channel.CreateUnbounded<TokenOutput>(new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = false });
        var sequence = new Sequence(request, channel.Writer);
        _alive.TryAdd(sequence, 0);
        Post(() => Admit(sequence));

        // The thread may have ended between the check above and the post; nobody would answer then.
        if (_fault is { } late)
            End(sequence, late);
        else if (_stop)
            End(sequence, new CapacityException("The server is shutting down.", closing: true));
        return new GenerationStream(channel.Reader, () => Post(() => Cancel(sequence)), () => Post(() => Complete(sequence)), () => EndThoughtAsync(sequence));
    }

    private async Task<bool> EndThoughtAsync(Sequence sequence)
    {
        var ended = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() => ended.TrySetResult(sequence.EndThought()));

        // An engine that has stopped runs no commands any more.
        await Task.WhenAny(ended.Task, _stopped.Task).ConfigureAwait(false);
        return ended.Task.IsCompleted && await ended.Task.ConfigureAwait(false);
    }

    /// <summary>Counters and gauges as of the last step.</summary>
    public EngineSnapshot Snapshot() => _snapshot;

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
            _fault ??= new EngineFaultedException($"The engine stopped after a fault in step {_steps}: {e.Message}", e);
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
        _stepFaults++;
        var failed = _scheduler.Running.ToList();
        _log($"step {_steps} failed and its {failed.Count} requests with it; the engine goes on with an empty cache "
            + $"(failure {_faultsInARow} in a row, it is given up after {MaxFaultsInARow}): {cause}");
        var error = new StepFailedException($"The step that computed this request failed: {cause.Message} Send the request again.", cause);
        foreach (var sequence in failed)
        {
            _scheduler.Remove(sequence);
            Metrics.OnFailure(corrupted: false);
            End(sequence, error);
        }

        _blocks.Reset();
        _scheduler.CheckIntegrity();
        _snapshot = TakeSnapshot();
    }

    /// <summary>One turn of the loop: commands, one step, deliveries; or a wait when there is nothing to do.</summary>
    private void Turn()
    {
        while (_inbox.TryDequeue(out var command))
            command();
        Expire();
        var batch = _scheduler.Schedule();
        foreach (var (sequence, cause) in _scheduler.Rejected)
        {
            Metrics.OnFailure(corrupted: false);
            End(sequence, cause);
        }
        if (batch is null)
        {
            _snapshot = TakeSnapshot();
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
        _steps++;
        _faultsInARow = 0;
        _stepEnded = Stopwatch.GetTimestamp();
        Metrics.OnStep(batch.TotalTokens);
        _scheduler.Apply(output.Sampled, Deliver, output.Scores);
        _snapshot = TakeSnapshot();
    }

    private void Admit(Sequence sequence)
    {
        if (!_alive.ContainsKey(sequence))
            return;
        _promptTokens += sequence.PromptLength;
        _nextDeadline = Math.Min(_nextDeadline, sequence.Deadline);
        _scheduler.Add(sequence);
    }

    /// <summary>Ends what has run out of time: what is there is the answer.</summary>
    private void Expire()
    {
        long now = Environment.TickCount64;
        if (now < _nextDeadline)
            return;
        _nextDeadline = long.MaxValue;
        foreach (var sequence in _scheduler.All.ToList())
            if (sequence.Deadline > now)
                _nextDeadline = Math.Min(_nextDeadline, sequence.Deadline);
            else if (_scheduler.Remove(sequence))
                Finish(sequence, new TokenOutput(-1, FinishReason: FinishReason.Length, CachedTokens: sequence.CachedTokens));
    }

    private void Cancel(Sequence sequence)
    {
        if (!_scheduler.Remove(sequence))
            return;
        _cancelled++;
        Metrics.OnEnd(sequence, FinishReason.Cancelled, Stopwatch.GetTimestamp());
        _snapshot = TakeSnapshot();
        sequence.Outputs?.TryWrite(new TokenOutput(-1, FinishReason: FinishReason.Cancelled));
        End(sequence, null);
    }

    private void Complete(Sequence sequence)
    {
        if (!_scheduler.Remove(sequence))
            return;
        _finished++;
        Metrics.OnEnd(sequence, FinishReason.Stop, Stopwatch.GetTimestamp());
        _snapshot = TakeSnapshot();
        End(sequence, null);
    }

    private void Deliver(Sequence sequence, TokenOutput? output, SampledToken token)
    {
        if (output is null)
        {
            Metrics.OnFailure(token.IsModelFault);

            // Keys that are not numbers must not be found by the next request.
            if (token.IsModelFault)
                _blocks.Reset();
            End(sequence, token.IsModelFault ? new StepFailedException(token.Error!) : new InvalidRequestException(null, "no_token", token.Error!));
            return;
        }

        _generatedTokens++;
        Metrics.OnToken(sequence.Times, _stepEnded);
        if (output.FinishReason is null)
        {
            sequence.Outputs?.TryWrite(output);
            return;
        }

        Finish(sequence, output);
    }

    private void Finish(Sequence sequence, TokenOutput output)
    {
        // Who sees a request end must find it ended in the counters.
        _finished++;
        Metrics.OnEnd(sequence, output.FinishReason!.Value, Stopwatch.GetTimestamp());
        _snapshot = TakeSnapshot();
        sequence.Outputs?.TryWrite(output);
        End(sequence, null);
    }

    private void End(Sequence sequence, Exception? cause)
    {
        _alive.TryRemove(sequence, out _);
        sequence.Outputs?.TryComplete(cause);
    }

    /// <summary>No rank works any more: nobody has to wait for a thread that cannot be stopped.</summary>
    private void GiveUp()
    {
        _fault = new EngineFaultedException(_loaded.Ranks.Failure?.Message
            ?? $"Rank 0 did not come back from step {_steps}: no operation was begun for {_options.RankTimeoutSeconds} s (--rank-timeout). The engine is given up.");
        foreach (var sequence in _alive.Keys)
            End(sequence, _fault);
        _stopped.TrySetResult();
    }

    /// <summary>The thread's last act: everybody who still waits gets an answer, then memory is freed.</summary>
    private void Shut()
    {
        Exception cause = _fault ?? (Exception)new CapacityException("The server is shutting down.", closing: true);
        foreach (var sequence in _alive.Keys)
        {
            _scheduler.Remove(sequence);
            End(sequence, cause);
        }

        try
        {
            _scheduler.CheckIntegrity();
        }
        catch (InvalidOperationException e)
        {
            _broken = e;
        }

        _snapshot = TakeSnapshot();
        _watch.Dispose();
        _loaded.Ranks.Dispose();
        _stopped.TrySetResult();
    }

    private EngineSnapshot TakeSnapshot() => new(
        _scheduler.Running.Count, _scheduler.WaitingCount, _blocks.UsedBlocks, _blocks.NumBlocks,
        _promptTokens, _generatedTokens, _steps, _scheduler.Preemptions, _finished, _cancelled)
    {
        PrefixQueries = _scheduler.PrefixQueries,
        PrefixHits = _scheduler.PrefixHits,
        StepFaults = _stepFaults,
    };
}
