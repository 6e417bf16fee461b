using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Guides;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>A step stands by itself: who has its bytes and the weights computes the same, and it does not change when its sequences go on.</summary>
public sealed class StepBytesTests
{
    [GoldenTheory]
    [InlineData("qwen2")]
    [InlineData("deepseek-v3-yarn")]
    public void Run_OfEveryStepReadFromBytesByAnotherModel_GivesTheSameTokens(string name)
    {
        // The second model has a cache of its own and sees nothing but bytes.
        using var first = new DrivenModel(name, budget: 24, new LookupDrafts());
        using var second = new DrivenModel(name);
        var requests = Requests(first, guided: true).ToList();
        var sequences = requests.ConvertAll(first.Add);
        int drafts = 0;
        first.Run(batch =>
        {
            var read = BatchSerializer.Read(new MemoryStream(Bytes(batch)));
            var output = second.Runner.Run(read);
            AssertEqual(first.Runner.Run(batch), output);
            drafts += batch.Sequences.Sum(s => s.NumDrafts);
            return output;
        });
        Assert.True(drafts > 0);
        Assert.Equal(first.Golden.Prompts[4].Greedy.Take(24), first.IdsOf(sequences[0]));
        Assert.Equal(first.Golden.Prompts[3].Ids.Length - 1, first.OutputsOf(sequences[3])[0].PromptLogprobs!.Count);
    }

    [GoldenFact]
    public void Bytes_OfAStep_StayTheSameWhenItsSequencesHaveGoneOn()
    {
        using var model = new DrivenModel("qwen2", budget: 24);
        var sequences = Requests(model, guided: false).Select(model.Add).ToList();
        var steps = new List<(ScheduledBatch Batch, byte[] Bytes)>();
        model.Run(batch =>
        {
            steps.Add((batch, Bytes(batch)));
            return model.Runner.Run(batch);
        });
        Assert.All(sequences, s => Assert.Equal(SequenceStatus.Finished, s.Status));
        Assert.All(steps, step => Assert.Equal(step.Bytes, Bytes(step.Batch)));
    }

    [GoldenFact]
    public void Run_OfAStepWithAnAdapter_IsRefused()
    {
        using var model = new DrivenModel("qwen2");
        var batch = new ScheduledBatch([new ScheduledSequence(7, [1], 0, [0]) { Adapter = 2 }]);
        Assert.Contains("adapter 2", Assert.Throws<InvalidOperationException>(() => model.Runner.Run(batch)).Message, StringComparison.Ordinal);
    }

    private static IEnumerable<GenerationRequest> Requests(DrivenModel model, bool guided)
    {
        var prompts = model.Golden.Prompts;
        yield return EngineFixture.Greedy(prompts[4].Ids, 24);
        GenerationRequest Sampled(int prompt, SamplingParams sampling) => EngineFixture.Greedy(prompts[prompt].Ids, 24) with { Sampling = sampling };
        yield return Sampled(2, new SamplingParams
        {
            MaxTokens = 24,
            Temperature = 0.9f,
            TopP = 0.9f,
            Seed = 5,
            SampleIndex = 2,
            RepetitionPenalty = 1.2f,
            FrequencyPenalty = 0.3f
        });
        yield return Sampled(1, new SamplingParams
        {
            MaxTokens = 20,
            TopK = 40,
            MinP = 0.01f,
            Seed = 9,
            TopLogprobs = 3,
            LogitBias =
            new Dictionary<int, float> { [5] = 4, [6] = -100 }
        });
        yield return Sampled(3, new SamplingParams { MaxTokens = 6, Temperature = 0, PromptLogprobs = 2 });
        if (!guided)
            yield break;
        var thought = new ThoughtLimit(4, [9, 10, 11], null, [], StartsInside: true, _ => false);
        yield return Sampled(0, new SamplingParams { MaxTokens = 20, Seed = 1 }) with
        {
            Guide = GuideChain.Of(new AllowedTokensGuide([.. Enumerable.Range(20, 90)]), new BadWordsGuide([[30], [31, 32]]), new ThoughtGuide(thought)),
        };
    }

    private static void AssertEqual(StepOutput expected, StepOutput actual)
    {
        Assert.Equal(expected.Sequences.Count, actual.Sequences.Count);
        foreach (var (a, b) in expected.Sequences.Zip(actual.Sequences))
        {
            Assert.Equal(a.Accepted.ToArray().Select(t => (t.TokenId, t.Logprob, t.Rank)), b.Accepted.ToArray().Select(t => (t.TokenId, t.Logprob, t.Rank)));
            Assert.Equal(a.Accepted.ToArray().SelectMany(t => t.TopIds ?? []), b.Accepted.ToArray().SelectMany(t => t.TopIds ?? []));
            Assert.Equal(a.Scores.Select(t => (t.TokenId, t.Logprob, t.Rank)), b.Scores.Select(t => (t.TokenId, t.Logprob, t.Rank)));
        }
    }

    private static byte[] Bytes(ScheduledBatch batch)
    {
        var stream = new MemoryStream();
        BatchSerializer.Write(stream, batch);
        return stream.ToArray();
    }
}
