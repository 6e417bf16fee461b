using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// The ranks that share one model. <see cref="Execute"/> gives every rank the same step and returns what rank 0 sampled. Rank 0
/// runs on the calling thread, which must always be the same one.
/// </summary>
public sealed class RankGroup(ModelRunner runner) : IDisposable
{
    /// <summary>Rank 0's runner.</summary>
    public ModelRunner Runner { get; } = runner;

    /// <summary>Runs a step on all ranks.</summary>
    public IReadOnlyList<SampledToken> Execute(ScheduledBatch batch) => Runner.Run(batch);

    /// <inheritdoc/>
    public void Dispose() => Runner.Dispose();
}
