using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models;
using Xunit;
using Xunit.Abstractions;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Tests.Engine;

/// <summary>What a step costs, and that neighbours, clients that leave and faults do not change anybody's answer.</summary>
public class StepTests(ITestOutputHelper console)
{
    private const double NearTie = 1e-5;

    [GoldenTheory]
    [InlineData("qwen2")]
    [InlineData("llama-tied")]
    [InlineData("deepseek-v3-yarn")]
    public void Forward_LinearCalls_DoNotDependOnBatchSize(string name)
    {
        var counter = new CountingKernels();
        using var golden = new GoldenModel(name, counter);
        int Calls(int sequences, int rows)
        {
            using var scope = new TensorScope();
            counter.Calls = 0;
            var ids = golden.Prompts[4].Ids;
            golden.Step([.. Enumerable.Range(0, sequences).Select(i => (ids, 0, rows, new[] { 3 * i, 3 * i + 1, 3 * i + 2 }))]);
            return counter.Calls;
        }

        int one = Calls(1, 1);
        var config = golden.Model.Config;
        if (config.Moe is null)
        {
            // qkv, output, gate and up, down per layer, and the head.
            Assert.Equal(4 * config.NumLayers + 1, one);
            Assert.All(new[] { (7, 1), (30, 1), (1, 33), (9, 20) }, shape => Assert.Equal(one, Calls(shape.Item1, shape.Item2)));
            return;
        }

        // Every expert that any row chose runs once, whatever the number of rows; long chunks expand their latents once a layer.
        int moeLayers = config.NumLayers - config.Moe.FirstDenseLayers;
        int experts = 2 * config.Moe.Rule.TopK * moeLayers, all = 2 * config.Moe.ExpertCount * moeLayers;
        Assert.All(new[] { (7, 1), (30, 1), (1, 33), (9, 20) }, shape => Assert.InRange(Calls(shape.Item1, shape.Item2), one, one - experts + all + config.NumLayers));
    }

    [GoldenTheory]
    [InlineData("qwen3-yarn")]
    [InlineData("llama")]
    [InlineData("deepseek-v3-no-q-lora")]
    [InlineData("deepseek-v3-yarn-mscale")]
    public async Task Submit_InRandomMixes_GivesTheIdsOfLoneRuns(string name)
    {
        var random = new Random(11);
        IReadOnlyList<GoldenPrompt> prompts;
        using (var golden = new GoldenModel(name, new TorchKernels()))
            prompts = golden.Prompts;
        foreach (var (budget, sequences, blocks) in new[] { (16, 4, 64), (37, 16, 300), (256, 16, 24) })
        {
            await using var engine = EngineFixture.Load(name, o => o with { MaxNumBatchedTokens = budget, MaxNumSeqs = sequences, NumGpuBlocksOverride = blocks });
            var runs = new List<(GoldenPrompt Prompt, int Count, Task<List<TokenOutput>> Outputs)>();
            for (int i = 0; i < 20; i++)
            {
                var prompt = prompts[random.Next(prompts.Count)];
                int count = Math.Min(1 + random.Next(32), engine.Facts.MaxModelLen - prompt.Ids.Length);
                runs.Add((prompt, count, EngineFixture.Collect(engine.Submit(EngineFixture.Greedy(prompt.Ids, count, logprobs: 2)))));
                if (random.Next(3) == 0)
                    await Task.Delay(random.Next(8));
            }

            foreach (var (prompt, count, task) in runs)
                Compare(name, prompt, count, await task);
            Assert.Equal(0, engine.Snapshot().BlocksUsed);
        }
    }

    [GoldenFact]
    public async Task Cancel_InMidStream_FreesBlocksAndLeavesOthersAlone()
    {
        IReadOnlyList<GoldenPrompt> prompts;
        using (var golden = new GoldenModel("qwen2", new TorchKernels()))
            prompts = golden.Prompts;
        await using var engine = EngineFixture.Load("qwen2");
        var stays = engine.Submit(EngineFixture.Greedy(prompts[4].Ids, 32));
        var leaves = engine.Submit(EngineFixture.Greedy(prompts[3].Ids, 400));
        for (int i = 0; i < 5; i++)
            await leaves.Outputs.ReadAsync();
        leaves.Cancel();
        var rest = await EngineFixture.Collect(leaves);
        Assert.Equal(FinishReason.Cancelled, rest[^1].FinishReason);
        Assert.Equal(-1, rest[^1].TokenId);
        Assert.Equal(prompts[4].Greedy, (await EngineFixture.Collect(stays)).Select(o => o.TokenId));
        Assert.Equal((0, 1L), (engine.Snapshot().BlocksUsed, engine.Snapshot().RequestsCancelled));
        leaves.Cancel();
        Assert.Equal(32, (await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy(prompts[0].Ids, 32)))).Count);
    }

    [GoldenFact]
    public async Task Fault_InEveryStep_EndsEveryRequestAndThenTheEngine()
    {
        var failing = new CountingKernels { FailAfter = 200 };
        await using var engine = EngineFixture.Load("qwen2", o => o with { WrapKernels = (_, _) => failing, MaxNumSeqs = 2 });
        var streams = Enumerable.Range(0, 6).Select(i => engine.Submit(EngineFixture.Greedy([i + 1, 2, 3], 200))).ToList();
        for (int i = 0; i < streams.Count; i++)
        {
            // Two by two: the first two failed steps end their own requests, the third ends the engine.
            var fault = await Assert.ThrowsAnyAsync<Exception>(() => EngineFixture.Collect(streams[i]));
            Assert.IsType(i < 4 ? typeof(StepFailedException) : typeof(EngineFaultedException), fault);
            Assert.Contains("out of luck", fault.Message);
        }

        Assert.False(engine.IsHealthy);
        Assert.Throws<EngineFaultedException>(() => engine.Submit(EngineFixture.Greedy([1], 1)));
        Assert.Equal((0, 3), (engine.Snapshot().BlocksUsed, engine.Snapshot().StepFaults));
    }

    [GoldenFact]
    public async Task Fault_InOneStep_EndsItsRequestsAndTheOthersAreAsAlone()
    {
        using var golden = new GoldenModel("qwen2", new TorchKernels());
        var prompts = golden.Prompts.Where(p => p.Ids.Length > 40).ToList();
        var failing = new CountingKernels { FailAfter = 100, Recovers = true };
        await using var engine = EngineFixture.Load("qwen2", o => o with { WrapKernels = (_, _) => failing, MaxNumSeqs = 2 });
        var streams = Enumerable.Range(0, 6).Select(i => engine.Submit(EngineFixture.Greedy(prompts[i % prompts.Count].Ids, 20))).ToList();
        foreach (var stream in streams.Take(2))
            await Assert.ThrowsAsync<StepFailedException>(() => EngineFixture.Collect(stream));
        for (int i = 2; i < 6; i++)
            Assert.Equal(prompts[i % prompts.Count].Greedy.Take(20), (await EngineFixture.Collect(streams[i])).Select(o => o.TokenId));

        // The cache of before the fault is not read again, and a new one works.
        var again = await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy(prompts[0].Ids, 20)));
        Assert.Equal(prompts[0].Greedy.Take(20), again.Select(o => o.TokenId));
        Assert.True(engine.IsHealthy);
        Assert.Equal((0, 1), (engine.Snapshot().BlocksUsed, engine.Snapshot().StepFaults));
    }

    [GoldenTheory]
    [InlineData(0f)]
    [InlineData(0.8f)]
    public async Task NaN_InOneRow_EndsItsSequenceAndTheOthersLive(float temperature)
    {
        var kernels = new PoisonKernels();
        await using var engine = EngineFixture.Load("qwen2", o => o with { WrapKernels = (_, _) => kernels });
        GenerationRequest Request(int i)
        {
            var request = EngineFixture.Greedy([i + 1, 2, 3], 40);
            return request with { Sampling = request.Sampling with { Temperature = temperature, Seed = 3 } };
        }

        var lone = new List<int[]>();
        for (int i = 0; i < 3; i++)
            lone.Add([.. (await EngineFixture.Collect(engine.Submit(Request(i)))).Select(o => o.TokenId)]);
        kernels.Armed = true;
        var streams = Enumerable.Range(0, 3).Select(i => engine.Submit(Request(i))).ToList();
        int failed = 0;
        for (int i = 0; i < 3; i++)
        {
            try
            {
                Assert.Equal(lone[i], (await EngineFixture.Collect(streams[i])).Select(o => o.TokenId));
            }
            catch (StepFailedException e)
            {
                Assert.Contains("not numbers", e.Message);
                failed++;
            }
        }

        Assert.Equal(1, failed);
        for (int i = 0; i < 3; i++)
            Assert.Equal(lone[i], (await EngineFixture.Collect(engine.Submit(Request(i)))).Select(o => o.TokenId));
        Assert.Equal((0, 0), (engine.Snapshot().BlocksUsed, engine.Snapshot().StepFaults));
    }

    [GoldenTheory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task LongStep_WhoseRanksWork_IsNotGivenUp(int ranks)
    {
        // A step takes several times the timeout, and one rank is slower than the other.
        await using var engine = EngineFixture.Load("qwen2", o => o with
        {
            TensorParallelSize = ranks,
            RankTimeoutSeconds = 1,
            WrapKernels = (rank, _) => new SlowKernels(rank == ranks - 1 ? 400 : 0),
        });
        Assert.Equal(2, (await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy([1, 2], 2)))).Count);
        Assert.True(engine.IsHealthy);
    }

    [GoldenFact]
    public async Task Deadline_WithinALongPrefill_EndsItBetweenTwoChunks()
    {
        // 25 chunks, each of at least 60 ms.
        await using var engine = EngineFixture.Load("qwen2", o => o with { MaxNumSeqs = 4, MaxNumBatchedTokens = 16, WrapKernels = (_, _) => new SlowKernels(8) });
        var late = engine.Submit(EngineFixture.Greedy([.. Enumerable.Range(0, 400)], 5) with { TimeLimit = TimeSpan.FromSeconds(0.5) });
        var end = Assert.Single(await EngineFixture.Collect(late));
        Assert.Equal((-1, FinishReason.Length), (end.TokenId, end.FinishReason));
        Assert.InRange(engine.Snapshot().Steps, 1, 24);
        Assert.Equal(0, engine.Snapshot().BlocksUsed);
    }

    [GoldenFact]
    public async Task Submit_GuideThatThrows_EndsItsOwnRequestOnly()
    {
        await using var engine = EngineFixture.Load("qwen2");
        var bad = engine.Submit(EngineFixture.Greedy([1, 2], 50) with { Guide = new Failing() });
        var good = engine.Submit(EngineFixture.Greedy([1, 2], 50));
        await Assert.ThrowsAsync<NotSupportedException>(() => EngineFixture.Collect(bad));
        Assert.Equal(50, (await EngineFixture.Collect(good)).Count);
        Assert.True(engine.IsHealthy);
    }

    [GoldenFact]
    public async Task Submit_EveryTokenMasked_EndsItsOwnRequestWithAReason()
    {
        await using var engine = EngineFixture.Load("qwen2");
        var none = engine.Submit(EngineFixture.Greedy([1, 2], 50) with { Guide = new Nothing() });
        var error = await Assert.ThrowsAsync<InvalidRequestException>(() => EngineFixture.Collect(none));
        Assert.Contains("No token is left", error.Message);
        Assert.Single(await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy([1], 1))));
    }

    [GoldenFact]
    public async Task Submit_WhatCanNeverFit_IsRefusedWithTheNumbers()
    {
        await using var engine = EngineFixture.Load("qwen2", o => o with { MaxQueue = 1, MaxNumSeqs = 1 });
        var tooLong = Assert.Throws<InvalidRequestException>(() => engine.Submit(EngineFixture.Greedy(new int[512], 1)));
        Assert.Equal("The prompt has 512 tokens; the longest sequence is 512 tokens and must leave room for an answer. Shorten it.", tooLong.Message);
        var tooMuch = Assert.Throws<InvalidRequestException>(() => engine.Submit(EngineFixture.Greedy(new int[500], 13)));
        Assert.Contains("Lower max_tokens to 12", tooMuch.Message);
        Assert.Contains("outside the vocabulary, 0 to 511", Assert.Throws<InvalidRequestException>(() => engine.Submit(EngineFixture.Greedy([512], 1))).Message);
        var running = Enumerable.Range(0, 2).Select(_ => engine.Submit(EngineFixture.Greedy([1], 400))).ToList();
        Assert.Contains("option:max-queue", Assert.Throws<CapacityException>(() => engine.Submit(EngineFixture.Greedy([1], 1))).Message);
        running.ForEach(r => r.Cancel());
    }

    private void Compare(string name, GoldenPrompt prompt, int count, List<TokenOutput> outputs)
    {
        Assert.Equal(count, outputs.Count);
        for (int i = 0; i < count; i++)
        {
            if (outputs[i].TokenId == prompt.Greedy[i])
                continue;
            double gap = outputs[i].TopLogprobs![0].Logprob - outputs[i].TopLogprobs![1].Logprob;
            Assert.True(gap < NearTie, $"{name} prompt {prompt.Index}: token {i} is {outputs[i].TokenId}, alone {prompt.Greedy[i]}; gap {gap}");
            console.WriteLine($"{name} prompt {prompt.Index}: near tie at token {i}, gap {gap}");
            return;
        }
    }

    private sealed class Failing : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
            => outputIds.Length < 3 ? false : throw new NotSupportedException("broken constraint");
    }

    private sealed class Nothing : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed) => true;
    }

    /// <summary>Counts linear calls; fails at one of them when asked to.</summary>
    private sealed class CountingKernels : TorchKernels
    {
        public int Calls { get; set; }

        public int FailAfter { get; init; } = int.MaxValue;

        /// <summary>Fails once only.</summary>
        public bool Recovers { get; init; }

        public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
            => ++Calls > FailAfter && (!Recovers || Calls == FailAfter + 1) ? throw new InvalidOperationException("out of luck") : base.Linear(x, weight, bias);
    }

    /// <summary>Once, when armed, the first of several rows of logits is not numbers.</summary>
    private sealed class PoisonKernels : TorchKernels
    {
        public volatile bool Armed;

        public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
        {
            var y = base.Linear(x, weight, bias);
            if (Armed && y.shape[1] == 512 && y.shape[0] == 3)
            {
                Armed = false;
                using var row = y.select(0, 0);
                row.fill_(Scalars.Of(double.NaN));
            }

            return y;
        }
    }

    /// <summary>Takes its time for every product.</summary>
    private sealed class SlowKernels(int milliseconds) : TorchKernels
    {
        public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
        {
            Thread.Sleep(milliseconds);
            return base.Linear(x, weight, bias);
        }
    }
}
