using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// The ranks that share one model, one thread each. <see cref="Execute"/> gives every rank the same step and returns what rank 0
/// sampled. Rank 0 runs on the calling thread, which must always be the same one. When a rank fails, or does not come back in
/// time, the step ends with an exception that names it; the group cannot be used any more then.
/// </summary>
public sealed class RankGroup : IDisposable
{
    private readonly IReadOnlyList<ModelRunner> _runners;
    private readonly LocalGroup _group;
    private readonly TimeSpan _timeout;
    private readonly List<Worker> _workers = [];

    /// <summary>Starts the threads of ranks 1 and up. Takes over the runners.</summary>
    /// <param name="runners">One per rank, in order.</param>
    /// <param name="group">What their communicators share.</param>
    /// <param name="threadsPerRank">Threads of one operation on each rank.</param>
    /// <param name="timeout">Longest time without progress of a rank that does not come back from a step.</param>
    public RankGroup(IReadOnlyList<ModelRunner> runners, LocalGroup group, int threadsPerRank, TimeSpan timeout)
    {
        _runners = runners;
        _group = group;
        _timeout = timeout;
        for (int rank = 1; rank < runners.Count; rank++)
            _workers.Add(new Worker(rank, runners[rank], group, threadsPerRank));
    }

    /// <summary>The runners in order of their ranks. Theirs are the ranks' threads; between steps the calling thread may touch them.</summary>
    public IReadOnlyList<ModelRunner> Runners => _runners;

    /// <summary>Rank 0's runner.</summary>
    public ModelRunner Runner => _runners[0];

    /// <summary>Grows while any rank works on a step. Readable from every thread.</summary>
    public long Progress => _runners.Sum(r => r.Model.Rank.Communicator.Progress);

    /// <summary>The first failure of a rank; null while all is well.</summary>
    public RankFailedException? Failure => _group.Failure;

    /// <summary>Runs a step on all ranks.</summary>
    /// <exception cref="RankFailedException">A rank failed; with several ranks only.</exception>
    public StepOutput Execute(ScheduledBatch batch)
    {
        if (_workers.Count == 0)
            return Runner.Run(batch);
        foreach (var worker in _workers)
            worker.Post(batch);
        try
        {
            var sampled = Runner.Run(batch);
            foreach (var worker in _workers)
                worker.Wait(_timeout);
            return sampled;
        }
        catch (Exception e) when (e is not RankFailedException)
        {
            var failure = Worker.Failed(0, e);
            _group.Abort(failure);
            throw failure;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _group.Abort(new RankFailedException(0, "stop", "The ranks are stopping."));
        bool allCameBack = true;
        foreach (var worker in _workers)
            allCameBack &= worker.Stop();

        // A rank that hangs still reads its weights: they cannot be freed under it.
        if (allCameBack)
            foreach (var runner in _runners)
                runner.Dispose();
    }

    /// <summary>The thread of one rank.</summary>
    private sealed class Worker
    {
        private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);
        private readonly int _rank;
        private readonly ModelRunner _runner;
        private readonly LocalGroup _group;
        private readonly Thread _thread;
        private readonly SemaphoreSlim _posted = new(0), _done = new(0);
        private volatile ScheduledBatch? _batch;

        public Worker(int rank, ModelRunner runner, LocalGroup group, int threads)
        {
            (_rank, _runner, _group) = (rank, runner, group);
            _thread = new Thread(() => Run(threads)) { IsBackground = true, Name = $"rank {rank}" };
            _thread.Start();
        }

        public static RankFailedException Failed(int rank, Exception cause)
            => new(rank, "step", $"Rank {rank} failed in its step: {cause.Message}", cause);

        public void Post(ScheduledBatch batch)
        {
            _batch = batch;
            _posted.Release();
        }

        public void Wait(TimeSpan timeout)
        {
            long seen;
            do
            {
                seen = _runner.Model.Rank.Communicator.Progress;
                if (!_done.Wait(timeout))
                    continue;
                if (_group.Failure is { } failure)
                    throw failure;
                return;
            }
            while (_runner.Model.Rank.Communicator.Progress != seen);
            var late = new RankFailedException(_rank, "step", $"Rank {_rank} did not come back from its step within {timeout.TotalSeconds:0} s.");
            _group.Abort(late);
            throw late;
        }

        public bool Stop()
        {
            _batch = null;
            _posted.Release();
            return _thread.Join(StopTimeout);
        }

        private void Run(int threads)
        {
            TorchRuntime.SetThreads(threads);
            while (true)
            {
                _posted.Wait();
                if (_batch is not { } batch)
                    return;
                try
                {
                    _runner.Run(batch);
                }
                catch (Exception e)
                {
                    // What another rank's failure caused here is already known; Abort keeps the first.
                    _group.Abort(e as RankFailedException ?? Failed(_rank, e));
                }

                _done.Release();
            }
        }
    }
}
