using DeepSeekR1.Engine;
using DeepSeekR1.Testing;

namespace DeepSeekR1.Tests.Engine;

/// <summary>Engines on golden checkpoints in float32.</summary>
internal static class EngineFixture
{
    public static LlmEngine Load(string name, Func<EngineOptions, EngineOptions>? change = null)
    {
        var options = new EngineOptions { ModelPath = Goldens.At("models", name), DType = "float32", Device = "cpu", NumThreads = 1 };
        return LlmEngine.Load(change?.Invoke(options) ?? options);
    }

    public static GenerationRequest Greedy(IReadOnlyList<int> ids, int maxTokens, int? logprobs = null, IReadOnlyList<int>? stop = null) => new()
    {
        Id = "test",
        PromptIds = ids,
        Sampling = new SamplingParams { Temperature = 0, MaxTokens = maxTokens, TopLogprobs = logprobs, StopTokenIds = stop ?? [] },
    };

    public static async Task<List<TokenOutput>> Collect(GenerationStream stream)
    {
        var outputs = new List<TokenOutput>();
        await foreach (var output in stream.Outputs.ReadAllAsync())
            outputs.Add(output);
        return outputs;
    }
}
