using DeepSeekR1.Engine;
using DeepSeekR1.Evaluation.Load;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// The same cores used by two ranks of one thread each, and by one rank of two threads. Both engines are loaded; they take turns in
/// one run, so that what else the machine does touches both.
/// </summary>
internal static class RankBenchmark
{
    private const int Rounds = 5, PromptTokens = 256, OutputTokens = 48;

    /// <summary>Runs and prints medians and ratios.</summary>
    public static async Task<int> Run(string model, string[] rest)
    {
        var options = new EngineOptions { ModelPath = model, DType = rest.FirstOrDefault() ?? "auto", Device = "cpu", KvCacheMemoryBytes = 256L << 20, EnablePrefixCaching = false };
        await using var one = LlmEngine.Load(options with { NumThreads = 2 });
        await using var two = LlmEngine.Load(options with { NumThreads = 1, TensorParallelSize = 2 });
        foreach (int streams in new[] { 1, 4 })
        {
            var results = new List<(SpeedResult One, SpeedResult Two)>();
            for (int round = 0; round < Rounds; round++)
                results.Add((await EngineBench.SpeedAsync(one, PromptTokens, OutputTokens, streams, 1), await EngineBench.SpeedAsync(two, PromptTokens, OutputTokens, streams, 1)));
            foreach (var (name, pick) in new (string, Func<SpeedResult, double>)[] { ("prefill", r => r.PrefillTokensPerSecond), ("decode", r => r.DecodeTokensPerSecond) })
            {
                double first = Middle(results.Select(r => pick(r.One))), second = Middle(results.Select(r => pick(r.Two)));
                Console.WriteLine($"{streams} streams, {name}: 1 rank x 2 threads {first:0.0} tokens/s, 2 ranks x 1 thread {second:0.0} tokens/s, ratio {second / first:0.00}");
            }
        }

        return 0;
    }

    private static double Middle(IEnumerable<double> values) => values.Order().ElementAt(Rounds / 2);
}
