using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models.Checkpoints;
using static TorchSharp.torch;

namespace DeepSeekR1.Models;

/// <summary>What a layer needs to know of the rank that it is built on. Passed to every layer, never ambient.</summary>
/// <param name="Communicator">Collectives with the other ranks of this model.</param>
/// <param name="Kernels">Operations for the device.</param>
/// <param name="Device">Where tensors are made.</param>
/// <param name="Type">Compute type of weights and activations.</param>
public sealed record RankContext(Communicator Communicator, KernelSet Kernels, Device Device, ScalarType Type)
{
    /// <summary>Number of ranks.</summary>
    public int WorldSize => Communicator.WorldSize;

    /// <summary>This rank's share of a count that must divide evenly.</summary>
    /// <exception cref="ModelLoadException">It does not divide.</exception>
    public int Share(int count, string what) => count % WorldSize == 0
        ? count / WorldSize
        : throw new ModelLoadException($"{what} ({count}) cannot be split over {WorldSize} ranks; use a tensor-parallel size that divides it.");

    /// <summary>This rank's rows of a matrix [rows, columns], or run of a vector.</summary>
    public TensorSlice Rows(long rows, long columns)
    {
        long share = rows / WorldSize;
        return new TensorSlice(Communicator.Rank * share, share, 0, columns);
    }

    /// <summary>This rank's columns of a matrix [rows, columns].</summary>
    public TensorSlice Columns(long rows, long columns)
    {
        long share = columns / WorldSize;
        return new TensorSlice(0, rows, Communicator.Rank * share, share);
    }
}
