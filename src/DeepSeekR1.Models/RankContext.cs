using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using static TorchSharp.torch;

namespace DeepSeekR1.Models;

/// <summary>What a layer needs to know of the rank that it is built on. Passed to every layer, never ambient.</summary>
/// <param name="Communicator">Collectives with the other ranks of this model.</param>
/// <param name="Kernels">Operations for the device.</param>
/// <param name="Device">Where tensors are made.</param>
/// <param name="Type">Compute type of weights and activations.</param>
public sealed record RankContext(Communicator Communicator, KernelSet Kernels, Device Device, ScalarType Type)
{
    /// <summary>Whether a rank holds whole routed experts instead of a slice of each.</summary>
    public bool ExpertParallel { get; init; }

    /// <summary>Number of ranks.</summary>
    public int WorldSize => Communicator.WorldSize;

    /// <summary>This rank's number.</summary>
    public int Rank => Communicator.Rank;

    /// <summary>This rank's run of a count; runs differ by at most one item.</summary>
    public (int First, int Count) Range(int count)
    {
        int first = (int)((long)count * Rank / WorldSize);
        return (first, (int)((long)count * (Rank + 1) / WorldSize) - first);
    }

    /// <summary>This rank's query heads, and the key-value heads that they share: each rank has whole groups, or a copy of one head.</summary>
    /// <exception cref="ModelLoadException">The heads cannot be split over so many ranks.</exception>
    public (int Heads, int FirstKvHead, int KvHeads) Heads(int heads, int kvHeads)
    {
        if (!CanSplitHeads(heads, kvHeads, WorldSize))
            throw new ModelLoadException(
                $"{new OptionName("tensor-parallel-size")} {WorldSize} cannot split {heads} query heads and {kvHeads} key-value heads. Use one of: "
                + $"{string.Join(", ", Enumerable.Range(1, heads).Where(size => CanSplitHeads(heads, kvHeads, size)))}.");
        return kvHeads >= WorldSize
            ? (heads / WorldSize, kvHeads / WorldSize * Rank, kvHeads / WorldSize)
            : (heads / WorldSize, Rank * kvHeads / WorldSize, 1);
    }

    /// <summary>Whether heads can be split over so many ranks.</summary>
    public static bool CanSplitHeads(int heads, int kvHeads, int size)
        => heads % size == 0 && (kvHeads % size == 0 || size % kvHeads == 0);
}
