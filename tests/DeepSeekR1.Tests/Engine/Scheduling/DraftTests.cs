using CsCheck;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Guides;
using Xunit;
using static DeepSeekR1.Tests.Engine.Scheduling.SchedulerFixture;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>
/// Several accepted tokens a step: whatever is proposed, what comes out is what comes out without drafts; blocks add up after every
/// operation (the fixture checks), and no key of a wrong draft is ever read or found.
/// </summary>
public class DraftTests
{
    [Theory]
    [InlineData(3, 3, 5)] // all right: four tokens a step
    [InlineData(3, 0, 20)] // all wrong: one
    [InlineData(4, 2, 7)] // two right ones: three
    public void Run_WithDrafts_GivesTheSameTokensInFewerSteps(int length, int right, int steps)
    {
        var fixture = Fixture(new GuessingSource(length, i => i < right));
        var sequence = fixture.Add(Request(6, 20));
        Assert.Equal(steps, fixture.Run());
        fixture.AssertAsAlone(sequence);
        Assert.Equal(0, fixture.Scheduler.Preemptions);
    }

    [Fact]
    public void Schedule_Drafts_AreTheLastTokensOfThePartAndEachHasARow()
    {
        var fixture = Fixture(new GuessingSource(3, _ => true));
        fixture.Add(Request(6, 20));
        fixture.Step();
        var batch = fixture.Step()!;
        var part = batch.Sequences.Single();
        Assert.Equal((4, 3, 9), (part.TokenIds.Length, part.NumDrafts, part.Computed));
        Assert.Equal([4, 5, 6, 7], part.Rows.Select(r => r.Position));
    }

    [Fact]
    public void Apply_StopTokenAmongAcceptedOnes_EndsThere()
    {
        var ids = Alone(Request(6, 12), 400).Ids;
        int place = Enumerable.Range(2, 9).First(i => ids.IndexOf(ids[i]) == i && i % 4 is 1 or 2);
        var fixture = Fixture(new GuessingSource(3, _ => true));
        var sequence = fixture.Add(Request(6, 12, stop: [ids[place]]));
        fixture.Run();
        Assert.Equal(ids.Take(place + 1), fixture.IdsOf(sequence));
        Assert.Equal(FinishReason.Stop, fixture.OutputsOf(sequence)[^1].FinishReason);
        Assert.Single(fixture.OutputsOf(sequence), o => o.FinishReason is not null);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Apply_AtMaxTokens_EndsWithLengthAndComputesNoMore(int maxTokens)
    {
        var fixture = Fixture(new GuessingSource(5, _ => true));
        var sequence = fixture.Add(Request(6, maxTokens));
        fixture.Run();
        fixture.AssertAsAlone(sequence);

        // The last token is never computed, and none behind it.
        Assert.Equal(6 + maxTokens - 1, fixture.Batches.Sum(b => b.TotalTokens));
    }

    [Fact]
    public void Publish_OfWrongDrafts_NeverHappens()
    {
        var fixture = new SchedulerFixture(40, 2, maxSequences: 4, maxTokens: 64, drafts: new GuessingSource(6, _ => false));
        var sequence = fixture.Add(Request(7, 12));
        while (!fixture.Scheduler.IsIdle)
        {
            var batch = fixture.Step()!;
            foreach (var part in batch.Sequences.Where(p => p.NumDrafts > 0))
            {
                // All that the part computed, as another request's prompt: only what was known when the step was made may be found.
                int known = part.Computed + part.TokenIds.Length - part.NumDrafts;
                var table = new BlockTable();
                int[] everything = [.. sequence.Tokens(0, Math.Min(known, sequence.Length)), .. part.TokenIds[^part.NumDrafts..], 0];
                Assert.True(fixture.Blocks.TryBegin(table, everything, null));
                Assert.InRange(table.Count, 0, known / 2);
                fixture.Blocks.Free(table);
            }
        }

        fixture.AssertAsAlone(sequence);
    }

    [Fact]
    public void Publish_OfAcceptedDrafts_ServesTheNextRequest()
    {
        int[] CachedOf(IDraftSource? source)
        {
            var fixture = new SchedulerFixture(40, 4, maxSequences: 4, maxTokens: 64, drafts: source);
            var first = fixture.Add(Request(6, 17));
            fixture.Run();
            var next = fixture.Add(Request(1, 1) with { PromptIds = [.. first.Tokens(0, first.Length), 5] });
            fixture.Run();
            return [first.OutputLength, next.CachedTokens];
        }

        // 6 + 16 computed tokens fill five blocks, with drafts as without.
        Assert.Equal([17, 20], CachedOf(null));
        Assert.Equal([17, 20], CachedOf(new GuessingSource(3, _ => true)));
        Assert.Equal([17, 20], CachedOf(new GuessingSource(3, i => i == 0)));
    }

    [Fact]
    public void Schedule_DraftsOnAFullCache_PushNobodyOut()
    {
        // Two sequences of three blocks each, on six blocks: there is never room for a block of guesses more.
        var fixture = new SchedulerFixture(6, 4, maxSequences: 2, maxTokens: 32, maxLength: 12, drafts: new GuessingSource(9, _ => false));
        var sequences = Enumerable.Range(0, 2).Select(i => fixture.Add(Request(4, 8, salt: i))).ToList();
        fixture.Run();
        Assert.Equal(0, fixture.Scheduler.Preemptions);
        sequences.ForEach(fixture.AssertAsAlone);
    }

    [Fact]
    public void Schedule_DraftsUnderATightBudget_CostNoStreamItsToken()
    {
        var fixture = new SchedulerFixture(80, 4, maxSequences: 4, maxTokens: 6, drafts: new GuessingSource(5, i => i < 1));
        var streams = Enumerable.Range(0, 4).Select(i => fixture.Add(Request(1, 20, salt: i))).ToList();
        while (streams.Exists(s => s.OutputLength == 0))
            fixture.Step();
        while (!fixture.Scheduler.IsIdle)
        {
            var before = streams.Select(s => (s.OutputLength, s.Status)).ToList();
            fixture.Step();
            Assert.All(streams.Zip(before), pair => Assert.True(pair.Second.Status == SequenceStatus.Finished || pair.First.OutputLength > pair.Second.OutputLength));
        }

        streams.ForEach(fixture.AssertAsAlone);
    }

    [Fact]
    public void Schedule_WhenTheSourceThrows_EndsOnlyItsSequence()
    {
        var fixture = Fixture(new Failing(6));
        var sequences = Enumerable.Range(0, 2).Select(i => fixture.Add(Request(4 + i, 6, salt: i))).ToList();
        fixture.Step();
        fixture.Step();
        Assert.Same(sequences[0], fixture.Scheduler.Rejected.Single().Sequence);
        fixture.Run();
        fixture.AssertAsAlone(sequences[1]);
    }

    [Fact]
    public void Run_RandomGuesses_EverySequenceGivesWhatItGivesAlone()
    {
        long accepted = 0, proposed = 0, preemptions = 0, cancelled = 0;
        Gen.Select(Gen.Int[1, 12], Gen.Int[1, 5], Gen.Int[1, 5], Gen.Int[0, 24], Gen.Int[0, 6], Gen.Int[0, 1_000_000]).Sample(
            (blocks, blockSize, maxSequences, extra, length, seed) =>
            {
                var random = new Random(seed);
                double share = random.NextDouble();
                var source = new GuessingSource(length, _ => random.NextDouble() < share);
                var fixture = new SchedulerFixture(1 + blocks, blockSize, maxSequences, maxSequences + extra, drafts: source);
                int maxLength = (1 + blocks) * blockSize;
                var all = new List<Sequence>();
                for (int step = 0; step < 20; step++)
                {
                    if (random.Next(2) == 0)
                        all.Add(fixture.Add(RandomRequest(random, maxLength)));
                    fixture.DuringStep = random.Next(8) == 0 && all.Count > 0 ? () => cancelled += fixture.Remove(all[random.Next(all.Count)]) ? 1 : 0 : null;
                    fixture.Step();
                }

                fixture.DuringStep = null;
                fixture.Run();
                foreach (var sequence in all)
                {
                    var (ids, reason) = Alone(sequence.Request, maxLength);
                    var own = fixture.IdsOf(sequence);
                    Assert.Equal(ids.Take(own.Count), own);
                    if (own.Count == ids.Count)
                        Assert.Equal(reason, fixture.OutputsOf(sequence)[^1].FinishReason);
                    accepted += own.Count;
                }

                preemptions += fixture.Scheduler.Preemptions;
                proposed += source.Proposed;
            },
            iter: Goldens.Long ? 50_000 : 3000,
            threads: 1);
        Assert.True(proposed > 10_000 && accepted > 10_000 && preemptions > 500 && cancelled > 500, $"{proposed} {accepted} {preemptions} {cancelled}");
    }

    /// <summary>Guides see drafts come and go; masks, wrap-ups and counts are those of a run without drafts.</summary>
    [Fact]
    public void Run_GuidedWithRandomGuesses_GivesWhatItGivesWithoutDrafts()
    {
        int forced = 0;
        Gen.Select(Gen.Int[0, 6], Gen.Int[0, 1_000_000]).Sample(
            (length, seed) =>
            {
                List<int> Run(IDraftSource? source)
                {
                    var random = new Random(seed);
                    var fixture = new SchedulerFixture(30, 3, maxSequences: 3, maxTokens: 24, maxLength: 60, drafts: source);
                    var sequences = Enumerable.Range(0, 3).Select(i => fixture.Add(Guided(random, i))).ToList();
                    fixture.Run();
                    forced += sequences.Sum(s => s.OutputIds.IndexOf([38, 39]) >= 0 ? 1 : 0);
                    return [.. sequences.SelectMany(fixture.IdsOf)];
                }

                var guesses = new Random(seed + 1);
                double share = guesses.NextDouble();
                Assert.Equal(Run(null), Run(new GuessingSource(length, _ => guesses.NextDouble() < share)));
            },
            iter: 1500,
            threads: 1);
        Assert.True(forced > 300, $"only {forced} wrap-ups");
    }

    /// <summary>The next step is made and computed while the last one is not booked yet; nobody is in both.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void Apply_WhenTheNextStepIsMadeBefore_GivesWhatItGivesAlone(int length)
    {
        var random = new Random(8);
        var fixture = new SchedulerFixture(400, 4, maxSequences: 6, maxTokens: 20, maxLength: 100, drafts: new GuessingSource(length, _ => random.Next(2) == 0));
        var all = new List<Sequence>();
        var flying = new Queue<(ScheduledBatch Batch, StepOutput Output)>();
        int overlaps = 0;
        for (int step = 0; step < 300; step++)
        {
            if (step % 3 == 0 && step < 150)
                all.Add(fixture.Add(RandomRequest(random, 40)));
            if (fixture.Begin() is { } next)
                flying.Enqueue(next);
            overlaps += flying.Count == 2 ? 1 : 0;
            var sampled = flying.SelectMany(f => f.Batch.Sequences.Where(p => p.Rows.Length > 0)).Select(p => p.Id).ToList();
            Assert.Equal(sampled.Count, sampled.Distinct().Count());
            if (flying.Count == 2 || step % 7 == 0)
                if (flying.TryDequeue(out var flight))
                    fixture.End(flight.Batch, flight.Output);
        }

        while (flying.TryDequeue(out var flight))
            fixture.End(flight.Batch, flight.Output);
        fixture.Run();
        Assert.True(overlaps > 50, $"only {overlaps} overlaps");
        all.ForEach(fixture.AssertAsAlone);
    }

    private static GenerationRequest RandomRequest(Random random, int maxLength)
    {
        int a = random.Next(1000);
        var request = Request(1 + random.Next(maxLength - 1), 1 + a % 17, a % 3 == 0 ? [] : [a % FakeRunner.Vocabulary, 3], minTokens: a % 5, salt: a % 3);
        return request with
        {
            Priority = a % 3,
            CacheSalt = a % 4 == 0 ? "salt" : null,
            Sampling = request.Sampling with { RepetitionPenalty = a % 2 == 0 ? 1.1f : 1 },
        };
    }

    private static GenerationRequest Guided(Random random, int salt)
    {
        var thought = new ThoughtLimit(1 + random.Next(6), [38, 39], 5, [6], StartsInside: random.Next(2) == 0, id => id < 8);
        int[] stop = [random.Next(40), random.Next(40)];
        var request = Request(1 + random.Next(12), 4 + random.Next(20), stop, salt: salt);
        return request with
        {
            Sampling = request.Sampling with { PresencePenalty = 0.5f },
            Guide = GuideChain.Of(
                new ThoughtGuide(thought),
                new BadWordsGuide([[random.Next(40)], [random.Next(40), random.Next(40)]]),
                new MinTokensGuide(random.Next(6), stop),
                random.Next(2) == 0 ? new AllowedTokensGuide([.. Enumerable.Range(0, 40).Where(_ => random.Next(3) > 0), 11, 12, 13, 14, 15, 16]) : null),
        };
    }

    private static SchedulerFixture Fixture(IDraftSource source) => new(100, 4, maxSequences: 4, maxTokens: 32, drafts: source);

    /// <summary>Proposes nothing, and fails when a sequence is of a length.</summary>
    private sealed class Failing(int length) : IDraftSource
    {
        public ReadOnlySpan<int> Propose(Sequence sequence) => sequence.Length == length - 1 && sequence.PromptLength == 4 ? throw new InvalidOperationException("broken") : [];
    }
}
