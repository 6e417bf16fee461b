using DeepSeekR1.Engine;
using DeepSeekR1.Evaluation.Load;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// The same cores used by two ranks of one thread each, and by one rank of two threads. The two take turns in one run, so that what
/// else the machine does touches both; only one is loaded at a time, because the library's number of threads is partly global.
/// </summary>
internal static class RankBenchmark
{
    private const int Rounds = 3, PromptTokens = 256, OutputTokens = 48;

    /// <summary>Runs and prints medians and ratios.</summary>
    public static async Task<int> Run(string model, string[] rest)
    {
        var options = new EngineOptions
        {
            ModelPath = model,
            DType = rest.FirstOrDefault() ?? "auto",
            Device = "cpu",
            KvCacheMemoryBytes = 256L << 20,
            EnablePrefixCaching = false
        };
        var one = options with { NumThreads = 2 };
        var two = options with { NumThreads = 1, TensorParallelSize = 2 };
        foreach (int streams in new[] { 1, 4 })
        {
            var results = new List<(SpeedResult One, SpeedResult Two)>();
            for (int round = 0; round < Rounds; round++)
                results.Add((await MeasureAsync(one, streams), await MeasureAsync(two, streams)));
            foreach (var (name, pick) in new (string, Func<SpeedResult, double>)[] { ("prefill", r => r.PrefillTokensPerSecond), ("decode", r => r.DecodeTokensPerSecond) })
            {
                double first = Middle(results.Select(r => pick(r.One))), second = Middle(results.Select(r => pick(r.Two)));
                Console.WriteLine($"{streams} streams, {name}: 1 rank x 2 threads {first:0.0} tokens/s, 2 ranks x 1 thread {second:0.0} tokens/s, ratio {second / first:0.00}");
            }
        }

        return 0;
    }

    private static async Task<SpeedResult> MeasureAsync(EngineOptions options, int streams)
    {
        await using var engine = LlmEngine.Load(options);
        return await EngineBench.SpeedAsync(engine, PromptTokens, OutputTokens, streams);
    }

    private static double Middle(IEnumerable<double> values) => values.Order().ElementAt(Rounds / 2);
}
