using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>Drafts on tiny real models: whatever is proposed, the same tokens and log-probabilities come out, in fewer steps when it is right.</summary>
public sealed class DraftedRunTests
{
    [GoldenTheory]
    [InlineData("qwen2")]
    [InlineData("llama")]
    [InlineData("deepseek-v3-yarn")]
    public void Run_WithLookedUpAndKnownDrafts_GivesWhatItGivesWithout(string name)
    {
        var (plain, plainSteps) = Run(name, null);
        Assert.Equal(plain.Select(p => p.Ids), Run(name, new LookupDrafts()).Answers.Select(p => p.Ids));
        foreach (double share in new[] { 1, 0.7, 0.3 })
        {
            var (drafted, steps) = Run(name, new KnownDrafts(plain.Select(p => p.Ids).ToList(), share));
            foreach (var (expected, actual) in plain.Zip(drafted))
            {
                Assert.Equal(expected.Ids, actual.Ids);
                Assert.All(expected.Logprobs.Zip(actual.Logprobs), pair => Assert.Equal(pair.First, pair.Second, 2e-4));
            }

            Assert.True(share < 1 ? steps <= plainSteps : steps <= plainSteps / 3, $"{steps} steps for {plainSteps}");
        }
    }

    private static (List<(int[] Ids, double[] Logprobs)> Answers, int Steps) Run(string name, IDraftSource? source)
    {
        using var model = new DrivenModel(name, budget: 256, source);
        var sequences = Requests(model.Golden.Prompts.Select(p => p.Ids).ToList()).Select(model.Add).ToList();
        if (source is KnownDrafts known)
            known.Follow(sequences);
        int steps = model.Run();
        return (sequences.ConvertAll(s => (model.IdsOf(s), model.OutputsOf(s).Select(o => (double)o.Logprob!.Value).ToArray())), steps);
    }

    private static IEnumerable<GenerationRequest> Requests(List<int[]> prompts)
    {
        foreach (int prompt in new[] { 1, 2, 4 })
            yield return EngineFixture.Greedy(prompts[prompt], 30, logprobs: 0);
        for (int i = 0; i < 3; i++)
            yield return EngineFixture.Greedy(prompts[i], 30) with
            {
                Sampling = new SamplingParams
                {
                    MaxTokens = 30,
                    Temperature = 0.8f,
                    TopP = 0.95f,
                    Seed = 7,
                    SampleIndex = i,
                    TopLogprobs = 0,
                    RepetitionPenalty = i == 1 ? 1.1f : 1
                },
            };
    }

    /// <summary>Knows the answers; each token of a proposal is right with a probability.</summary>
    private sealed class KnownDrafts(IReadOnlyList<int[]> answers, double share) : IDraftSource
    {
        private readonly Dictionary<Sequence, int[]> _answers = [];
        private readonly Random _random = new(3);

        public void Follow(IReadOnlyList<Sequence> sequences)
        {
            for (int i = 0; i < sequences.Count; i++)
                _answers.Add(sequences[i], answers[i]);
        }

        public ReadOnlySpan<int> Propose(Sequence sequence)
            => _answers[sequence].Skip(sequence.OutputLength).Take(5).Select(id => _random.NextDouble() < share ? id : (id + 1) % 300).ToArray();
    }
}
