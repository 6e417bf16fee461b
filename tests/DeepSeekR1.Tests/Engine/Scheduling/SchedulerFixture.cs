using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Text.Guides;
using Xunit;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>
/// Stands in for the model: an array of stored token ids by block and offset. The next token is a hash of the whole context,
/// which is read back through the block table: a wrong table, a block that two sequences share or a recomputation that was
/// left out changes the output or fails at once.
/// </summary>
internal sealed class FakeRunner(int numBlocks, int blockSize)
{
    private const int Empty = -1;
    private readonly int[] _stored = [.. Enumerable.Repeat(Empty, numBlocks * blockSize)];

    /// <summary>Number of different tokens.</summary>
    public const int Vocabulary = 40;

    /// <summary>What the model chooses in every row.</summary>
    public SampledToken[] Execute(ScheduledBatch batch)
    {
        var written = new HashSet<int>();
        foreach (var part in batch.Sequences)
            for (int i = 0; i < part.TokenIds.Length; i++)
            {
                int slot = Slot(part, part.Computed + i);
                Assert.True(written.Add(slot), $"slot {slot} is written twice in one step");
                _stored[slot] = part.TokenIds[i];
            }

        return [.. batch.Sequences.SelectMany(Choose)];
    }

    /// <summary>Empties what nobody holds and nobody can find, so that nothing can live on blocks that were taken away.</summary>
    public void Forget(IEnumerable<Sequence> sequences, BlockManager manager)
    {
        var held = sequences.SelectMany(s => s.Table.Blocks.ToArray()).ToHashSet();
        for (int slot = 0; slot < _stored.Length; slot++)
            if (!held.Contains(slot / blockSize) && !manager.IsKnown(slot / blockSize))
                _stored[slot] = Empty;
    }

    /// <summary>The token that follows a context.</summary>
    public static int Next(IEnumerable<int> context, int position, uint[]? mask)
    {
        uint hash = 2166136261;
        foreach (int token in context)
            hash = (hash ^ (uint)token) * 16777619;
        hash = (hash ^ (uint)position) * 16777619;
        int next = (int)((hash ^ hash >> 15) % Vocabulary);
        while (mask is not null && !TokenMask.Allows(mask, next))
            next = (next + 1) % Vocabulary;
        return next;
    }

    private IEnumerable<SampledToken> Choose(ScheduledSequence part)
    {
        int first = part.Computed + part.TokenIds.Length - part.Rows.Length + 1;
        for (int i = 0; i < part.Rows.Length; i++)
        {
            var context = Enumerable.Range(0, first + i).Select(position => _stored[Slot(part, position)]).ToArray();
            Assert.DoesNotContain(Empty, context);
            CheckCounts(part.Rows[i], context);
            yield return new SampledToken(Next(context, part.Rows[i].Position, part.Rows[i].Mask), 0);
        }
    }

    /// <summary>What penalties are told is what stands in the cache.</summary>
    private static void CheckCounts(SamplingRow row, int[] context)
    {
        if (row.Counts is not { } counts)
            return;
        Assert.Equal(context.Distinct().Order(), counts.Ids.Order());
        var output = context[^row.Position..];
        for (int i = 0; i < counts.Ids.Length; i++)
            Assert.Equal(output.Count(id => id == counts.Ids[i]), counts.Generated[i]);
    }

    private int Slot(ScheduledSequence part, int position) => part.Blocks[position / blockSize] * blockSize + position % blockSize;
}

/// <summary>A scheduler with a fake model behind it: drives steps, collects outputs and checks the invariants after each operation.</summary>
internal sealed class SchedulerFixture
{
    private readonly SchedulerLimits _limits;
    private readonly FakeRunner _runner;
    private readonly Dictionary<Sequence, List<TokenOutput>> _outputs = [];
    private readonly Dictionary<Sequence, SampleFault> _faults = [];

    public SchedulerFixture(int numBlocks, int blockSize, int maxSequences, int maxTokens, int? maxLength = null, IDraftSource? drafts = null)
    {
        _limits = new SchedulerLimits(maxSequences, maxTokens, maxLength ?? numBlocks * blockSize, FakeRunner.Vocabulary);
        Blocks = new BlockManager(numBlocks, blockSize);
        Scheduler = new Scheduler(Blocks, _limits, drafts);
        _runner = new FakeRunner(numBlocks, blockSize);
    }

    public BlockManager Blocks { get; }

    public Scheduler Scheduler { get; }

    /// <summary>Every batch so far.</summary>
    public List<ScheduledBatch> Batches { get; } = [];

    /// <summary>Replaces what the model chose; null leaves it.</summary>
    public Func<Sequence, SampledToken?>? Override { get; set; }

    /// <summary>Called between Schedule and Apply.</summary>
    public Action? DuringStep { get; set; }

    public IReadOnlyList<TokenOutput> OutputsOf(Sequence sequence) => _outputs[sequence];

    public IReadOnlyList<int> IdsOf(Sequence sequence) => [.. _outputs[sequence].Select(o => o.TokenId)];

    public SampleFault FaultOf(Sequence sequence) => _faults.GetValueOrDefault(sequence);

    public static GenerationRequest Request(
        int prompt, int maxTokens, IReadOnlyList<int>? stop = null, int minTokens = 0, ITokenGuide? guide = null, int salt = 0) => new()
        {
            Id = "test",
            PromptIds = [.. Enumerable.Range(0, prompt).Select(i => (7 * i + 3 * salt + i * i * salt) % FakeRunner.Vocabulary)],
            Sampling = new SamplingParams { MaxTokens = maxTokens, StopTokenIds = stop ?? [] },
            Guide = GuideChain.Of(guide, minTokens > 0 ? new MinTokensGuide(minTokens, stop ?? []) : null),
        };

    public Sequence Add(GenerationRequest request)
    {
        var sequence = new Sequence(request);
        _outputs.Add(sequence, []);
        Scheduler.Add(sequence);
        Check();
        return sequence;
    }

    public bool Remove(Sequence sequence)
    {
        bool removed = Scheduler.Remove(sequence);
        Check();
        return removed;
    }

    /// <summary>One step. Null when there was nothing to compute.</summary>
    public ScheduledBatch? Step()
    {
        if (Begin() is not var (batch, output))
            return null;
        DuringStep?.Invoke();
        End(batch, output);
        return batch;
    }

    /// <summary>Makes a step and computes it. Null when there was nothing to compute.</summary>
    public (ScheduledBatch Batch, StepOutput Output)? Begin()
    {
        var batch = Scheduler.Schedule();
        Check();
        if (batch is null)
            return null;
        Batches.Add(batch);
        Assert.InRange(batch.TotalTokens, 1, _limits.MaxTokens);
        Assert.Equal(batch.TotalTokens, batch.Sequences.Sum(s => s.TokenIds.Length));
        Assert.True(Scheduler.Running.Count <= _limits.MaxSequences);
        var owners = batch.Owners.SelectMany((o, i) => Enumerable.Repeat(o.Sequence, batch.Sequences[i].Rows.Length));
        SampledToken[] sampled = [.. _runner.Execute(batch).Zip(owners, (token, owner) => Override?.Invoke(owner) ?? token)];
        return (batch, StepOutput.Of(batch, sampled, [.. batch.Sequences.Select(_ => Array.Empty<SampledToken>())]));
    }

    /// <summary>Books a step.</summary>
    public void End(ScheduledBatch batch, StepOutput output)
    {
        Scheduler.Apply(batch, output, Deliver);
        Check();
    }

    /// <summary>Steps until nothing is left.</summary>
    /// <returns>Number of steps.</returns>
    public int Run(int limit = 10_000)
    {
        int steps = 0;
        while (!Scheduler.IsIdle)
        {
            Assert.True(++steps <= limit, "no end");
            Assert.True(Step() is not null || Scheduler.Rejected.Count > 0, "work remains, but nothing was scheduled");
        }

        Assert.Equal(0, Blocks.UsedBlocks);
        return steps;
    }

    /// <summary>What a request gives when it is alone: no scheduler, no blocks.</summary>
    public static (List<int> Ids, FinishReason Reason) Alone(GenerationRequest request, int maxLength)
    {
        var all = request.PromptIds.ToList();
        var sampling = request.Sampling;
        int minTokens = request.Guide is { } guide ? GuideChain.Find<MinTokensGuide>(guide)?.MinTokens ?? 0 : 0;
        uint[] goesOn = [uint.MaxValue, uint.MaxValue];
        foreach (int id in sampling.StopTokenIds)
            TokenMask.Forbid(goesOn, id);
        for (int position = 0; ; position++)
        {
            int next = FakeRunner.Next(all, position, position < minTokens ? goesOn : null);
            all.Add(next);
            bool stop = sampling.StopTokenIds.Contains(next);
            if (stop || position + 1 == sampling.MaxTokens || all.Count == maxLength)
                return (all[request.PromptIds.Count..], stop ? FinishReason.Stop : FinishReason.Length);
        }
    }

    /// <summary>Compares a finished sequence's events with the lone run.</summary>
    public void AssertAsAlone(Sequence sequence)
    {
        var (ids, reason) = Alone(sequence.Request, _limits.MaxLength);
        Assert.Equal(ids, IdsOf(sequence));
        Assert.Equal(reason, OutputsOf(sequence)[^1].FinishReason);
        Assert.All(OutputsOf(sequence).SkipLast(1), o => Assert.Null(o.FinishReason));
        Assert.Equal(SequenceStatus.Finished, sequence.Status);
    }

    private void Check()
    {
        Scheduler.CheckIntegrity();
        _runner.Forget(Scheduler.All, Blocks);
    }

    private void Deliver(Sequence sequence, TokenOutput? output, SampledToken token)
    {
        if (output is null)
            _faults.Add(sequence, token.Fault);
        else
            _outputs[sequence].Add(output);
    }
}
