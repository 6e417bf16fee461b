using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Testing;

namespace DeepSeekR1.Soak.Tests;

/// <summary>
/// The engine's inner loop, schedule, execute, apply, on the calling thread: no timers, no pool, nothing between two readings but steps.
/// </summary>
internal sealed class StepDriver : IDisposable
{
    private readonly LoadedEngine _loaded;
    private readonly BlockManager _blocks;
    private readonly Scheduler _scheduler;

    /// <summary>Loads a model of the goldens with one thread and a small cache.</summary>
    public StepDriver(string model, Func<EngineOptions, EngineOptions> change)
    {
        var options = change(new EngineOptions { ModelPath = Goldens.At(model), Device = "cpu", NumThreads = 1, NumGpuBlocksOverride = 64 });
        _loaded = new EngineLoader(options, null, _ => { }, CancellationToken.None).Load();
        TorchRuntime.SetThreads(1);
        _blocks = new BlockManager(_loaded.Facts.NumBlocks, _loaded.Facts.BlockSize, false);
        _scheduler = new Scheduler(_blocks, new SchedulerLimits(8, 256, _loaded.Facts.MaxModelLen, _loaded.Facts.VocabularySize));
    }

    /// <summary>Queues a greedy answer.</summary>
    public Sequence Add(IReadOnlyList<int> prompt, int tokens)
    {
        var sequence = new Sequence(new GenerationRequest
        {
            Id = "soak",
            PromptIds = prompt,
            Sampling = new SamplingParams { Temperature = 0, MaxTokens = tokens },
        });
        _scheduler.Add(sequence);
        return sequence;
    }

    /// <summary>Steps until nothing runs; how many they were.</summary>
    public int RunToEnd()
    {
        int steps = 0;
        for (; _scheduler.Schedule() is { } batch; steps++)
            _scheduler.Apply(batch, _loaded.Ranks.Execute(batch), (_, _, _) => { });
        return steps;
    }

    /// <inheritdoc/>
    public void Dispose() => _loaded.Ranks.Dispose();
}
