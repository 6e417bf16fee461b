using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>What others do to a stream that runs: nothing, but for time. The real engine on tiny models; steps are counted.</summary>
public sealed class RunningStreamTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("running-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenTheory]
    [InlineData("qwen2")]
    [InlineData("deepseek-v3-plain")]
    public async Task Submit_FourThousandTokenPromptBesideStreams_TheyGetATokenAtEveryStep(string name)
    {
        const int Streams = 12, Budget = 268, Long = 4000, Chunks = (Long + Budget - Streams - 1) / (Budget - Streams);
        await using var engine = EngineFixture.Load(
            Enlarged(name, 8192), o => o with { MaxNumSeqs = Streams + 1, MaxNumBatchedTokens = Budget, KvCacheMemoryBytes = 64 << 20, MaxModelLen = 4200 });
        GenerationStream? late = null;
        var streams = new List<GenerationStream>();
        var trace = new List<(int Stream, long Step)>();
        Spy Watch(int stream) => new(length =>
        {
            trace.Add((stream, engine.Snapshot().Steps));

            // The engine's own thread submits, so the other streams begin together, and the prompt with the very next step.
            if (stream == 0 && length == 0)
                streams.AddRange(Enumerable.Range(1, Streams - 1).Select(i => engine.Submit(Stream(i))));
            if (stream == 0 && length == 5)
                late = engine.Submit(EngineFixture.Greedy(Prompt(Long, 77), 2) with { Guide = Watch(Streams) });
        });
        GenerationRequest Stream(int i) => EngineFixture.Greedy(Prompt(3, i), 60) with { Guide = Watch(i) };
        Assert.Equal(60, (await EngineFixture.Collect(engine.Submit(Stream(0)))).Count);
        foreach (var stream in streams)
            Assert.Equal(60, (await EngineFixture.Collect(stream)).Count);
        Assert.Equal(2, (await EngineFixture.Collect(late!)).Count);

        // From the step after the submission to the one that gives the prompt's first token.
        long submitted = trace.Where(t => t.Stream == 0).ElementAt(5).Step;
        long first = trace.First(t => t.Stream == Streams).Step;
        Assert.Equal(Chunks, first - submitted);
        for (int stream = 0; stream < Streams; stream++)
            Assert.Equal(Enumerable.Range(1, Chunks).Select(i => submitted + i), trace.Where(t => t.Stream == stream && t.Step > submitted && t.Step <= first).Select(t => t.Step));
    }

    [GoldenFact]
    public async Task Start_SeveralAnswersWithStopStringsOnAFullCache_TextsAreThoseOfARoomyOne()
    {
        const int Requests = 10, Samples = 3;
        var settings = new GenerationSettings { N = Samples, Temperature = 0.8f, Seed = 11, MaxTokens = 60, IgnoreEos = true };
        CompletionRequest Request(int i, GenerationSettings how) => new() { Id = $"r{i}", Prompts = [new PromptInput(null, Prompt(20, i))], Settings = how };
        var stops = new List<string>();
        var expected = new List<List<string>>();
        await using (var roomy = new ChatEngine(EngineFixture.Load("qwen2", o => o with { EnablePrefixCaching = false })))
            for (int i = 0; i < Requests; i++)
            {
                // Two characters from the middle of the second answer: it stops there, the others where they have them.
                string text = (await ReadAsync(roomy.Start(Request(i, settings)))).Texts[1];
                stops.Add(text.Substring(text.Length / 2, 2));
                expected.Add((await ReadAsync(roomy.Start(Request(i, settings with { Stop = [stops[i]] })))).Texts);
            }

        var engine = EngineFixture.Load("qwen2", o => o with { NumGpuBlocksOverride = 20, BlockSize = 8, MaxNumSeqs = Requests * Samples, MaxNumBatchedTokens = 128 });
        await using var crowded = new ChatEngine(engine);
        var answers = await Task.WhenAll(Enumerable.Range(0, Requests).Select(i => ReadAsync(crowded.Start(Request(i, settings with { Stop = [stops[i]] })))));
        for (int i = 0; i < Requests; i++)
        {
            Assert.Equal(expected[i], answers[i].Texts);
            Assert.All(answers[i].Texts, text => Assert.DoesNotContain(stops[i], text, StringComparison.Ordinal));
            Assert.Equal(new AnswerEnded(EndReason.Stop, StopString: stops[i]), answers[i].Ends[1]);

            // Each token is in one step: neither repeated nor lost on the way.
            Assert.Equal(answers[i].Usage.CompletionTokens, answers[i].Tokens.Sum());
        }

        Assert.Contains(answers, a => a.Ends.Contains(new AnswerEnded(EndReason.Length)));
        Assert.True(engine.Snapshot().Preemptions > Requests, "the cache was never full");
        Assert.Equal(0, engine.Snapshot().BlocksUsed);
    }

    [GoldenTheory]
    [InlineData("qwen2")]
    [InlineData("deepseek-v3-yarn")]
    public async Task Submit_SeveralThatFillTheContextOnACacheForOne_AllEndWithLength(string name)
    {
        // The cache holds one sequence of full length, so most of their lives the others wait.
        int Room(int prompt) => 96 - prompt;
        await using var engine = EngineFixture.Load(name, o => o with { NumGpuBlocksOverride = 12, BlockSize = 8, MaxNumSeqs = 5, MaxNumBatchedTokens = 16 });
        Assert.Equal(96, engine.Facts.MaxModelLen);
        int[] lengths = [95, 1, 30, 50, 94];
        var streams = lengths.Select(n => engine.Submit(EngineFixture.Greedy(Prompt(n, n), Room(n)))).ToList();
        var contended = new List<int[]>();
        foreach (var (stream, n) in streams.Zip(lengths))
        {
            var outputs = await EngineFixture.Collect(stream);
            Assert.Equal((Room(n), FinishReason.Length), (outputs.Count, outputs[^1].FinishReason));
            contended.Add([.. outputs.Select(o => o.TokenId)]);
        }

        foreach (var (ids, n) in contended.Zip(lengths))
            Assert.Equal(ids, (await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy(Prompt(n, n), Room(n))))).Select(o => o.TokenId));
        Assert.True(engine.Snapshot().Preemptions > 0, "the cache was never full");
    }

    private static int[] Prompt(int length, int seed) => [.. Enumerable.Range(0, length).Select(j => 3 + (7 * j + 31 * seed + j * j * (seed % 5)) % 200)];

    /// <summary>A golden checkpoint that allows longer sequences: rotary positions need no weights.</summary>
    private string Enlarged(string name, int positions)
    {
        foreach (string file in Directory.GetFiles(Goldens.At("models", name)))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        string path = Path.Combine(_folder, "config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!;
        config["max_position_embeddings"] = positions;
        File.WriteAllText(path, config.ToJsonString());
        return _folder;
    }

    private static async Task<Answer> ReadAsync(TextGeneration generation)
    {
        var texts = new string[generation.ChoiceCount];
        var (ends, tokens) = (new AnswerEnded?[texts.Length], new int[texts.Length]);
        await foreach (var step in generation.ReadAsync())
        {
            texts[step.Choice] += string.Concat(step.Events.OfType<AnswerText>().Select(e => e.Text));
            tokens[step.Choice] += step.Tokens.Count;
            ends[step.Choice] ??= step.End;
        }

        return new Answer([.. texts], ends, tokens, generation.Usage);
    }

    private sealed record Answer(List<string> Texts, AnswerEnded?[] Ends, int[] Tokens, TokenUsage Usage);

    /// <summary>Allows everything and tells the output's length; asked on the engine's thread before every token.</summary>
    private sealed class Spy(Action<int> seen) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            seen(outputIds.Length);
            return false;
        }
    }
}
