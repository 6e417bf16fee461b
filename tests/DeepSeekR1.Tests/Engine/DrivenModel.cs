using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Execution;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Tests.Models;

namespace DeepSeekR1.Tests.Engine;

/// <summary>A golden model behind a scheduler, without threads: the test runs the steps.</summary>
internal sealed class DrivenModel : IDisposable
{
    private const int NumBlocks = 160;
    private readonly Dictionary<Sequence, List<TokenOutput>> _outputs = [];

    public DrivenModel(string name, int budget = 64, IDraftSource? drafts = null)
    {
        Golden = new GoldenModel(name, new TorchKernels());
        Runner = new ModelRunner(Golden.Model, Golden.Cache);
        Scheduler = new Scheduler(new BlockManager(NumBlocks, GoldenModel.BlockSize), new SchedulerLimits(8, budget, 512, Golden.Model.Config.VocabSize), drafts);
    }

    public GoldenModel Golden { get; }

    public ModelRunner Runner { get; }

    public Scheduler Scheduler { get; }

    public Sequence Add(GenerationRequest request)
    {
        var sequence = new Sequence(request);
        _outputs.Add(sequence, []);
        Scheduler.Add(sequence);
        return sequence;
    }

    /// <summary>Events of a sequence so far.</summary>
    public IReadOnlyList<TokenOutput> OutputsOf(Sequence sequence) => _outputs[sequence];

    public int[] IdsOf(Sequence sequence) => [.. _outputs[sequence].Select(o => o.TokenId)];

    /// <summary>Steps until nothing is left.</summary>
    /// <param name="run">Computes a step.</param>
    /// <returns>Number of steps.</returns>
    public int Run(Func<ScheduledBatch, StepOutput>? run = null)
    {
        int steps = 0;
        for (; Scheduler.Schedule() is { } batch; steps++)
        {
            Scheduler.Apply(batch, run?.Invoke(batch) ?? Runner.Run(batch),
                (sequence, output, token) => _outputs[sequence].Add(output ?? throw new InvalidOperationException($"{token.Fault}")));
            Scheduler.CheckIntegrity();
        }

        return steps;
    }

    /// <inheritdoc/>
    public void Dispose() => Golden.Dispose();
}
