using System.Collections.Concurrent;
using System.Threading.Channels;
using DeepSeekR1.Compute;
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
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(500);
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
    private readonly Timer _watchdog;
    private long _stepBegan;
    private long _nextDeadline = long.MaxValue;

    private LlmEngine(LoadedEngine loaded, EngineOptions options)
    {
        _loaded = loaded;
        _options = options;
        _blocks = new BlockManager(loaded.Facts.NumBlocks, loaded.Facts.BlockSize, options.EnablePrefixCaching);
        _scheduler = new Scheduler(_blocks, new SchedulerLimits(options.MaxNumSeqs, options.MaxNumBatchedTokens, loaded.Facts.MaxModelLen));
        _snapshot = TakeSnapshot();
        _thread = new Thread(Run) { IsBackground = true, Name = "engine" };
        _thread.Start();
        _watchdog = new Timer(_ => Watch(), null, WatchInterval, WatchInterval);
    }

    /// <summary>What is true of the loaded engine.</summary>
    public EngineFacts Facts => _loaded.Facts;

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
            var engine = new LlmEngine(new EngineLoader(options, progress, log ?? (_ => { }), cancellation).Load(), options);
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
        Validate(request);
        if (_fault is { } fault)
            throw fault;
        if (_closing)
            throw new CapacityException("The server is shutting down. Send the request again to another instance or later.", closing: true);
        if (_alive.Count >= _options.MaxQueue + _options.MaxNumSeqs)
            throw new CapacityException($"The queue is full: {_options.MaxQueue} requests wait (--max-queue). Try again later.");
        var channel = Channel.CreateUnbounded<TokenOutput>(new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = false });
        var sequence = new Sequence(request, channel.Writer) { Deadline = DeadlineOf(request) };
        _alive.TryAdd(sequence, 0);
        Post(() => Admit(sequence));

        // The thread may have ended between the check above and the post; nobody would answer then.
        if (_fault is { } late)
            End(sequence, late);
        else if (_stop)
            End(sequence, new CapacityException("The server is shutting down.", closing: true));
        return new GenerationStream(channel.Reader, () => Post(() => Cancel(sequence)), () => EndThoughtAsync(sequence));
    }

    private static long DeadlineOf(GenerationRequest request)
        => request.TimeLimit is { } limit ? Environment.TickCount64 + (long)limit.TotalMilliseconds : long.MaxValue;

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

    /// <summary>Waits until every submitted request has ended, at most until the token is cancelled; new ones are refused.</summary>
    public async Task DrainAsync(CancellationToken cancellation)
    {
        _closing = true;
        var drained = _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() => { });
        await Task.WhenAny(drained.Task, _stopped.Task).WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Ends all requests and the engine thread, frees the model.</summary>
    public async ValueTask DisposeAsync()
    {
        _closing = true;
        _stop = true;
        _wake.Set();
        await _stopped.Task.ConfigureAwait(false);
        _wake.Dispose();
    }

    private void Validate(GenerationRequest request)
    {
        int prompt = request.PromptIds.Count, limit = Facts.MaxModelLen, wanted = request.Sampling.MaxTokens;
        if (prompt == 0)
            throw new InvalidRequestException("prompt", "invalid_value", "The prompt has no tokens. Send at least one.");
        if (prompt >= limit)
            throw new InvalidRequestException(
                "messages", "context_length_exceeded", $"The prompt has {prompt} tokens; the longest sequence is {limit} tokens and must leave room for an answer. Shorten it.");
        if (wanted < 1)
            throw new InvalidRequestException("max_tokens", "invalid_value", $"max_tokens is {wanted}; it must be at least 1.");
        if ((long)prompt + wanted > limit)
            throw new InvalidRequestException(
                "max_tokens", "context_length_exceeded",
                $"max_tokens is {wanted} and the prompt has {prompt} tokens, together {(long)prompt + wanted}; the longest sequence is {limit} tokens. Lower max_tokens to {limit - prompt} or shorten the prompt.");
        foreach (int id in request.PromptIds)
            if ((uint)id >= (uint)Facts.VocabularySize)
                throw new InvalidRequestException("prompt", "invalid_value", $"Token id {id} is outside the vocabulary, 0 to {Facts.VocabularySize - 1}.");
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
            // The engine is gone; who posts then has been answered already.
        }
    }

    private void Run()
    {
        try
        {
            TorchRuntime.SetThreads(_loaded.ThreadsPerRank);
            while (!_stop && _fault is null)
                Turn();
        }
        catch (Exception e)
        {
            _fault ??= new EngineFaultedException($"The engine stopped after a fault in step {_steps}: {e.Message}", e);
        }

        Shut();
    }

    /// <summary>One turn of the loop: commands, one step, deliveries; or a wait when there is nothing to do.</summary>
    private void Turn()
    {
        while (_inbox.TryDequeue(out var command))
            command();
        Expire();
        var batch = _scheduler.Schedule();
        foreach (var (sequence, cause) in _scheduler.Rejected)
            End(sequence, cause);
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

        Volatile.Write(ref _stepBegan, Environment.TickCount64);
        var output = _loaded.Ranks.Execute(batch);
        Volatile.Write(ref _stepBegan, 0);
        if (_fault is not null)
            return;
        _steps++;
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
        _snapshot = TakeSnapshot();
        sequence.Outputs?.TryWrite(new TokenOutput(-1, FinishReason: FinishReason.Cancelled));
        End(sequence, null);
    }

    private void Deliver(Sequence sequence, TokenOutput? output, string? error)
    {
        if (output is null)
        {
            End(sequence, new InvalidRequestException(null, "no_token", error!));
            return;
        }

        _generatedTokens++;
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
        _snapshot = TakeSnapshot();
        sequence.Outputs?.TryWrite(output);
        End(sequence, null);
    }

    private void End(Sequence sequence, Exception? cause)
    {
        _alive.TryRemove(sequence, out _);
        sequence.Outputs?.TryComplete(cause);
    }

    /// <summary>
    /// Gives the engine up when a step does not end: a thread that hangs in a kernel cannot be stopped, but nobody has to wait for it.
    /// Ranks that wait for each other give up first and say which one is missing.
    /// </summary>
    private void Watch()
    {
        long began = Volatile.Read(ref _stepBegan);
        double limit = _options.RankTimeoutSeconds + WatchInterval.TotalSeconds;
        if (began == 0 || _fault is not null || Environment.TickCount64 - began < 1000 * limit)
            return;
        _fault = new EngineFaultedException(
            $"Rank 0 did not come back from step {_steps} within {_options.RankTimeoutSeconds} s (--rank-timeout). The engine is given up.");
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

        _snapshot = TakeSnapshot();
        _watchdog.Dispose();
        _loaded.Ranks.Dispose();
        _stopped.TrySetResult();
    }

    private EngineSnapshot TakeSnapshot() => new(
        _scheduler.Running.Count,
        _scheduler.WaitingCount,
        _blocks.UsedBlocks,
        _blocks.NumBlocks,
        _promptTokens,
        _generatedTokens,
        _steps,
        _scheduler.Preemptions,
        _finished,
        _cancelled)
    {
        PrefixQueries = _scheduler.PrefixQueries,
        PrefixHits = _scheduler.PrefixHits,
    };
}
