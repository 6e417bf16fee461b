using System.Diagnostics;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Kernels.Sampling;
using static TorchSharp.torch;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// The sampler at batch 64 over 151,936 logits, as a share of a decode step of DeepSeek-R1-Distill-Qwen-1.5B's shape: by the memory limit
/// (every weight read once), and by its linear layers as they really run with 64 rows.
/// </summary>
internal static class SamplerBenchmark
{
    private const int Batch = 64, Vocabulary = 151936, Hidden = 1536, Inner = 8960, KeyValue = 256, Layers = 28, Rounds = 9;

    /// <summary>Runs and prints a table.</summary>
    public static int Run()
    {
        TorchRuntime.Initialize();
        using var scope = new TensorScope();
        var (floor, linear) = Step();
        Console.WriteLine($"decode step with {Batch} rows: {1000 * floor:0} ms by the memory limit, {1000 * linear:0} ms for its linear layers; 5 % are {50 * floor:0.0} and {50 * linear:0.0} ms");
        var plain = new SamplingSettings();
        var usual = plain with { Temperature = 0.6f, TopP = 0.95f };
        (string Name, SamplingSettings Settings)[] cases =
        [
            ("greedy", plain with { Temperature = 0 }),
            ("temperature 0.6", plain with { Temperature = 0.6f }),
            ("temperature 0.6, top-p 0.95", usual),
            ("the same, penalties of all kinds", usual with { RepetitionPenalty = 1.1f, PresencePenalty = 0.5f, FrequencyPenalty = 0.5f }),
            ("the same, top-k 50", usual with { TopK = 50 }),
            ("the same, min-p 0.05", usual with { MinP = 0.05f }),
            ("greedy, 20 log-probabilities", plain with { Temperature = 0, TopLogprobs = 20 }),
        ];
        foreach (bool peaked in new[] { true, false })
        {
            Console.WriteLine(peaked ? "logits with a few likely tokens:" : "logits without any (the worst case):");
            manual_seed(1);
            using var logits = randn(Batch, Vocabulary).mul_(2.5);
            if (peaked)
                for (int id = 100; id < 140; id++)
                    logits.narrow(1, 1000L * id, 1).add_(20 - 0.3 * (id - 100));
            foreach (var (name, settings) in cases)
                Measure(name, logits, settings, floor, linear);
        }

        return 0;
    }

    private static void Measure(string name, Tensor logits, SamplingSettings settings, double floor, double linear)
    {
        var random = new Random(3);
        int[] history = [.. Enumerable.Range(0, 1024).Select(_ => random.Next(Vocabulary))];
        int[] ids = [.. history.Distinct()];
        var counts = new TokenCounts(ids, [.. ids.Select(id => history.Skip(512).Count(other => other == id))]);
        var kernels = new TorchKernels();
        var rows = Enumerable.Range(0, Batch).Select(i => new SamplingRow(settings with { Seed = (ulong)i }, 512, null, settings.HasPenalties ? counts : null)).ToList();
        var times = new List<double>();
        for (int i = 0; i < Rounds; i++)
        {
            long start = Stopwatch.GetTimestamp();
            kernels.Sample(logits, new SamplingBatch(rows));
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        double seconds = times.Order().ElementAt(Rounds / 2);
        Console.WriteLine($"  {name,-34} {1000 * seconds,7:0.0} ms = {100 * seconds / floor,5:0.0} % of the memory limit, {100 * seconds / linear,5:0.0} % of the linear layers");
    }

    /// <summary>Seconds of a step: its weights over the read bandwidth; and one layer's products and the head, measured, times their number.</summary>
    private static (double Floor, double Linear) Step()
    {
        var kernels = CpuKernels.CreateOrReference();
        (int Outputs, int Inputs)[] layer = [(Hidden + 2 * KeyValue, Hidden), (Hidden, Hidden), (2 * Inner, Hidden), (Hidden, Inner)];
        double perLayer = layer.Sum(shape => Product(kernels, shape.Outputs, shape.Inputs, 6));
        double head = Product(kernels, Vocabulary, Hidden, 1);
        long bytes = 2L * (Layers * layer.Sum(s => (long)s.Outputs * s.Inputs) + (long)Vocabulary * Hidden);
        return (bytes / StreamBenchmark.ReadBandwidth(), Layers * perLayer + head);
    }

    private static double Product(KernelSet kernels, int outputs, int inputs, int copies)
    {
        using var scope = new TensorScope();
        var weights = Enumerable.Range(0, copies).Select(_ => kernels.Prepare(randn(outputs, inputs, dtype: ScalarType.BFloat16))).ToList();
        using var x = randn(Batch, inputs, dtype: ScalarType.BFloat16);
        double best = double.MaxValue;
        for (int round = 0; round < 4; round++)
        {
            long start = Stopwatch.GetTimestamp();
            foreach (var weight in weights)
                kernels.Linear(x, weight, null).Dispose();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / copies);
        }

        weights.ForEach(w => w.Dispose());
        return best;
    }
}
