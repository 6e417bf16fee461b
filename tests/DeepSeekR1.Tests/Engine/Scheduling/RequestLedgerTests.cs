using System.Threading.Channels;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Diagnostics;
using DeepSeekR1.Engine.Scheduling;
using Xunit;
using static DeepSeekR1.Tests.Engine.Scheduling.SchedulerFixture;

namespace DeepSeekR1.Tests.Engine.Scheduling;

/// <summary>Ends of requests without a model: what they are sent, what is freed and what is counted.</summary>
public class RequestLedgerTests
{
    [Fact]
    public async Task Expire_BetweenTwoChunksOfALongPrompt_EndsItAndNoOther()
    {
        const int Budget = 16;
        var fixture = new SchedulerFixture(200, 4, maxSequences: 4, Budget, maxLength: 600);
        var ledger = new RequestLedger(fixture.Scheduler, fixture.Blocks, new EngineMetrics(600));
        var stream = fixture.Add(Request(3, 40));
        fixture.Step();
        var channel = Channel.CreateUnbounded<TokenOutput>();
        var late = new Sequence(Request(400, 5, salt: 9) with { TimeLimit = TimeSpan.FromHours(1) }, channel.Writer);
        Assert.True(ledger.TryOpen(late, limit: 1));
        ledger.Admit(late);
        for (int chunk = 1; chunk <= 3; chunk++)
        {
            ledger.Expire(late.Deadline - 1);
            fixture.Step();
            Assert.Equal((SequenceStatus.Running, chunk * (Budget - 1)), (late.Status, late.NumComputed));
        }

        Assert.Equal(1, ledger.Count);
        ledger.Expire(late.Deadline);
        Assert.Equal((SequenceStatus.Finished, 0, 0), (late.Status, late.Table.Count, ledger.Count));
        Assert.Equal([(-1, FinishReason.Length)], await channel.Reader.ReadAllAsync().Select(o => (o.TokenId, o.FinishReason!.Value)).ToListAsync());
        Assert.Equal((1L, 1), (ledger.Snapshot.RequestsFinished, ledger.Snapshot.Running));
        fixture.Run();
        fixture.AssertAsAlone(stream);
    }

    [Fact]
    public void TryOpen_ManyAtOnce_LetsInExactlyAsManyAsTheLimit()
    {
        const int Threads = 4, Rounds = 2000, Limit = 3;
        var fixture = new SchedulerFixture(8, 4, maxSequences: 4, 16, maxLength: 32);
        var ledger = new RequestLedger(fixture.Scheduler, fixture.Blocks, new EngineMetrics(32));
        var sequences = Enumerable.Range(0, Threads).Select(_ => new Sequence(Request(3, 1), null)).ToList();
        var let = new bool[Threads];
        int wrong = 0;
        using var barrier = new Barrier(Threads, b =>
        {
            int expected = b.CurrentPhaseNumber % 2 == 0 ? 0 : Limit;
            if (ledger.Count != expected || (expected > 0 && let.Count(l => l) != expected))
                wrong++;
        });
        var threads = sequences.Select((sequence, i) => new Thread(() =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                barrier.SignalAndWait();
                let[i] = ledger.TryOpen(sequence, Limit);
                barrier.SignalAndWait();
                ledger.End(sequence, null);
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.Equal((0, 0), (wrong, ledger.Count));
    }
}
