using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>Far more requests than the cache has room for: every one ends, with the ids that it gets alone.</summary>
public sealed class CrowdedCacheTests
{
    private const int Requests = 64, PromptTokens = 40, OutputTokens = 40, BlockSize = 16;

    [GoldenTheory]
    [InlineData("deepseek-v3-yarn", true)]
    [InlineData("qwen2", false)]
    public async Task Submit_SixtyFourInACacheForEight_AllGiveTheIdsOfLoneRuns(string name, bool sharing)
    {
        int[] Prompt(int i) => [.. Enumerable.Range(0, PromptTokens).Select(j => 3 + (j < 20 ? j + i % 4 : 7 * j + 31 * i) % 200)];
        var expected = new List<int[]>();
        await using (var roomy = EngineFixture.Load(name, o => o with { EnablePrefixCaching = false }))
            for (int i = 0; i < Requests; i++)
                expected.Add(await IdsAsync(roomy.Submit(EngineFixture.Greedy(Prompt(i), OutputTokens))));

        int blocks = 8 * ((PromptTokens + OutputTokens + BlockSize - 1) / BlockSize);
        await using var crowded = EngineFixture.Load(
            name, o => o with { NumGpuBlocksOverride = blocks, BlockSize = BlockSize, MaxNumSeqs = Requests, MaxNumBatchedTokens = 256, EnablePrefixCaching = sharing });
        var streams = Enumerable.Range(0, Requests).Select(i => crowded.Submit(EngineFixture.Greedy(Prompt(i), OutputTokens))).ToList();
        for (int i = 0; i < Requests; i++)
            Assert.Equal(expected[i], await IdsAsync(streams[i]));
        var end = crowded.Snapshot();
        Assert.Equal((0, 0, 0, (long)Requests), (end.BlocksUsed, end.Running, end.Waiting, end.RequestsFinished));
        Assert.True(end.Preemptions > 0, "the cache was never full");
    }

    private static async Task<int[]> IdsAsync(GenerationStream stream) => [.. (await EngineFixture.Collect(stream)).Select(o => o.TokenId)];
}
