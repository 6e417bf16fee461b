using System.Text.Json;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Architectures;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>The published models at their true size, declared but not loaded: every parameter and cache byte counted exactly.</summary>
public class TrueSizeTests
{
    private static JsonElement[] Cases() => [.. JsonDocument.Parse(File.ReadAllText(Goldens.At("planner", "models.json"))).RootElement.EnumerateArray()];

    [GoldenFact]
    public void Weights_OfEveryPublishedModel_CountExactly()
    {
        var cases = Cases();
        Assert.Equal(9, cases.Length);
        foreach (var expected in cases)
        {
            string name = expected.GetProperty("name").GetString()!;
            var config = ModelConfigReader.Parse(expected.GetProperty("config").GetRawText(), name);
            using var model = CausalLm.Create(config, Rank(new SingleRank()));
            Assert.Equal((name, expected.GetProperty("parameters").GetInt64()), (name, model.Weights.Sum(s => s.Count)));
            Assert.Equal((name, expected.GetProperty("tensors").GetInt32()), (name, model.Weights.Select(s => s.Name).Distinct().Count()));
            string field = config.Mla is null ? "16bit" : "latent_16bit";
            Assert.Equal((name, expected.GetProperty("cache_bytes_per_token").GetProperty(field).GetInt64()), (name, KvCache.BytesPerToken(config, 1, 2)));
        }
    }

    [GoldenFact]
    public void Mtp_OfR1_CountsExactly()
    {
        var expected = Cases()[0];
        var config = ModelConfigReader.Parse(expected.GetProperty("config").GetRawText());
        using var model = new DeepseekV3(config, Rank(new SingleRank()), withMtp: true);
        Assert.Equal(expected.GetProperty("mtp_parameters_unique").GetInt64(), model.Mtp!.Weights.Sum(s => s.Count));
    }

    [GoldenFact]
    public void Slices_OfEightRanks_CoverR1Once()
    {
        const int Ranks = 8;
        var config = ModelConfigReader.Parse(Cases()[0].GetProperty("config").GetRawText());
        long sum = 0, replicated = 0, total = 0;
        foreach (var member in new LocalGroup(Ranks, TimeSpan.FromSeconds(1)).Members())
        {
            using var model = CausalLm.Create(config, Rank(member));
            total = model.Weights.Sum(s => s.Count);
            sum += model.Weights.Sum(s => s.Slice.Rows * s.Slice.Columns);
            if (member.Rank > 0)
                replicated += model.Weights.Where(s => s.Slice.Rows * s.Slice.Columns == s.Count).Sum(s => s.Count);
        }

        Assert.Equal(total + replicated, sum);
    }

    private static RankContext Rank(Communicator member) => new(member, new TorchKernels(), torch.CPU, ScalarType.BFloat16);
}
