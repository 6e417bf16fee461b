using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Text.Guides;
using Xunit;
using static DeepSeekR1.Tests.Engine.Scheduling.SchedulerFixture;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>Long prompts beside running streams, and caches that are too small for what runs; steps are counted, not time.</summary>
public class PressureTests
{
    private const int BlockSize = 16;

    [Theory]
    [InlineData(1, 64)]
    [InlineData(60, 64)]
    [InlineData(56, 64)]
    [InlineData(40, 512)]
    public void Schedule_FourThousandTokenPrompt_CostsNoStreamAToken(int streams, int budget)
    {
        const int Long = 4000;
        int chunk = budget - streams, chunks = (Long + chunk - 1) / chunk;
        var fixture = new SchedulerFixture(Long + 100, BlockSize, streams + 1, budget, maxLength: 2 * Long);
        var running = Enumerable.Range(0, streams).Select(i => fixture.Add(Request(1, chunks + 100, salt: i))).ToList();
        while (running.Exists(s => s.OutputLength == 0))
            fixture.Step();
        var late = fixture.Add(Request(Long, 3, salt: 9));
        for (int step = 1; step <= chunks; step++)
        {
            var before = running.Select(s => s.OutputLength).ToList();
            var batch = fixture.Step()!;
            Assert.All(running.Zip(before), pair => Assert.Equal(pair.Second + 1, pair.First.OutputLength));

            // What the streams leave belongs to the prompt, and all of it is used.
            Assert.Equal(step < chunks ? budget : streams + Long - (chunks - 1) * chunk, batch.TotalTokens);
            Assert.Equal(step == chunks ? 1 : 0, late.OutputLength);
        }

        Assert.Equal(0, fixture.Scheduler.Preemptions);
    }

    /// <summary>One stream's thought is cut while a more urgent prompt is computed: neither it nor its neighbour waits for the prompt.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(6)]
    [InlineData(40)]
    public void Schedule_WrapUpBesideAnUrgentLongPrompt_DelaysNoStream(int wrapUp)
    {
        const int Thought = 20, Long = 400, Budget = 16;
        SchedulerFixture Fixture() => new(200, 4, maxSequences: 4, Budget, maxLength: 600);
        GenerationRequest Thinking() => Request(3, 90) with
        {
            Guide = new ThoughtGuide(new ThoughtLimit(Thought, [.. Enumerable.Range(0, wrapUp).Select(i => i % 5)], null, [], StartsInside: true, _ => false)),
        };
        var fixture = Fixture();
        var (thinker, other) = (fixture.Add(Thinking()), fixture.Add(Request(3, 90, salt: 1)));
        while (thinker.OutputLength < Thought - 2)
            fixture.Step();
        var urgent = fixture.Add(Request(Long, 1, salt: 9) with { Priority = -1 });
        while (thinker.OutputLength < Thought + wrapUp)
            fixture.Step();

        // The last token of the thought and the wrap-up share each step with the neighbour's one token.
        int steps = (1 + wrapUp + Budget - 2) / (Budget - 1);
        for (int step = 1; step <= steps; step++)
        {
            int before = other.OutputLength;
            fixture.Step();
            Assert.Equal(before + 1, other.OutputLength);
            Assert.Equal(Thought + wrapUp + (step == steps ? 1 : 0), thinker.OutputLength);
        }

        Assert.InRange(urgent.NumComputed, 1, Long - 1);
        fixture.Run();
        fixture.AssertAsAlone(other);
        fixture.AssertAsAlone(urgent);
        var alone = Fixture();
        var lone = alone.Add(Thinking());
        alone.Run();
        Assert.Equal(alone.IdsOf(lone), fixture.IdsOf(thinker));
    }

    [Fact]
    public void Schedule_UrgentLongPrompt_IsNotPushedOutByLessUrgentStreams()
    {
        // 20 blocks: the streams grow to 5 blocks each; the prompt of 10 blocks comes when they hold 2 each.
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 6, maxLength: 60);
        var streams = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(3, 15, salt: i))).ToList();
        while (streams.Exists(s => s.OutputLength < 2))
            fixture.Step();
        var urgent = fixture.Add(Request(40, 1, salt: 9) with { Priority = -1 });
        while (urgent.Status == SequenceStatus.Waiting)
            fixture.Step();
        fixture.Run();
        Assert.Equal(0, urgent.Preemptions);
        Assert.True(fixture.Scheduler.Preemptions > 0, "the cache was never full");
        streams.Append(urgent).ToList().ForEach(fixture.AssertAsAlone);
    }

    /// <summary>Whoever keeps its blocks through a step gets its token in it, whoever else loses theirs meanwhile and wherever those stood.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Schedule_WhilePreempting_SkipsNobodyWhoStays(int seed)
    {
        var random = new Random(seed);
        var fixture = new SchedulerFixture(24, 4, maxSequences: 8, maxTokens: 40, maxLength: 48);
        var all = new List<Sequence>();
        long preempted = 0;
        for (int step = 0; step < 1500; step++)
        {
            if (random.Next(3) == 0)
                all.Add(fixture.Add(Request(1 + random.Next(30), 2 + random.Next(16), salt: step) with { Priority = random.Next(-2, 3) }));
            var streams = fixture.Scheduler.Running.Where(s => s.NumPending == 1 && s.OutputLength > 0).Select(s => (Sequence: s, s.OutputLength, s.Preemptions)).ToList();
            preempted -= fixture.Scheduler.Preemptions;
            fixture.Step();
            preempted += fixture.Scheduler.Preemptions;
            Assert.All(streams.Where(s => s.Sequence.Preemptions == s.Preemptions), s => Assert.Equal(s.OutputLength + 1, s.Sequence.OutputLength));
        }

        fixture.Run();
        Assert.True(preempted > 50, $"only {preempted} preemptions");
        all.ForEach(fixture.AssertAsAlone);
    }

    [Theory]
    [InlineData(12, 4, 9)]
    [InlineData(14, 3, 40)]
    [InlineData(6, 8, 16)]
    public void Schedule_ArrivalsForEverOnAFullCache_NewestGoFirstAndEverybodyIsServedInOrder(int blocks, int blockSize, int budget)
    {
        var fixture = new SchedulerFixture(blocks, blockSize, maxSequences: 8, budget, maxLength: blocks * blockSize / 2);
        var all = new List<Sequence>();
        int everPreempted = 0;
        for (int step = 0; step < 600; step++)
        {
            if (step % 2 == 0)
                all.Add(fixture.Add(Request(1 + 5 * step % 11, 4 + step % 9, salt: step)));
            var oldest = all.Find(s => s.Status != SequenceStatus.Finished)!;
            var (computed, length) = (oldest.NumComputed, oldest.OutputLength);
            var running = fixture.Scheduler.Running.ToList();
            var preemptions = running.ToDictionary(s => s, s => s.Preemptions);
            fixture.Step();

            // Who lost the blocks were the newest of those that ran.
            var lost = running.Where(s => s.Preemptions > preemptions[s]).ToList();
            everPreempted += lost.Count;
            Assert.Equal(running.TakeLast(lost.Count), lost);

            // Nobody overtakes: whoever waits came later than everybody who runs.
            var (oldestWaiting, newestRunning) = (fixture.Scheduler.All.Skip(fixture.Scheduler.Running.Count).FirstOrDefault(), fixture.Scheduler.Running.LastOrDefault());
            Assert.True(oldestWaiting is null || newestRunning is null || all.IndexOf(oldestWaiting) > all.IndexOf(newestRunning));

            // Nobody starves: the oldest moves on at every step, and everybody is the oldest one day.
            Assert.True(oldest.OutputLength > length || oldest.NumComputed > computed, $"step {step}: the oldest sequence stands still");
        }

        fixture.Run();
        Assert.True(everPreempted > 30, $"only {everPreempted} preemptions");
        Assert.Contains(all, s => s.Preemptions > 1);
        all.ForEach(fixture.AssertAsAlone);
    }
}
