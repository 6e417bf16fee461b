using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>Whole GGUF models: decoded weights by sums, then logits against the reference within 2e-4.</summary>
public class GgufCheckpointTests
{
    private const double Tolerance = 2e-4;

    [GoldenTheory]
    [InlineData("llama")]
    [InlineData("llama3-scaled")]
    [InlineData("qwen2")]
    public void Model_FromGguf_GivesReferenceLogits(string name)
    {
        using var scope = new TensorScope();
        using var checkpoint = GgufCheckpoint.Open(Goldens.At("gguf", name + ".gguf"));
        var rank = new RankContext(new SingleRank(), CpuKernels.CreateOrReference(), torch.CPU, ScalarType.Float32);
        using var model = CausalLm.Create(checkpoint.Config, rank);
        WeightLoader.Load(model, checkpoint);
        using var expected = Checkpoint.Open(Goldens.At("gguf", name + ".expected.safetensors"));
        for (int i = 0; i < 3; i++)
        {
            var ids = expected.Read($"prompt_{i}");
            var context = new ForwardContext(arange(ids.shape[0], ScalarType.Int64), new DenseAttention(rank.Kernels, [(int)ids.shape[0]]));
            var logits = model.Logits(model.Forward(ids, context));
            double difference = (logits - expected.Read($"logits_{i}", TensorSlice.Whole(logits.shape))).abs().max().item<float>();
            Assert.True(difference <= Tolerance, $"{name} prompt {i}: {difference}");
        }
    }

    [GoldenTheory]
    [InlineData("llama")]
    [InlineData("llama3-scaled")]
    [InlineData("qwen2")]
    public void Read_EveryWeight_DecodesToTheReferenceSums(string name)
    {
        using var scope = new TensorScope();
        using var checkpoint = GgufCheckpoint.Open(Goldens.At("gguf", name + ".gguf"));
        using var document = JsonDocument.Parse(File.ReadAllText(Goldens.At("gguf", name + ".weights.json")));
        foreach (var weight in document.RootElement.EnumerateObject().Where(w => checkpoint.Tensors.ContainsKey(w.Name)))
        {
            var values = checkpoint.Read(weight.Name).to(ScalarType.Float64);
            double sum = weight.Value.GetProperty("sum").GetDouble(), read = values.sum().item<double>();
            Assert.True(Math.Abs(sum - read) <= 1e-5 * Math.Max(1, values.abs().sum().item<double>()), $"{name} {weight.Name}: sum {read}, wanted {sum}");
        }
    }

    [GoldenFact]
    public void Open_UnknownArchitecture_IsRefusedByName()
    {
        var error = Assert.Throws<ModelLoadException>(() => GgufCheckpoint.Open(Goldens.At("gguf", "deepseek2.gguf")));
        Assert.Contains("general.architecture is deepseek2; implemented in GGUF are llama, qwen2 and qwen3", error.Message);
    }
}
