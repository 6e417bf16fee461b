using System.Diagnostics;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// One linear layer in block FP8 against the same layer in packed bfloat16, over the number of input rows. Both go round over
/// several weights, so that neither lives in the cache; the two take turns in one run.
/// </summary>
internal static class ProductBenchmark
{
    private const int Weights = 8, Rounds = 15;

    /// <summary>Runs and prints a table.</summary>
    public static int Run(string[] rest)
    {
        TorchRuntime.Initialize();
        using var scope = new TensorScope();
        int outputs = rest.Length > 0 ? int.Parse(rest[0]) : 4096, inputs = rest.Length > 1 ? int.Parse(rest[1]) : 4096;
        if (rest.Length > 2)
            set_num_threads(int.Parse(rest[2]));
        var kernels = CpuKernels.CreateOrReference();
        var packed = new List<LinearWeight>();
        var fp8 = new List<LinearWeight>();
        for (int i = 0; i < Weights; i++)
        {
            using var weight = randn(outputs, inputs).mul_(0.02);
            packed.Add(kernels.Prepare(weight.to(ScalarType.BFloat16)));
            var (codes, scales) = Fp8Codes.Quantize(weight, (128, 128));
            fp8.Add(new LinearWeight([new Fp8Tensor(codes, scales, (128, 128))]));
        }

        Console.WriteLine($"[{outputs}, {inputs}], {get_num_threads()} threads, bfloat16 inputs; best of {Rounds} rounds over {Weights} weights");
        Console.WriteLine("rows   bf16 ms   fp8 ms   fp8 / bf16   fp8 GB/s");
        foreach (int rows in new[] { 1, 2, 4, 6, 8, 9, 12, 16, 32, 64, 256 })
        {
            using var x = randn(rows, inputs).to(ScalarType.BFloat16);
            double dense = double.MaxValue, quantized = double.MaxValue;
            for (int round = 0; round < Rounds; round++)
            {
                dense = Math.Min(dense, Time(kernels, x, packed));
                quantized = Math.Min(quantized, Time(kernels, x, fp8));
            }

            Console.WriteLine($"{rows,4} {1000 * dense,9:0.000} {1000 * quantized,8:0.000} {quantized / dense,12:0.00} {fp8[0].Bytes / quantized / 1e9,10:0.0}");
        }

        return 0;
    }

    private static double Time(KernelSet kernels, Tensor x, List<LinearWeight> weights)
    {
        var watch = Stopwatch.StartNew();
        foreach (var weight in weights)
            kernels.Linear(x, weight, null).Dispose();
        return watch.Elapsed.TotalSeconds / weights.Count;
    }
}
