using System.Runtime.InteropServices;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>Activations that are computed again instead of kept: the same gradients from less memory.</summary>
public class ActivationCheckpointTests
{
    /// <summary>The large epsilon makes steps proportional to gradients: with the usual one the sign of rounding noise would move weights.</summary>
    private static readonly TrainingOptions Plain = new()
    {
        ModelNameOrPath = "m",
        OutputDir = "o",
        MaxSteps = 10,
        LearningRate = 1e-2,
        AdamEpsilon = 1e-3,
        RouterBiasSpeed = 1e-3
    };

    [GoldenTheory]
    [InlineData("deepseek-v3-plain", false, 0)]
    [InlineData("deepseek-v3-mtp", true, 0)]
    [InlineData("qwen2", false, 0)]
    [InlineData("llama-tied", false, 4)]
    public void Run_WithCheckpointing_TakesTheSameSteps(string name, bool withExtras, int loraRank)
    {
        using var scope = NewDisposeScope();
        var kept = Train(name, Plain with { LoraR = loraRank, RouterBiasSpeed = loraRank > 0 ? 0 : 1e-3 }, withExtras);
        var again = Train(name, Plain with { LoraR = loraRank, RouterBiasSpeed = loraRank > 0 ? 0 : 1e-3, ActivationCheckpointing = true }, withExtras);
        Assert.Equal(kept.Losses, again.Losses);
        Assert.Equal(kept.Norms.Length, again.Norms.Length);
        Assert.All(kept.Norms.Zip(again.Norms), p => Assert.Equal(p.First, p.Second, 1e-5 * p.First));
        Assert.Equal(kept.Load, again.Load);
        foreach (var (a, b) in kept.Weights.Zip(again.Weights))
            Assert.True((a - b).abs().max().item<float>() <= 1e-5);
    }

    /// <summary>Bytes that the process has allocated between forward and backward pass, by the allocator's own count.</summary>
    [GoldenFact]
    public void Compute_WithCheckpointing_HoldsLessThanHalfOfTheBytes()
    {
        using var model = ModelSource.Open(Path.Combine(Goldens.Repository, "models", "r1-tiny"), ScalarType.Float32, 0.02, 1, withMtp: false);
        var weights = new TrainableWeights(model);
        var batch = new MicroBatch([.. Enumerable.Range(0, 8).Select(i => Sample(200, i))]);
        long Held(ActivationCheckpoints? checkpoints)
        {
            using var scope = NewDisposeScope();
            long before = AllocatedBytes();
            var loss = LanguageModelLoss.Compute(model, batch, 100, new LossOptions(), null, checkpoints);
            long held = AllocatedBytes() - before;
            loss.Total.backward();
            checkpoints?.Backward();
            weights.ZeroGradients();
            return held;
        }

        Held(null);
        long kept = Held(null), again = Held(new ActivationCheckpoints());
        Assert.True(kept > 50 << 20, $"{kept} bytes are too few to say anything");
        Assert.True(again < kept / 2, $"{again} of {kept} bytes");
    }

    private static TrainingSample Sample(int length, int seed)
        => new([.. Enumerable.Range(0, length).Select(t => (t * 37 + seed * 11 + 5) % 200)], [.. Enumerable.Range(0, length).Select(t => t > 0 && t % 3 != 0)]);

    private static (double[] Losses, double[] Norms, Tensor[] Weights, long[] Load) Train(string name, TrainingOptions options, bool withExtras)
    {
        using var model = ModelSource.Open(Goldens.At("models", name), ScalarType.Float32, 0.02, 1, withMtp: withExtras);
        using var loop = new TrainingLoop(model, options);
        var lossOptions = new LossOptions { MtpWeight = withExtras ? 0.3 : 0, BalanceWeight = withExtras ? 0.5 : 0 };
        MicroBatch[] batches = [new([Sample(9, 1), Sample(30, 2)]), new([Sample(12, 3)])];
        var losses = new List<double>();
        var norms = new List<double>();
        for (int step = 0; step < 2; step++)
            norms.Add(loop.Run(batches.Select<MicroBatch, Func<Tensor>>(batch => () =>
            {
                var loss = LanguageModelLoss.Compute(model, batch, 40, lossOptions, loop.Load, loop.Checkpoints);
                losses.Add(Math.Round(loss.Total.item<float>(), 4));
                return loss.Total;
            })).GradNorm);
        return ([.. losses], [.. norms], [.. loop.Weights.All.Select(w => w.Tensor.detach().clone())], [.. loop.Load?.Counts.Values.SelectMany(c => c) ?? []]);
    }

    private static long AllocatedBytes()
    {
        var info = mallinfo2();
        return (long)(info.Used + info.Mapped);
    }

    [DllImport("libc")]
    private static extern Malloc mallinfo2();

    /// <summary>glibc's struct mallinfo2: hblkhd is the fifth field, uordblks the eighth.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Malloc
    {
        public nuint Arena, Ordblks, Smblks, Hblks, Mapped, Usmblks, Fsmblks, Used, Free, KeepCost;
    }
}
