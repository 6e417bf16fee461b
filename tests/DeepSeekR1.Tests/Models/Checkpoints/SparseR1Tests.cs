using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine.Planning;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>R1's own files, all 163 of them, with holes instead of numbers: names, shapes and every rank's slices fit.</summary>
public sealed class SparseR1Tests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparse-r1").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenFact]
    public void Open_AllShardsOfR1_IsComplete()
    {
        using var models = JsonDocument.Parse(File.ReadAllText(Goldens.At("planner", "models.json")));
        var expected = models.RootElement[0];
        int tensors = SparseR1.Write(_folder, expected.GetProperty("config").GetRawText());
        using var checkpoint = SafetensorsCheckpoint.Open(_folder);
        Assert.Equal((tensors, 163), (checkpoint.Tensors.Count, checkpoint.Shards.Count));
        Assert.InRange(tensors, 90_000, 92_000);
        long bytes = checkpoint.Tensors.Values.Sum(t => t.Type.Bytes() * t.Shape.Aggregate(1L, (a, b) => a * b));
        var golden = expected.GetProperty("bytes");
        Assert.Equal(golden.GetProperty("fp8_total").GetInt64() + golden.GetProperty("fp8_mtp_stored").GetInt64(), bytes);
        Assert.Equal(688_574_839_360, bytes);

        var config = ModelConfigReader.Read(_folder);
        foreach (int ranks in new[] { 8, 16 })
            CheckSlices(checkpoint, config, ranks);
        Assert.True(new HardwarePlanner(config, new PlanRequest(32768, 8, null)).On(HardwareCatalogue.Find(HardwareCatalogue.Read(), "H200"), 8).Fits);
    }

    /// <summary>Every slice of the first and last rank lies inside its tensor; views of the largest are made, no data is touched.</summary>
    private static void CheckSlices(SafetensorsCheckpoint checkpoint, ModelConfig config, int ranks)
    {
        long sum = 0;
        foreach (var member in new LocalGroup(ranks, TimeSpan.FromSeconds(1)).Members().Where(m => m.Rank == 0 || m.Rank == ranks - 1))
        {
            using var model = CausalLm.Create(config, new RankContext(member, new TorchKernels(), torch.CPU, ScalarType.BFloat16));
            foreach (var spec in model.Weights)
            {
                var stored = checkpoint.Find(spec.Name);
                Assert.Equal(spec.Shape, stored.Shape);
                foreach (var layout in StoredFormat.Of(checkpoint, spec, config)?.Tensors(spec.Name, spec.Shape) ?? [])
                    Assert.Equal(layout.Shape, checkpoint.Find(layout.Name).Shape);
                using var slice = checkpoint.Read(spec.Name, spec.Slice);
                Assert.Equal(spec.Slice.Rows * spec.Slice.Columns, slice.numel());
                sum += slice.numel();
            }
        }

        Assert.InRange(sum, 2 * 671_026_419_200 / ranks, 2.2 * 671_026_419_200 / ranks);
    }
}
