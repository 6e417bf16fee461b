using System.Text.Json;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Planning;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Engine.Planning;

/// <summary>The planner against sizes counted elsewhere (planner/README.md), against what is loaded, and against known verdicts.</summary>
public class HardwarePlannerTests
{
    private static readonly Lazy<Dictionary<string, (JsonElement Expected, ModelConfig Config)>> Models = new(() =>
        JsonDocument.Parse(File.ReadAllText(Goldens.At("planner", "models.json"))).RootElement.EnumerateArray().ToDictionary(
            m => m.GetProperty("name").GetString()!, m => (m, ModelConfigReader.Parse(m.GetProperty("config").GetRawText(), "config.json"))));

    [GoldenFact]
    public void ModelSize_OfEveryPublishedModel_IsExact()
    {
        Assert.Equal(9, Models.Value.Count);
        foreach (var (name, (expected, config)) in Models.Value)
        {
            var size = new ModelSize(config);
            Assert.Equal((name, expected.GetProperty("parameters").GetInt64()), (name, size.Parameters));
            Assert.Equal((name, expected.GetProperty("active_parameters").GetInt64()), (name, size.ActiveParameters));
            Assert.Equal((name, expected.GetProperty("tensors").GetInt32()), (name, size.TensorCount));
            Assert.Equal(
                expected.GetProperty("groups").EnumerateObject().OrderBy(g => g.Name, StringComparer.Ordinal).Select(g => (g.Name, g.Value.GetInt64())),
                size.Groups.OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => (g.Key, g.Value)));
            CheckBytes(name, expected, size);
            foreach (var ranks in expected.TryGetProperty("tensor_parallel", out var sizes) ? sizes.EnumerateObject() : default)
            {
                Assert.True(size.CanSplit(int.Parse(ranks.Name)), $"{name} over {ranks.Name} ranks");
                Assert.Equal(ranks.Value.GetProperty("cache_bytes_per_token_and_rank_16bit").GetInt64(), size.CacheBytesPerToken(int.Parse(ranks.Name)));
            }
        }
    }

    private static void CheckBytes(string name, JsonElement expected, ModelSize size)
    {
        var bytes = expected.GetProperty("bytes");
        Assert.Equal((name, bytes.GetProperty("bf16").GetInt64(), 0L), (name, size.FileBytes(null).Weights, size.FileBytes(null).Scales));
        Assert.Equal((name, bytes.GetProperty("f32").GetInt64()), (name, size.FileBytes(null, 4).Weights));
        if (bytes.TryGetProperty("fp8_weights", out var weights))
        {
            Assert.Equal((weights.GetInt64(), bytes.GetProperty("fp8_scales").GetInt64()), size.FileBytes("fp8"));
            Assert.Equal(bytes.GetProperty("fp8_mtp_stored").GetInt64(), size.MtpFileBytes("fp8"));
        }

        if (expected.TryGetProperty("mtp_parameters_unique", out var mtp))
            Assert.Equal((mtp.GetInt64(), expected.GetProperty("mtp_parameters_stored").GetInt64()), (size.MtpParameters, size.MtpStoredParameters));
        var cache = expected.GetProperty("cache_bytes_per_token");
        string latent = cache.TryGetProperty("latent_16bit", out _) ? "latent_" : "";
        Assert.Equal(cache.GetProperty(latent + "16bit").GetInt64(), size.CacheBytesPerToken(1));
        Assert.Equal(cache.GetProperty(latent + "32bit").GetInt64(), size.CacheBytesPerToken(1, 4));
    }

    /// <summary>Whether weights and buffers leave room for a cache: known for years of practice.</summary>
    [GoldenTheory]
    [InlineData("DeepSeek-R1", "H100", 8, false)]
    [InlineData("DeepSeek-R1", "H20", 8, true)]
    [InlineData("DeepSeek-R1", "H200", 8, true)]
    [InlineData("DeepSeek-R1", "MI300X", 8, true)]
    [InlineData("DeepSeek-R1", "H100", 16, true)]
    [InlineData("DeepSeek-R1-Distill-Llama-70B", "A100-80GB", 2, true)]
    [InlineData("DeepSeek-R1-Distill-Qwen-32B", "RTX A6000", 2, true)]
    [InlineData("DeepSeek-R1-Distill-Llama-70B", "H100", 1, false)]
    [InlineData("DeepSeek-R1-Distill-Qwen-32B", "H100", 1, true)]
    [InlineData("DeepSeek-R1-Distill-Qwen-14B", "A100-40GB", 1, true)]
    [InlineData("DeepSeek-R1-Distill-Qwen-7B", "RTX 4090", 1, true)]
    [InlineData("DeepSeek-R1-Distill-Qwen-7B", "RTX 3060", 1, false)]
    [InlineData("DeepSeek-R1-Distill-Qwen-1.5B", "RTX 3060", 1, true)]
    public void On_KnownMachines_GivesTheKnownVerdict(string model, string device, int devices, bool fits)
    {
        var plan = new HardwarePlanner(Models.Value[model].Config, new PlanRequest(4096, 1, null)).On(HardwareCatalogue.Find(HardwareCatalogue.Read(), device), devices);
        Assert.True(fits == plan.Fits, plan.Why);
        Assert.Equal(fits, plan.MaxTokens >= 4096);
        Assert.Equal(plan.Rank.Total, plan.Rank.Fixed + plan.Rank.KvCache);
        Assert.True(plan.DecodeTokensPerSecond > 0);
    }

    [GoldenFact]
    public void Cheapest_OfR1_IsTheLeastMemoryThatFits()
    {
        var catalogue = HardwareCatalogue.Read();
        var planner = new HardwarePlanner(Models.Value["DeepSeek-R1"].Config, new PlanRequest(32768, 8, null));
        var best = planner.Cheapest(catalogue)!;
        Assert.True(best.Fits && best.Device.Runs);
        foreach (var device in catalogue.Where(d => d.Runs && d.Bf16))
            foreach (int count in new[] { 1, 2, 4, 8, 16 }.Where(n => n <= 2 * device.PerNode && n * device.MemoryGib < best.Devices * best.Device.MemoryGib))
                Assert.False(planner.On(device, count).Fits, $"{count} x {device.Name} fits and is smaller");
    }

    [GoldenTheory]
    [MemberData(nameof(GoldenModelTests.Checkpoints), MemberType = typeof(GoldenModelTests))]
    public void OnRank_EveryCheckpoint_IsWhatIsLoaded(string name)
    {
        var config = ModelConfigReader.Read(Goldens.At("models", name));
        foreach (int ranks in new[] { 1, 2 }.Where(new ModelSize(config).CanSplit))
            foreach (var kernels in new KernelSet[] { new TorchKernels(), CpuKernels.CreateOrReference() })
            {
                Communicator member = ranks == 1 ? new SingleRank() : new LocalGroup(ranks, TimeSpan.FromSeconds(1)).Members()[^1];
                var rank = new RankContext(member, kernels, torch.CPU, ScalarType.Float32);
                using var checkpoint = Checkpoint.Open(Goldens.At("models", name));
                using var model = CausalLm.Create(config, rank);
                Assert.Empty(PlanCheck.Compare(config, rank, WeightLoader.Load(model, checkpoint)));
            }
    }

    [GoldenFact]
    public void Compare_WhenSomethingElseIsInMemory_SaysSo()
    {
        var config = ModelConfigReader.Read(Goldens.At("models", "deepseek-v3-fp8-mtp"));
        var rank = new RankContext(new SingleRank(), new TorchKernels(), torch.CPU, ScalarType.Float32);
        using var checkpoint = Checkpoint.Open(Goldens.At("models", "deepseek-v3-fp8-mtp"));
        using var model = CausalLm.Create(config, rank);
        var report = WeightLoader.Load(model, checkpoint);
        var more = report with { Bytes = report.Bytes + 4 };
        Assert.Contains("dense weights", Assert.Single(PlanCheck.Compare(config, rank, more)), StringComparison.Ordinal);
        var larger = report with { Formats = [.. report.Formats.Select(f => f.IsQuantized ? f with { Bytes = f.Bytes + 1 } : f)], Bytes = report.Bytes + 1 };
        Assert.Contains("quantized weights", Assert.Single(PlanCheck.Compare(config, rank, larger)), StringComparison.Ordinal);
    }

    [Fact]
    public void Catalogue_UnknownName_NamesTheNearest()
    {
        var refusal = Assert.Throws<StartupException>(() => HardwareCatalogue.Find(HardwareCatalogue.Read(), "a100"));
        Assert.Contains("A100-80GB", refusal.Message, StringComparison.Ordinal);
        Assert.Equal("H200", HardwareCatalogue.Find(HardwareCatalogue.Read(), "h-200").Name);
    }

    [Fact]
    public void Catalogue_OwnFile_GoesFirstAndIsChecked()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, """[{"name": "h200", "vendor": "me", "memory_gib": 10, "per_node": 1, "runs": true}]""");
            var catalogue = HardwareCatalogue.Read(file);
            Assert.Equal(10, HardwareCatalogue.Find(catalogue, "H200").MemoryGib);
            Assert.Single(catalogue, e => e.Name.Equals("h200", StringComparison.OrdinalIgnoreCase));
            File.WriteAllText(file, """[{"name": "x"}]""");
            Assert.Contains("memory_gib", Assert.Throws<StartupException>(() => HardwareCatalogue.Read(file)).Message, StringComparison.Ordinal);
            File.WriteAllText(file, "{");
            Assert.Contains(file, Assert.Throws<StartupException>(() => HardwareCatalogue.Read(file)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
