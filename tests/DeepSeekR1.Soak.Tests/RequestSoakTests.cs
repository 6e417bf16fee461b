using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Xunit;
using Xunit.Abstractions;

namespace DeepSeekR1.Soak.Tests;

/// <summary>The same for what requests do beside steps: they come, share prefixes, are cancelled, lose their blocks and get them back. The whole engine, with
/// its threads.</summary>
public class RequestSoakTests(ITestOutputHelper output)
{
    private const int Answer = 20;
    private static readonly int[] LongPrompt = [.. Enumerable.Range(0, 40).Select(i => 1 + i * 7 % 90)];

    [GoldenFact]
    public Task Requests_Answered_KeepNoMemory() => Keeps(64, engine => Read(engine, [1, 2, 3, 4, 5]));

    [GoldenFact]
    public Task Requests_ThatShareAPrefix_KeepNoMemory() => Keeps(64, engine => Read(engine, LongPrompt));

    [GoldenFact]
    public Task Requests_ThatAreCancelled_KeepNoMemory() => Keeps(64, async engine =>
    {
        var stream = engine.Submit(Request([1, 2, 3, 4, 5]));
        int tokens = 0;
        await foreach (var part in stream.Outputs.ReadAllAsync())
            if (part.TokenId >= 0 && ++tokens == 3)
                stream.Cancel();
        return tokens;
    });

    [GoldenFact]
    public Task Requests_ThatArePreempted_KeepNoMemory() => Keeps(7, async engine =>
    {
        var streams = Enumerable.Range(0, 3).Select(_ => Read(engine, LongPrompt)).ToList();
        int tokens = (await Task.WhenAll(streams)).Sum();
        Assert.True(engine.Snapshot().Preemptions > 0);
        return tokens;
    }, sharing: false);

    private async Task Keeps(int blocks, Func<LlmEngine, Task<int>> request, bool sharing = true)
    {
        await using var engine = LlmEngine.Load(new EngineOptions
        {
            ModelPath = Goldens.At("models", "qwen3"),
            DType = "bfloat16",
            Device = "cpu",
            NumThreads = 1,
            NumGpuBlocksOverride = blocks,
            EnablePrefixCaching = sharing,
        });
        var slope = MemorySlope.Measure(Goldens.Long ? 200_000 : 4_000, steps =>
        {
            int taken = 0;
            while (taken < steps)
                taken += request(engine).GetAwaiter().GetResult();
            return taken;
        });
        output.WriteLine(slope.ToString());
        Assert.True(slope.Malloc < MemorySlope.Limit, $"{slope} (a step is a token here).");
    }

    private static async Task<int> Read(LlmEngine engine, int[] prompt)
    {
        int tokens = 0;
        await foreach (var part in engine.Submit(Request(prompt)).Outputs.ReadAllAsync())
            tokens += part.TokenId >= 0 ? 1 : 0;
        return tokens;
    }

    private static GenerationRequest Request(int[] prompt) => new()
    {
        Id = "soak",
        PromptIds = prompt,
        Sampling = new SamplingParams { Temperature = 0, MaxTokens = Answer },
    };
}
