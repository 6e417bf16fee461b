using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Testing;
using Xunit;
using Xunit.Abstractions;

namespace DeepSeekR1.Soak.Tests;

/// <summary>
/// A server that runs for a month takes a billion steps: none may keep a byte. Every kernel set, type and format; 2,000 steps each, with DEEPSEEKR1_TESTS=long
/// 100,000, and a million for the two that most people run.
/// </summary>
public class StepSoakTests(ITestOutputHelper output)
{
    private const int Answer = 50;

    /// <summary>Model, kernel set, type, format that the weights are rounded to ("" leaves them), steps of the long run.</summary>
    public static TheoryData<string, string, string, string, int> Ways
    {
        get
        {
            var ways = new TheoryData<string, string, string, string, int>();
            foreach (var model in (string[])["models/qwen3", "models/deepseek-v3-yarn"])
                foreach (var type in (string[])["float32", "bfloat16", "float16"])
                    ways.Add(model, "cpu", type, "", type == "bfloat16" && model == "models/qwen3" ? 1_000_000 : 100_000);
            foreach (var format in (string[])["fp8", "int8", "int4", "nf4"])
                ways.Add("models/deepseek-v3-yarn", "cpu", "bfloat16", format, format == "int8" ? 1_000_000 : 100_000);
            ways.Add("models/deepseek-v3-fp8-mtp", "cpu dynamic", "bfloat16", "", 100_000);
            ways.Add("models/deepseek-v3-yarn", "cpu two ranks", "bfloat16", "", 100_000);
            ways.Add("gguf/qwen2.gguf", "cpu", "bfloat16", "", 100_000);
            foreach (var type in (string[])["float32", "bfloat16", "float16"])
                ways.Add("models/deepseek-v3-yarn", "reference", type, "", 100_000);
            foreach (var format in (string[])["fp8", "int8", "int4", "nf4"])
                ways.Add("models/qwen3", "reference", "float32", format, 100_000);
            return ways;
        }
    }

    [GoldenTheory]
    [MemberData(nameof(Ways))]
    public void Steps_WhateverComputesThem_KeepNoMemory(string model, string kernels, string type, string format, int longSteps)
    {
        using var driver = new StepDriver(model, o => o with
        {
            DType = type,
            Quantization = format.Length == 0 ? null : format,
            ActivationScheme = kernels == "cpu dynamic" ? "dynamic" : "weight-only",
            TensorParallelSize = kernels == "cpu two ranks" ? 2 : 1,
            WrapKernels = kernels == "reference" ? (_, _) => new TorchKernels() : null,
        });
        var slope = MemorySlope.Measure(Goldens.Long ? longSteps : 2_000, steps =>
        {
            // The same answers again and again: libtorch keeps a plan for every shape that it has seen, and a new one would look like a leak.
            int taken = 0;
            while (taken < steps)
            {
                driver.Add([1, 2, 3, 4, 5], Answer);
                driver.Add([6, 7, 8], Answer);
                taken += driver.RunToEnd();
            }

            return taken;
        });
        output.WriteLine(slope.ToString());
        Assert.True(slope.Malloc < MemorySlope.Limit, $"{model}, {kernels}, {type} {format}: {slope}.");
    }
}
