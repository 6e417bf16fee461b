using System.Text.Json;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Optimization;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>Loss, every gradient and one AdamW step against the reference, with the engine's own model classes.</summary>
public class TrainingGoldenTests
{
    public static TheoryData<string> Checkpoints => [.. Tests.Models.GoldenModel.Names.Where(n => !n.Contains("fp8"))];

    [GoldenTheory]
    [MemberData(nameof(Checkpoints))]
    public void LossGradientsAndOneStep_EqualReference(string name)
    {
        using var outer = NewDisposeScope();
        using var model = Load(name);
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Goldens.At("models", name), "expected", "expected.json")));
        var expected = document.RootElement.GetProperty("training");
        int[] ids = [.. document.RootElement.GetProperty("prompts")[3].GetProperty("ids").EnumerateArray().Select(e => e.GetInt32())];
        var batch = new MicroBatch([new TrainingSample(ids, [.. ids.Select(_ => true)])]);
        var weights = new TrainableWeights(model);
        Near(expected.GetProperty("loss").GetDouble(), Backward(model, batch), 1e-4, name + " loss");
        var norms = expected.GetProperty("gradient_norms");
        foreach (var entry in norms.EnumerateObject())
        {
            double wanted = entry.Value.GetDouble(), actual = weights.Gradient(entry.Name)?.norm().item<float>() ?? 0;
            if (wanted > 1e-3)
                Near(wanted, actual, 1e-4 * wanted, $"{name} {entry.Name}");
        }

        var adam = expected.GetProperty("adamw");
        using var optimizer = new AdamW(weights.All, new AdamWOptions
        {
            Beta1 = adam.GetProperty("beta1").GetDouble(),
            Beta2 = adam.GetProperty("beta2").GetDouble(),
            Epsilon = adam.GetProperty("eps").GetDouble(),
            WeightDecay = adam.GetProperty("weight_decay").GetDouble(),
            DecayAll = true,
        });
        optimizer.Step(adam.GetProperty("lr").GetDouble());
        weights.ZeroGradients();
        Near(expected.GetProperty("loss_after_one_step").GetDouble(), Backward(model, batch), 1e-4, name + " loss after a step");
    }

    private static CausalLm Load(string name)
    {
        var folder = Goldens.At("models", name);
        var config = ModelConfigReader.Read(folder);
        var model = CausalLm.Create(config, new RankContext(new SingleRank(), new TorchKernels(), torch.CPU, ScalarType.Float32));
        using var checkpoint = Checkpoint.Open(folder);
        WeightLoader.Load(model, checkpoint);
        return model;
    }

    private static double Backward(CausalLm model, MicroBatch batch)
    {
        using var scope = NewDisposeScope();
        var loss = LanguageModelLoss.Compute(model, batch, batch.Targets.Length, new LossOptions());
        loss.Total.backward();
        return loss.Total.item<float>();
    }

    private static void Near(double expected, double actual, double tolerance, string what)
        => Assert.True(Math.Abs(expected - actual) <= tolerance, $"{what}: {actual}, expected {expected} +- {tolerance}");
}
