using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Collectives;

/// <summary>
/// Collective operations between the ranks that share a model. Every rank calls the same operations in the same order, on its
/// own thread; each call returns when this rank's part is done. Handed to layers inside a rank context, never ambient.
/// </summary>
public abstract class Communicator
{
    private long _progress;

    /// <summary>Grows while the rank works: a rank whose number stands still hangs. Readable from every thread.</summary>
    public long Progress => Volatile.Read(ref _progress);

    /// <summary>The rank has begun another operation. Called on its own thread.</summary>
    public void Tick() => Volatile.Write(ref _progress, _progress + 1);

    /// <summary>This rank, 0 to WorldSize - 1.</summary>
    public abstract int Rank { get; }

    /// <summary>Number of ranks.</summary>
    public abstract int WorldSize { get; }

    /// <summary>Sum over all ranks, in place; the same shape and type everywhere.</summary>
    public abstract void AllReduce(Tensor tensor);

    /// <summary>
    /// Concatenation over all ranks along the last dimension, in rank order. The caller disposes the result, which may be the
    /// argument itself when there is one rank.
    /// </summary>
    public abstract Tensor AllGather(Tensor tensor);

    /// <summary>Waits until all ranks are here.</summary>
    public abstract void Barrier();
}

/// <summary>One rank: every collective is the identity.</summary>
public sealed class SingleRank : Communicator
{
    /// <inheritdoc/>
    public override int Rank => 0;

    /// <inheritdoc/>
    public override int WorldSize => 1;

    /// <inheritdoc/>
    public override void AllReduce(Tensor tensor)
    {
    }

    /// <inheritdoc/>
    public override Tensor AllGather(Tensor tensor) => tensor;

    /// <inheritdoc/>
    public override void Barrier()
    {
    }
}
