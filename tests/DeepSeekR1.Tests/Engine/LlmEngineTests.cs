using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

public class LlmEngineTests
{
    public static TheoryData<string> Checkpoints => [.. GoldenModel.Names];

    [GoldenTheory]
    [MemberData(nameof(Checkpoints))]
    public async Task Submit_AllPromptsAtOnce_GivesReferenceIdsAndLogprobs(string name)
    {
        IReadOnlyList<GoldenPrompt> prompts;
        using (var golden = new GoldenModel(name, new TorchKernels()))
            prompts = golden.Prompts;
        await using var engine = EngineFixture.Load(name, o => o with { MaxNumBatchedTokens = 64, MaxNumSeqs = 8 });
        int room = engine.Facts.MaxModelLen;
        var runs = prompts.Select(p => (Prompt: p, Stream: engine.Submit(EngineFixture.Greedy(p.Ids, Math.Min(32, room - p.Ids.Length), logprobs: 3)))).ToList();
        foreach (var (prompt, stream) in runs)
        {
            var outputs = await EngineFixture.Collect(stream);
            Assert.Equal(prompt.Greedy.Take(outputs.Count), outputs.Select(o => o.TokenId));
            Assert.Equal(Math.Min(32, room - prompt.Ids.Length), outputs.Count);
            Assert.Equal(FinishReason.Length, outputs[^1].FinishReason);
            for (int i = 0; i < outputs.Count; i++)
            {
                Assert.Equal(prompt.GreedyLogprobs[i], outputs[i].Logprob!.Value, 1e-4);
                Assert.Equal(outputs[i].TokenId, outputs[i].TopLogprobs![0].TokenId);
                Assert.Equal(3, outputs[i].TopLogprobs!.Count);
            }
        }

        Assert.Equal(0, engine.Snapshot().BlocksUsed);
    }

    [GoldenFact]
    public async Task Submit_WhenBlocksRunOut_PreemptsAndGivesTheSameIds()
    {
        IReadOnlyList<GoldenPrompt> prompts;
        using (var golden = new GoldenModel("qwen2", new TorchKernels()))
            prompts = golden.Prompts;

        // The longest sequence needs 15 blocks; together they need far more than 20.
        await using var engine = EngineFixture.Load("qwen2", o => o with { NumGpuBlocksOverride = 20, MaxNumBatchedTokens = 64, MaxNumSeqs = 8 });
        var runs = prompts.Concat(prompts).Select(p => (Prompt: p, Stream: engine.Submit(EngineFixture.Greedy(p.Ids, 32)))).ToList();
        foreach (var (prompt, stream) in runs)
            Assert.Equal(prompt.Greedy, (await EngineFixture.Collect(stream)).Select(o => o.TokenId));
        Assert.True(engine.Snapshot().Preemptions > 0);
        Assert.Equal(0, engine.Snapshot().BlocksUsed);
    }

    [GoldenFact]
    public async Task Submit_ManySteps_KeepsTensorCount()
    {
        await using var engine = EngineFixture.Load("deepseek-v3-yarn");
        await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy([1, 2, 3], 20)));
        long before = TensorScope.LiveTensors;
        await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy([1, 2, 3], 120)));
        Assert.Equal(before, TensorScope.LiveTensors);
    }
}
