using CsCheck;
using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Testing;
using Xunit;
using static DeepSeekR1.Tests.Engine.Scheduling.SchedulerFixture;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>Scheduling without tensors; the model is <see cref="FakeRunner"/>.</summary>
public class SchedulerTests
{
    [Fact]
    public void Schedule_LongPrompt_IsChunkedWithinTheBudget()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 8);
        var sequence = fixture.Add(Request(30, 3));
        Assert.Equal(6, fixture.Run());
        Assert.Equal([8, 8, 8, 6, 1, 1], fixture.Batches.Select(b => b.TotalTokens));
        Assert.Equal([0, 8, 16, 24, 30, 31], fixture.Batches.Select(b => b.Sequences.Single().Computed));
        Assert.Equal([false, false, false, true, true, true], fixture.Batches.Select(b => b.Sequences.Single().Rows.Length > 0));
        fixture.AssertAsAlone(sequence);
    }

    [Fact]
    public void Schedule_ShortPrompts_ShareAStepUpToTheBudget()
    {
        var fixture = new SchedulerFixture(40, 4, maxSequences: 8, maxTokens: 10);
        var sequences = Enumerable.Range(0, 4).Select(i => fixture.Add(Request(4, 2, salt: i))).ToList();
        fixture.Step();
        Assert.Equal([4, 4, 2], fixture.Batches[0].Sequences.Select(s => s.TokenIds.Length));
        Assert.Equal(1, fixture.Scheduler.WaitingCount);
        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);
    }

    [Fact]
    public void Schedule_WhileALongPromptIsChunked_DecodesGetATokenAtEveryStep()
    {
        var fixture = new SchedulerFixture(100, 4, maxSequences: 4, maxTokens: 8);
        var streams = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(2, 40, salt: i))).ToList();
        fixture.Step();
        var late = fixture.Add(Request(48, 2, salt: 9));
        int steps = 0;
        while (fixture.IdsOf(late).Count == 0)
        {
            fixture.Step();
            steps++;
            Assert.All(streams, s => Assert.Equal(1 + steps, fixture.IdsOf(s).Count));
        }

        // 8 tokens a step, of which three belong to the streams.
        Assert.Equal(10, steps);
        fixture.Run();
        streams.ForEach(fixture.AssertAsAlone);
        fixture.AssertAsAlone(late);
    }

    [Fact]
    public void Schedule_JoinAndLeaveAtEveryStep_OutputsStayTheSame()
    {
        var fixture = new SchedulerFixture(60, 4, maxSequences: 5, maxTokens: 16);
        var sequences = new List<Sequence>();
        for (int i = 0; i < 40; i++)
        {
            sequences.Add(fixture.Add(Request(1 + i % 9, 1 + i % 6, salt: i)));
            fixture.Step();
        }

        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);
        Assert.Equal(0, fixture.Scheduler.Preemptions);
    }

    [Fact]
    public void Schedule_NewSequence_JoinsTheVeryNextStep()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 8);
        fixture.Add(Request(2, 10));
        fixture.Step();
        var joined = fixture.Add(Request(3, 1, salt: 1));
        fixture.Step();
        Assert.Single(fixture.IdsOf(joined));
        Assert.Equal(SequenceStatus.Finished, joined.Status);
        Assert.Single(fixture.Step()!.Sequences);
    }

    [Fact]
    public void Schedule_MaxSequences_AreNeverExceeded()
    {
        var fixture = new SchedulerFixture(100, 4, maxSequences: 3, maxTokens: 64);
        var sequences = Enumerable.Range(0, 8).Select(i => fixture.Add(Request(4, 2, salt: i))).ToList();
        fixture.Step();
        Assert.Equal((3, 5), (fixture.Scheduler.Running.Count, fixture.Scheduler.WaitingCount));
        Assert.Equal(sequences.Take(3), fixture.Scheduler.Running);
        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);
        Assert.Equal(6, fixture.Batches.Count);
    }

    [Fact]
    public void Schedule_WhenBlocksRunOut_PreemptsNewest()
    {
        // Three sequences that grow to 3 blocks each, on 6 blocks.
        var fixture = new SchedulerFixture(6, 4, maxSequences: 4, maxTokens: 32, maxLength: 12);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(4, 8, salt: i))).ToList();
        for (int i = 0; i < 5; i++)
            fixture.Step();
        Assert.Equal(6, fixture.Blocks.UsedBlocks);
        Assert.Equal(0, fixture.Scheduler.Preemptions);
        fixture.Step();
        Assert.Equal([0, 0, 1], sequences.Select(s => s.Preemptions));
        Assert.Equal([SequenceStatus.Running, SequenceStatus.Running, SequenceStatus.Waiting], sequences.Select(s => s.Status));
        Assert.Equal([6, 6, 5], sequences.Select(s => fixture.IdsOf(s).Count));
        Assert.Equal((0, 9), (sequences[2].NumComputed, sequences[2].NumPending));
        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);
        Assert.Equal([0, 0, 1], sequences.Select(s => s.Preemptions));
    }

    [Fact]
    public void Schedule_PreemptedSequences_ComeBackInTheirOrderBeforeNewOnes()
    {
        var fixture = new SchedulerFixture(6, 2, maxSequences: 4, maxTokens: 32, maxLength: 12);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(3, 9, salt: i))).ToList();
        while (fixture.Scheduler.WaitingCount < 2)
            fixture.Step();
        var late = fixture.Add(Request(1, 1, salt: 9));
        Assert.Equal([sequences[0], sequences[1], sequences[2], late], fixture.Scheduler.All);
        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);
        fixture.AssertAsAlone(late);
        Assert.Equal(0, sequences[0].Preemptions);
    }

    [Fact]
    public void Remove_BeforeTheNextSchedule_FreesTheBlocks()
    {
        var fixture = new SchedulerFixture(4, 4, maxSequences: 4, maxTokens: 32, maxLength: 16);
        var first = fixture.Add(Request(15, 1));
        var second = fixture.Add(Request(15, 1, salt: 1));
        fixture.DuringStep = () => Assert.Equal(4, fixture.Blocks.UsedBlocks);
        var running = fixture.Add(Request(13, 3, salt: 2));
        fixture.Step();
        fixture.Step();
        fixture.Step();
        Assert.Equal(SequenceStatus.Running, running.Status);
        Assert.True(fixture.Remove(running));
        Assert.Equal((4, 0), (fixture.Blocks.FreeBlocks, running.Table.Count));
        Assert.False(fixture.Remove(running));
        Assert.True(fixture.Scheduler.IsIdle);
        fixture.AssertAsAlone(first);
        fixture.AssertAsAlone(second);
        Assert.Equal(Alone(running.Request, 16).Ids.Take(1), fixture.IdsOf(running));
    }

    [Fact]
    public void Remove_WaitingOrPreempted_LeavesTheOthers()
    {
        var fixture = new SchedulerFixture(6, 4, maxSequences: 3, maxTokens: 32, maxLength: 12);
        var sequences = Enumerable.Range(0, 5).Select(i => fixture.Add(Request(4, 8, salt: i))).ToList();
        while (fixture.Scheduler.Preemptions == 0)
            fixture.Step();
        Assert.True(fixture.Remove(sequences[2]));
        Assert.True(fixture.Remove(sequences[4]));
        fixture.Run();
        foreach (int i in new[] { 0, 1, 3 })
            fixture.AssertAsAlone(sequences[i]);
        Assert.Equal(Alone(sequences[2].Request, 12).Ids.Take(5), fixture.IdsOf(sequences[2]));
        Assert.Empty(fixture.IdsOf(sequences[4]));
    }

    [Fact]
    public void Remove_BetweenScheduleAndApply_LeavesTheTokensOfTheOthers()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(4, 5, salt: i))).ToList();
        fixture.Step();
        fixture.DuringStep = () => fixture.Remove(sequences[0]);
        fixture.Step();
        fixture.DuringStep = null;
        fixture.Run();
        fixture.AssertAsAlone(sequences[1]);
        fixture.AssertAsAlone(sequences[2]);
        Assert.Single(fixture.IdsOf(sequences[0]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Schedule_WhenAGuideThrows_EndsOnlyItsSequence(int failing)
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var cause = new InvalidOperationException("broken");
        var sequences = Enumerable.Range(0, 3)
            .Select(i => fixture.Add(Request(4, 6, guide: i == failing ? new Throwing(3, cause) : null, salt: i))).ToList();
        for (int step = 0; step < 4; step++)
            fixture.Step();
        Assert.Equal([(sequences[failing], cause)], fixture.Scheduler.Rejected);
        Assert.Equal((SequenceStatus.Finished, 0), (sequences[failing].Status, sequences[failing].Table.Count));

        // Nobody loses a step to the failure.
        Assert.Equal(Enumerable.Range(0, 3).Select(i => i == failing ? 3 : 4), sequences.Select(s => fixture.IdsOf(s).Count));
        fixture.Step();
        Assert.Empty(fixture.Scheduler.Rejected);
        fixture.Run();
        foreach (var sequence in sequences.Where(s => s != sequences[failing]))
            fixture.AssertAsAlone(sequence);
    }

    [Fact]
    public void Schedule_WhenTheOnlySequencesGuideThrowsAtOnce_GivesNoBatch()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var sequence = fixture.Add(Request(4, 6, guide: new Throwing(0, new FormatException())));
        Assert.Null(fixture.Step());
        Assert.Same(sequence, fixture.Scheduler.Rejected.Single().Sequence);
        Assert.True(fixture.Scheduler.IsIdle);
        Assert.Equal(0, fixture.Blocks.UsedBlocks);
    }

    [Fact]
    public void Apply_WhenAGuideThrowsAtAToken_EndsOnlyItsSequence()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(4, 6, guide: i == 1 ? new Fixed([], failsAt: 2) : null, salt: i))).ToList();
        fixture.Step();
        Assert.Empty(fixture.Scheduler.Rejected);
        fixture.Step();
        var (rejected, cause) = fixture.Scheduler.Rejected.Single();
        Assert.Equal((sequences[1], "token 2"), (rejected, cause.Message));
        Assert.Equal((SequenceStatus.Finished, 0), (rejected.Status, rejected.Table.Count));
        fixture.Run();
        fixture.AssertAsAlone(sequences[0]);
        fixture.AssertAsAlone(sequences[2]);
        Assert.Single(fixture.IdsOf(sequences[1]));
    }

    /// <summary>What is forced before any token is chosen by the mask, the rest is written; tokens after it are the model's again.</summary>
    [Theory]
    [InlineData(10, 10)]
    [InlineData(2, 2)]
    public void Schedule_GuideThatForcesFromTheStart_BeginsTheOutput(int maxTokens, int expected)
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var sequence = fixture.Add(Request(4, maxTokens, guide: new Fixed([31, 32, 33])));
        fixture.Run();
        Assert.Equal(expected, fixture.IdsOf(sequence).Count);
        Assert.Equal(new[] { 31, 32, 33 }.Take(expected), fixture.IdsOf(sequence).Take(3));
        Assert.Equal(FinishReason.Length, fixture.OutputsOf(sequence)[^1].FinishReason);
        Assert.Equal(maxTokens == 2 ? 1 : 8, fixture.Batches.Count);
    }

    [Fact]
    public void Schedule_Guide_SeesTheOutputAndNarrowsTheRow()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 4);
        var guide = new Counting();
        var sequence = fixture.Add(Request(9, 4, guide: guide));
        fixture.Run();
        Assert.Equal([30, 31, 32, 33], fixture.IdsOf(sequence));

        // Asked once for each token, not for each chunk of the prompt.
        Assert.Equal([0, 1, 2, 3], guide.Lengths);
    }

    [Fact]
    public void Apply_StopToken_EndsWithStop()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var ids = Alone(Request(4, 10), 80).Ids;
        int stop = ids[4];
        var sequence = fixture.Add(Request(4, 10, stop: [99, stop]));
        fixture.Run();
        Assert.Equal(ids.Take(ids.IndexOf(stop) + 1), fixture.IdsOf(sequence));
        Assert.Equal(FinishReason.Stop, fixture.OutputsOf(sequence)[^1].FinishReason);
    }

    [Fact]
    public void Schedule_BeforeMinTokens_ForbidsStopTokens()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        int[] stop = [.. Enumerable.Range(0, FakeRunner.Vocabulary - 1)];
        var sequence = fixture.Add(Request(4, 10, stop: stop, minTokens: 3));
        var forbidden = new List<int[]?>();

        // Masks are lent to a step until it is booked.
        fixture.DuringStep = () => forbidden.Add(fixture.Batches[^1].Sequences[0].Rows[0].Mask is { } mask
            ? [.. Enumerable.Range(0, FakeRunner.Vocabulary).Where(id => !TokenMask.Allows(mask, id))] : null);
        fixture.Run();
        Assert.Equal([stop, stop, stop, null], forbidden);
        Assert.Equal([0, 1, 2, 3], fixture.Batches.Select(b => b.Sequences[0].Rows[0].Position));
        Assert.Equal(4, fixture.IdsOf(sequence).Count);
        fixture.AssertAsAlone(sequence);
    }

    [Theory]
    [InlineData(5, 100, 5)]
    [InlineData(100, 9, 5)]
    [InlineData(5, 9, 5)]
    [InlineData(1, 100, 1)]
    public void Apply_AtMaxTokensOrMaxLength_EndsWithLength(int maxTokens, int maxLength, int expected)
    {
        var fixture = new SchedulerFixture(30, 4, maxSequences: 4, maxTokens: 32, maxLength);
        var sequence = fixture.Add(Request(4, maxTokens));
        fixture.Run();
        Assert.Equal(expected, fixture.IdsOf(sequence).Count);
        Assert.Equal(FinishReason.Length, fixture.OutputsOf(sequence)[^1].FinishReason);
        fixture.AssertAsAlone(sequence);
    }

    [Fact]
    public void Apply_StopTokenAsTheLastToken_EndsWithStop()
    {
        int last = Alone(Request(4, 3, salt: 1), 80).Ids[2];
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var sequence = fixture.Add(Request(4, 3, stop: [last], minTokens: 2, salt: 1));
        fixture.Run();
        Assert.Equal(FinishReason.Stop, fixture.OutputsOf(sequence)[^1].FinishReason);
    }

    [Fact]
    public void Run_AtTheFullCache_ReachesMaxLength()
    {
        var fixture = new SchedulerFixture(3, 4, maxSequences: 4, maxTokens: 5);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(1 + 5 * i, 100, salt: i))).ToList();
        fixture.Run();
        Assert.All(sequences, s => Assert.Equal(12, s.Length));
        sequences.ForEach(fixture.AssertAsAlone);
    }

    [Fact]
    public void Apply_SamplerError_EndsOnlyItsSequence()
    {
        var fixture = new SchedulerFixture(20, 4, maxSequences: 4, maxTokens: 32);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(4, 4, salt: i))).ToList();
        fixture.Override = s => s == sequences[1] && s.OutputLength == 2 ? new SampledToken(-1, Fault: SampleFault.NothingLeft) : null;
        fixture.Run();
        Assert.Equal([SampleFault.None, SampleFault.NothingLeft, SampleFault.None], sequences.Select(fixture.FaultOf));
        Assert.Equal([4, 2, 4], sequences.Select(s => fixture.IdsOf(s).Count));
        fixture.AssertAsAlone(sequences[0]);
        fixture.AssertAsAlone(sequences[2]);
    }

    [Fact]
    public void Run_RandomSchedules_EverySequenceGivesWhatItGivesAlone()
    {
        var shapes = Gen.Select(Gen.Int[1, 10], Gen.Int[1, 5], Gen.Int[1, 6], Gen.Int[0, 20]);
        var operations = Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1000], Gen.Int[0, 1000]).List[1, 60];
        long preemptions = 0, cancelled = 0, finished = 0, schedules = 0, cached = 0;
        Gen.Select(shapes, operations).Sample(
            (shape, list) =>
            {
                var (blocks, blockSize, maxSequences, extra) = shape;
                var random = new RandomSchedule(new SchedulerFixture(1 + blocks, blockSize, maxSequences, maxSequences + extra));
                foreach (var (kind, a, b) in list)
                    random.Do(kind, a, b);
                random.Finish();
                preemptions += random.Preemptions;
                cancelled += random.Cancelled;
                finished += random.Finished;
                cached += random.CachedTokens;
                schedules++;
            },
            iter: Goldens.Long ? 100_000 : 10_000,
            threads: 1);
        Assert.True(schedules >= 500 && preemptions > schedules / 2 && cancelled > schedules / 2 && finished > 2 * schedules && cached > schedules, $"{schedules} {preemptions} {cancelled} {finished} {cached}");
    }

    [Fact]
    public void Schedule_EqualBeginnings_ShareBlocksEvenWithinAStep()
    {
        var fixture = new SchedulerFixture(40, 4, maxSequences: 8, maxTokens: 64);
        var sequences = Enumerable.Range(0, 3).Select(_ => fixture.Add(Request(14, 3))).ToList();
        fixture.Step();
        Assert.Equal([14, 2, 2], fixture.Batches[0].Sequences.Select(s => s.TokenIds.Length));
        Assert.Equal([0, 12, 12], sequences.Select(s => s.CachedTokens));
        Assert.Equal(3 + 3 * 1, fixture.Blocks.UsedBlocks);
        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);

        // They are gone, their keys are not; the last prompt token is always computed.
        var later = fixture.Add(Request(12, 3));
        fixture.Run();
        Assert.Equal(8, later.CachedTokens);
        fixture.AssertAsAlone(later);
    }

    [Fact]
    public void Schedule_OtherSaltOrPromptLogprobs_ShareNothing()
    {
        var fixture = new SchedulerFixture(40, 4, maxSequences: 8, maxTokens: 64);
        fixture.Add(Request(14, 3));
        fixture.Run();
        var plain = Request(14, 3);
        var salted = fixture.Add(plain with { CacheSalt = "other" });
        var scored = fixture.Add(plain with { Sampling = plain.Sampling with { PromptLogprobs = 0 } });
        var same = fixture.Add(plain);
        fixture.Run();
        Assert.Equal([0, 0, 12], new[] { salted, scored, same }.Select(s => s.CachedTokens));
    }

    [Fact]
    public void Schedule_OldContent_IsForgottenLeastRecentlyUsedFirst()
    {
        var fixture = new SchedulerFixture(6, 4, maxSequences: 1, maxTokens: 64);
        foreach (int salt in new[] { 1, 2 })
        {
            fixture.Add(Request(12, 1, salt: salt));
            fixture.Run();
        }

        // Three blocks each lie in the cache; the first content is used again, so the third request pushes out the second's.
        foreach (var (salt, cached) in new[] { (1, 8), (3, 0), (1, 8), (2, 0) })
        {
            var sequence = fixture.Add(Request(12, 1, salt: salt));
            fixture.Run();
            Assert.Equal((salt, cached), (salt, sequence.CachedTokens));
        }
    }

    [Fact]
    public void Schedule_Preempted_ComesBackFromTheCache()
    {
        var fixture = new SchedulerFixture(6, 4, maxSequences: 4, maxTokens: 32, maxLength: 12);
        var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Request(4, 8, salt: i))).ToList();
        fixture.Run();
        sequences.ForEach(fixture.AssertAsAlone);
        Assert.Equal(1, sequences[2].Preemptions);

        // What it computed before counts as no cached prompt token: the usage is that of its first start.
        Assert.All(sequences, s => Assert.Equal(0, s.CachedTokens));
    }

    [Fact]
    public void Schedule_Priorities_GoFirstAndAreNotPreempted()
    {
        var fixture = new SchedulerFixture(30, 4, maxSequences: 2, maxTokens: 32);
        var order = new List<int>();
        var sequences = new[] { 5, 5, 1, 0, 1 }.Select((priority, i) => fixture.Add(Request(4, 1, salt: i) with { Priority = priority })).ToList();
        fixture.Step();
        Assert.Equal([false, false, true, true, false], sequences.Select(s => s.Status == SequenceStatus.Finished));

        // With no room left the least urgent gives way, though it came first.
        fixture = new SchedulerFixture(4, 4, maxSequences: 4, maxTokens: 32, maxLength: 12);
        var patient = fixture.Add(Request(4, 8) with { Priority = 9 });
        fixture.Step();
        var urgent = fixture.Add(Request(4, 8, salt: 1));
        fixture.Run();
        Assert.Equal((1, 0), (patient.Preemptions, urgent.Preemptions));
        fixture.AssertAsAlone(patient);
        fixture.AssertAsAlone(urgent);
    }

    [Fact]
    public void Schedule_Tenants_TakeTurns()
    {
        var fixture = new SchedulerFixture(30, 4, maxSequences: 1, maxTokens: 32);
        var many = Enumerable.Range(0, 20).Select(i => fixture.Add(Request(4, 1, salt: i) with { Tenant = "many" })).ToList();
        for (int i = 0; i < 3; i++)
            fixture.Step();
        var few = Enumerable.Range(0, 2).Select(i => fixture.Add(Request(4, 1, salt: 30 + i) with { Tenant = "few" })).ToList();
        for (int i = 0; i < 4; i++)
            fixture.Step();
        Assert.All(few, s => Assert.Equal(SequenceStatus.Finished, s.Status));
        Assert.InRange(many.Count(s => s.Status == SequenceStatus.Finished), 5, 6);
    }

    /// <summary>Random arrivals, cancels and steps; knows what each sequence must have given at the end.</summary>
    private sealed class RandomSchedule(SchedulerFixture fixture)
    {
        private readonly List<Sequence> _sequences = [];
        private readonly HashSet<Sequence> _cancelled = [];

        public long Preemptions => fixture.Scheduler.Preemptions;

        public int Cancelled => _cancelled.Count;

        public int CachedTokens => _sequences.Sum(s => s.CachedTokens);

        public int Finished => _sequences.Count - _cancelled.Count;

        public void Do(int kind, int a, int b)
        {
            if (kind < 3)
                Add(a, b);
            else if (kind == 3 && _sequences.Count > 0)
                Cancel(_sequences[a % _sequences.Count]);
            else if (kind == 4 && _sequences.Count > 0)
                Step(() => Cancel(_sequences[a % _sequences.Count]));
            else
                Step(null);
        }

        public void Finish()
        {
            fixture.Run();
            foreach (var sequence in _sequences)
                if (!_cancelled.Contains(sequence))
                    fixture.AssertAsAlone(sequence);
                else
                    Assert.Equal(Alone(sequence.Request, MaxLength).Ids.Take(fixture.IdsOf(sequence).Count), fixture.IdsOf(sequence));
        }

        private int MaxLength => fixture.Blocks.NumBlocks * fixture.Blocks.BlockSize;

        private void Add(int a, int b)
        {
            int prompt = 1 + a % (MaxLength - 1);
            int[] stop = b % 3 == 0 ? [] : [b % FakeRunner.Vocabulary, (b + 1) % FakeRunner.Vocabulary];


            // Few different beginnings, so that blocks are shared all the time, by different tenants and urgencies.
            var request = Request(prompt, 1 + b % 17, stop, minTokens: a % 5, salt: b % 3);
            _sequences.Add(fixture.Add(request with { Priority = a % 3, Tenant = "abc"[(b % 3)..][..1], CacheSalt = a % 4 == 0 ? "salt" : null }));
        }

        private void Cancel(Sequence sequence)
        {
            if (fixture.Remove(sequence))
                _cancelled.Add(sequence);
        }

        /// <summary>A step, in which everybody who only decodes gets a token or loses the blocks.</summary>
        private void Step(Action? during)
        {
            var decoding = fixture.Scheduler.Running.Where(s => s.NumPending == 1).Select(s => (Sequence: s, s.OutputLength, s.Preemptions)).ToList();
            fixture.DuringStep = during;
            fixture.Step();
            fixture.DuringStep = null;
            foreach (var (sequence, length, preempted) in decoding)
                Assert.True(sequence.OutputLength == length + 1 || sequence.Preemptions == preempted + 1 || _cancelled.Contains(sequence));
        }
    }

    /// <summary>Allows everything for a number of tokens, then throws.</summary>
    private sealed class Throwing(int tokens, Exception cause) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed) => outputIds.Length == tokens ? throw cause : false;
    }

    /// <summary>Forces the beginning of the output; may fail at a token.</summary>
    private sealed class Fixed(int[] beginning, int failsAt = -1) : ITokenGuide
    {
        private int _count;

        public ReadOnlySpan<int> Forced => beginning.AsSpan(Math.Min(_count, beginning.Length));

        public bool Mask(Span<uint> bits) => false;

        public void Accept(int token)
        {
            if (++_count == failsAt)
                throw new InvalidOperationException($"token {failsAt}");
        }

        public void Rollback(int count) => _count -= count;
    }

    /// <summary>Allows 30, 31, 32 and so on.</summary>
    private sealed class Counting : ListGuide
    {
        public List<int> Lengths { get; } = [];

        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            Lengths.Add(outputIds.Length);
            allowed.Add(30 + outputIds.Length);
            return true;
        }
    }
}
