using DeepSeekR1.Engine;

namespace DeepSeekR1.Training.Grpo;

/// <summary>One sampled completion.</summary>
/// <param name="PromptIds">The prompt.</param>
/// <param name="CompletionIds">What was sampled, the end token included.</param>
/// <param name="LogProbs">The sampler's natural-log probability of each, at temperature 1.</param>
/// <param name="IsTruncated">The length limit ended it.</param>
/// <param name="PolicyVersion">Version of the weights that sampled it.</param>
public sealed record Sample(IReadOnlyList<int> PromptIds, int[] CompletionIds, float[] LogProbs, bool IsTruncated, long PolicyVersion);

/// <summary>How completions are sampled.</summary>
/// <param name="Count">Completions per prompt.</param>
/// <param name="MaxTokens">Longest completion.</param>
/// <param name="Temperature">0 takes the best token.</param>
/// <param name="TopP">1 in reinforcement learning: anything else samples from another distribution than the one that is trained.</param>
/// <param name="Seed">The same seed, prompt and weights give the same completions.</param>
public sealed record SamplingPlan(int Count, int MaxTokens, float Temperature = 1, float TopP = 1, ulong Seed = 0);

/// <summary>Samples completions through the serving engine: all prompts at once, completions of one prompt share its keys.</summary>
public static class Rollout
{
    /// <summary>Completions of every prompt, in order.</summary>
    /// <exception cref="InvalidRequestException">A prompt does not fit.</exception>
    /// <exception cref="EngineFaultedException">The engine failed.</exception>
    public static async Task<IReadOnlyList<IReadOnlyList<Sample>>> SampleAsync(
        LlmEngine engine, IReadOnlyList<IReadOnlyList<int>> prompts, IReadOnlyList<int> stopIds, SamplingPlan plan, CancellationToken cancellation = default)
    {
        long version = engine.PolicyVersion;
        var groups = new List<List<Task<Sample>>>();
        for (int p = 0; p < prompts.Count; p++)
        {
            var group = new List<Task<Sample>>();
            for (int i = 0; i < plan.Count; i++)
                group.Add(CollectAsync(Submit(engine, prompts[p], stopIds, plan, p, i), prompts[p], version, cancellation));
            groups.Add(group);
        }

        var samples = new List<IReadOnlyList<Sample>>();
        foreach (var group in groups)
            samples.Add(await Task.WhenAll(group).ConfigureAwait(false));
        return samples;
    }

    private static GenerationStream Submit(LlmEngine engine, IReadOnlyList<int> prompt, IReadOnlyList<int> stopIds, SamplingPlan plan, int number, int sample)
        => engine.Submit(new GenerationRequest
        {
            Id = $"rollout-{number}-{sample}",
            PromptIds = prompt,
            Sampling = new SamplingParams
            {
                Temperature = plan.Temperature,
                TopP = plan.TopP,
                MaxTokens = Math.Min(plan.MaxTokens, engine.Facts.MaxModelLen - prompt.Count),
                Seed = plan.Seed + (ulong)number,
                SampleIndex = sample,
                StopTokenIds = stopIds,
                TopLogprobs = 0,
            },
        });

    private static async Task<Sample> CollectAsync(GenerationStream stream, IReadOnlyList<int> prompt, long version, CancellationToken cancellation)
    {
        var ids = new List<int>();
        var logProbs = new List<float>();
        bool truncated = false;
        try
        {
            await foreach (var output in stream.Outputs.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                if (output.TokenId >= 0)
                {
                    ids.Add(output.TokenId);
                    logProbs.Add(output.Logprob ?? 0);
                }

                truncated = output.FinishReason == FinishReason.Length;
            }
        }
        catch (OperationCanceledException)
        {
            stream.Cancel();
            throw;
        }

        return new Sample(prompt, [.. ids], [.. logProbs], truncated, version);
    }
}
