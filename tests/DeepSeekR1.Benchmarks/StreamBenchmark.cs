using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// Decoding with 1, 4 and 16 streams at once in one process, and what share of the machine's read bandwidth one stream uses: a
/// decode step reads every weight once, so weights / bandwidth is the floor of its time.
/// </summary>
internal static class StreamBenchmark
{
    private const int PromptTokens = 32, OutputTokens = 64, Repetitions = 3;

    /// <summary>Runs and prints a table.</summary>
    public static async Task<int> Run(string model, string[] rest)
    {
        await using var engine = LlmEngine.Load(new EngineOptions { ModelPath = model, DType = rest.FirstOrDefault() ?? "auto", KvCacheMemoryBytes = 1L << 30 });
        await Measure(engine, 1);
        var results = new List<(int Streams, double Total, double Step)>();
        foreach (int streams in new[] { 1, 4, 16 })
        {
            var rates = new List<(double Total, double Step)>();
            for (int i = 0; i < Repetitions; i++)
                rates.Add(await Measure(engine, streams));
            rates.Sort();
            results.Add((streams, rates[rates.Count / 2].Total, rates[rates.Count / 2].Step));
        }

        // Read before the bandwidth test takes its gigabyte.
        double peak = Process.GetCurrentProcess().PeakWorkingSet64 / 1e6;
        double bandwidth = ReadBandwidth(), floor = engine.Facts.WeightBytes / bandwidth, one = results[0].Total;
        Console.WriteLine($"{engine.Facts.Architecture}, {engine.Facts.WeightBytes / 1e6:0} MB as {engine.Facts.DType}, {Environment.ProcessorCount} cores");
        Console.WriteLine($"read bandwidth {bandwidth / 1e9:0.0} GB/s: floor of a decode step {1000 * floor:0.0} ms");
        foreach (var (streams, total, step) in results)
            Console.WriteLine($"{streams,3} streams: {total,7:0.0} tokens/s = {total / one:0.00}x one stream; step {1000 * step,6:0.0} ms = {step / floor:0.00}x the floor");
        Console.WriteLine($"peak memory {peak:0} MB");
        return 0;
    }

    /// <summary>Decode tokens per second over all streams (prefill left out), and seconds per step.</summary>
    private static async Task<(double Total, double Step)> Measure(LlmEngine engine, int streams)
    {
        var random = new Random(7);
        var runs = Enumerable.Range(0, streams).Select(i => engine.Submit(new GenerationRequest
        {
            Id = $"bench-{i}",
            PromptIds = [.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(100, engine.Facts.VocabularySize))],
            Sampling = new SamplingParams { Temperature = 0, MaxTokens = OutputTokens },
        })).ToList();
        var first = new TaskCompletionSource();
        int pending = streams;
        var readers = runs.Select(async run =>
        {
            await run.Outputs.ReadAsync();
            if (Interlocked.Decrement(ref pending) == 0)
                first.SetResult();
            await foreach (var _ in run.Outputs.ReadAllAsync())
            {
            }
        }).ToList();
        await first.Task;
        long steps = engine.Snapshot().Steps, tokens = engine.Snapshot().GeneratedTokens;
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(readers);
        double seconds = watch.Elapsed.TotalSeconds;
        return ((engine.Snapshot().GeneratedTokens - tokens) / seconds, seconds / Math.Max(1, engine.Snapshot().Steps - steps));
    }

    /// <summary>Bytes per second of plain reads over 1 GiB on libtorch's threads.</summary>
    internal static unsafe double ReadBandwidth()
    {
        const long Bytes = 1L << 30, Piece = 1L << 22;
        var memory = new byte[Bytes];
        new Random(1).NextBytes(memory.AsSpan(0, 1 << 20));
        for (long i = 0; i < Bytes; i += 4096)
            memory[i] = 1;
        double best = 0;
        fixed (byte* start = memory)
        {
            var data = (long*)start;
            for (int i = 0; i < 5; i++)
            {
                var watch = Stopwatch.StartNew();
                TorchShim.ParallelFor(0, Bytes / Piece, 1, (begin, end) => Sum(data + begin * Piece / 8, (end - begin) * Piece / 8));
                best = Math.Max(best, Bytes / watch.Elapsed.TotalSeconds);
            }
        }

        return best;
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static unsafe long Sum(long* data, long count)
    {
        var sum = Vector512<long>.Zero;
        var other = Vector512<long>.Zero;
        for (long i = 0; i + 16 <= count; i += 16)
        {
            sum += Vector512.Load(data + i);
            other += Vector512.Load(data + i + 8);
        }

        return Vector512.Sum(sum + other);
    }
}
