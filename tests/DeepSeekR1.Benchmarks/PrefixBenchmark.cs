using System.Diagnostics;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// Time to the first token of a prompt whose beginning is in the prefix cache, over the length of that beginning: only the new tokens
/// at its end are computed.
/// </summary>
internal static class PrefixBenchmark
{
    private const int NewTokens = 16, Repetitions = 5;

    /// <summary>Runs and prints a table.</summary>
    public static async Task<int> Run(string model, string[] rest)
    {
        await using var engine = LlmEngine.Load(new EngineOptions { ModelPath = model, DType = rest.FirstOrDefault() ?? "auto", Device = "cpu", KvCacheMemoryBytes = 1L << 30 });
        await FirstAsync(engine, Prompt(engine, 0, 64, 0));
        Console.WriteLine("prefix   cold ms   cached ms   cached tokens");
        foreach (int length in new[] { 1024, 2048, 4096, 8192 })
        {
            var (cold, _) = await FirstAsync(engine, Prompt(engine, length, length, 0));
            var times = new List<(double Seconds, int Cached)>();
            for (int i = 1; i <= Repetitions; i++)
                times.Add(await FirstAsync(engine, Prompt(engine, length, length, i)));
            times.Sort();
            Console.WriteLine($"{length,6} {1000 * cold,9:0.0} {1000 * times[Repetitions / 2].Seconds,11:0.0} {times[Repetitions / 2].Cached,15}");
        }

        return 0;
    }

    /// <summary>The same beginning for the same seed, and an end of its own for each variant.</summary>
    private static int[] Prompt(LlmEngine engine, int seed, int length, int variant)
    {
        var (beginning, end) = (new Random(seed), new Random(1000 + variant));
        return [.. Enumerable.Range(0, length).Select(_ => beginning.Next(3, engine.Facts.VocabularySize)), .. Enumerable.Range(0, NewTokens)
            .Select(_ => end.Next(3, engine.Facts.VocabularySize))];
    }

    private static async Task<(double Seconds, int Cached)> FirstAsync(LlmEngine engine, int[] prompt)
    {
        var watch = Stopwatch.StartNew();
        var stream = engine.Submit(new GenerationRequest { Id = "prefix", PromptIds = prompt, Sampling = new SamplingParams { Temperature = 0, MaxTokens = 1 } });
        var first = await stream.Outputs.ReadAsync();
        return (watch.Elapsed.TotalSeconds, first.CachedTokens);
    }
}
