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
        ledger.Open(late);
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
}
