using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;

namespace DeepSeekR1.Engine.Planning;

/// <summary>Compares what the planner says of a rank with what its model took, so that the two cannot drift apart unseen.</summary>
public static class PlanCheck
{
    /// <summary>Packed copies are laid out by the library: this share may differ, from a gigabyte on.</summary>
    private const double PackedTolerance = 0.01;
    private const long SmallestCompared = 1_000_000_000;

    /// <summary>One sentence for every difference; none when all is as planned.</summary>
    /// <param name="config">The model.</param>
    /// <param name="rank">Any rank: their number and type count.</param>
    /// <param name="loaded">What the last rank loaded, which is the one with the largest parts.</param>
    public static IEnumerable<string> Compare(ModelConfig config, RankContext rank, LoadReport loaded)
    {
        var quantized = loaded.Formats.Where(f => f.IsQuantized).ToList();
        string? format = quantized.Count > 0 ? quantized[0].Format : null;
        if (format is not (null or "fp8"))
            yield break;
        var planned = new ModelSize(config).OnRank(rank.WorldSize, rank.Type, format, rank.ExpertParallel);
        long actualQuantized = quantized.Sum(f => f.Bytes), packed = loaded.Formats.Where(f => f.IsPacked).Sum(f => f.Bytes);

        // Matrices whose packed layout would lose numbers on this processor stay dense: what is not packed must be there as it was planned.
        long numbersPacked = loaded.Formats.Where(f => f.IsPacked).Sum(f => f.Parameters), size = rank.Type == TorchSharp.torch.ScalarType.Float32 ? 4 : 2;
        long dense = loaded.Bytes - actualQuantized - packed, plannedDense = planned.Other + planned.Linear - numbersPacked * size;
        if (actualQuantized != planned.Quantized)
            yield return $"planned were {planned.Quantized} bytes of quantized weights, {actualQuantized} are in memory.";
        if (dense != plannedDense)
            yield return $"planned were {plannedDense} bytes of dense weights, {dense} are in memory.";
        if (packed > SmallestCompared && Math.Abs(packed - planned.Linear) > PackedTolerance * planned.Linear)
            yield return $"planned were {planned.Linear} bytes of packed weights, {packed} are in memory.";
    }
}
