using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>
/// A model computes the same whatever the garbage collector does meanwhile: nothing that libtorch still reads may be finalized.
/// </summary>
public sealed class CollectorTests
{
    [Fact]
    public void DenseAttention_WhileTheCollectorRunsAllTheTime_GivesTheSame()
    {
        // Large scores: masking them takes long enough for a number that is garbage to be freed meanwhile.
        using var scope = new TensorScope();
        var (q, k, v) = (randn(128, 14, 64), randn(1024, 2, 64), randn(1024, 2, 64));
        var kernels = new TorchKernels();
        var expected = kernels.DenseAttention(q, k, v, 0.125);
        WhileCollecting(() =>
        {
            for (int round = 0; round < 300; round++)
            {
                using var actual = kernels.DenseAttention(q, k, v, 0.125);
                Assert.True(actual.equal(expected).all().item<bool>(), $"round {round}");
            }
        });
    }

    [GoldenTheory]
    [InlineData("qwen2", false)]
    [InlineData("deepseek-v3-yarn", false)]
    [InlineData("deepseek-v3-yarn", true)]
    public void Forward_WhileTheCollectorRunsAllTheTime_GivesTheSame(string name, bool reference)
    {
        using var golden = new GoldenModel(name, reference ? new TorchKernels() : CpuKernels.CreateOrReference());
        var prompt = golden.Prompts[4];
        WhileCollecting(() =>
        {
            for (int round = 0; round < 150; round++)
            {
                using var scope = new TensorScope();
                var logits = golden.Logits(prompt.Ids, 1000);
                Assert.True(golden.Difference(prompt, logits) <= GoldenModel.Tolerance, $"round {round}");
            }
        });
    }

    private static void WhileCollecting(Action work)
    {
        using var stop = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                GC.Collect(0, GCCollectionMode.Forced, blocking: true);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            work();
        }
        finally
        {
            stop.Cancel();
            collector.Join();
        }
    }
}
