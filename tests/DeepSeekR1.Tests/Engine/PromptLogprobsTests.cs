using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>Log-probabilities of the prompt's own tokens, against the reference logits of all positions.</summary>
public sealed class PromptLogprobsTests
{
    [GoldenTheory]
    [InlineData("qwen2", 2048, 1)]
    [InlineData("qwen2", 5, 1)]
    [InlineData("deepseek-v3-yarn", 7, 1)]
    [InlineData("deepseek-v3-yarn", 2048, 2)]
    public async Task Submit_PromptLogprobs_AreThoseOfTheReferenceInAnyChunks(string name, int chunk, int ranks)
    {
        using var golden = new GoldenModel(name, new TorchKernels());
        var prompt = golden.Prompts[3];
        Assert.True(prompt.AllPositions);
        var expected = TorchSharp.torch.nn.functional.log_softmax(golden.Expected("prompt3.logits"), -1);
        await using var engine = EngineFixture.Load(name, o => o with { MaxNumBatchedTokens = chunk, MaxNumSeqs = 4, TensorParallelSize = ranks });
        var request = EngineFixture.Greedy(prompt.Ids, 4);
        var scored = request with { Sampling = request.Sampling with { PromptLogprobs = 3 } };
        var streams = new[] { request, scored, scored, request }.Select(engine.Submit).ToList();
        var outputs = new List<List<TokenOutput>>();
        foreach (var stream in streams)
            outputs.Add(await EngineFixture.Collect(stream));
        Assert.All(outputs, o => Assert.Equal(prompt.Greedy.Take(4), o.Select(t => t.TokenId)));
        Assert.All(new[] { outputs[0], outputs[3] }, o => Assert.All(o, t => Assert.Null(t.PromptLogprobs)));
        foreach (var output in new[] { outputs[1], outputs[2] })
        {
            Assert.All(output.Skip(1), t => Assert.Null(t.PromptLogprobs));
            var scores = output[0].PromptLogprobs!;
            Assert.Equal(prompt.Ids.Length - 1, scores.Count);
            for (int i = 0; i < scores.Count; i++)
            {
                Assert.Equal(expected[i, prompt.Ids[i + 1]].item<float>(), scores[i].Logprob, 2e-4);
                Assert.Equal(expected[i].ge(expected[i, prompt.Ids[i + 1]]).sum().item<long>(), scores[i].Rank);
                Assert.Equal(expected[i].max().item<float>(), scores[i].Top[0].Logprob, 2e-4);
                Assert.Equal(3, scores[i].Top.Count);
            }
        }
    }
}
