using System.Diagnostics;
using DeepSeekR1.Compute;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;

namespace DeepSeekR1.Benchmarks;

/// <summary>Opening and indexing R1's files: how long, and how much memory the index takes.</summary>
internal static class OpenBenchmark
{
    /// <summary>Writes the sparse files where they are missing, opens them several times and prints the figures.</summary>
    public static int Run(string config, string folder)
    {
        TorchRuntime.Initialize();
        if (!Directory.Exists(folder))
            SparseR1.Write(folder, File.ReadAllText(config));
        GC.Collect();
        long before = Environment.WorkingSet;
        for (int round = 1; round <= 5; round++)
        {
            var watch = Stopwatch.StartNew();
            using var checkpoint = SafetensorsCheckpoint.Open(folder);
            double seconds = watch.Elapsed.TotalSeconds;
            Console.WriteLine($"{checkpoint.Tensors.Count:N0} tensors in {checkpoint.Shards.Count} shards: {seconds:0.000} s; memory of the process grew by {(Environment.WorkingSet - before) / 1e6:0} MB");
        }

        return 0;
    }
}
