using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using Xunit;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace DeepSeekR1.Soak.Tests;

/// <summary>The same for steps of training: forward, backward, clipping, optimizer; whole weights, adapters, and activations that are computed again.</summary>
public class TrainingSoakTests(ITestOutputHelper output)
{
    [GoldenTheory]
    [InlineData("deepseek-v3-plain", 0, false)]
    [InlineData("qwen2", 0, false)]
    [InlineData("qwen2", 2, false)]
    [InlineData("qwen2", 0, true)]
    public void TrainingSteps_KeepNoMemory(string name, int loraRank, bool again)
    {
        using var model = ModelSource.Open(Goldens.At("models", name), ScalarType.Float32, 0.02, 1, withMtp: false);
        using var loop = new TrainingLoop(model, new TrainingOptions
        {
            ModelNameOrPath = "m",
            OutputDir = "o",
            LearningRate = 1e-6,
            LoraR = loraRank,
            LoraTargetModules = loraRank > 0 ? ["o_proj"] : null,
            ActivationCheckpointing = again,
        });
        var batch = new MicroBatch([TrainingSample.Completion([1, 2, 3], [4, 5, 6]), TrainingSample.Completion([7, 8], [9, 10, 11, 12])]);
        var slope = MemorySlope.Measure(Goldens.Long ? 20_000 : 400, steps =>
        {
            for (int step = 0; step < steps; step++)
                loop.Run([() => LanguageModelLoss.Compute(model, batch, 7, new LossOptions(), loop.Load, loop.Checkpoints).Total]);
            return steps;
        });
        output.WriteLine(slope.ToString());
        Assert.True(slope.Malloc < MemorySlope.Limit, $"{name}, rank {loraRank}, again {again}: {slope}.");
    }
}
