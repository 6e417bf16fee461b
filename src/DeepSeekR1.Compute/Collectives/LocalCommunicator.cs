using System.Diagnostics;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Collectives;

/// <summary>A collective could not be completed: a rank failed, or did not arrive in time.</summary>
/// <param name="rank">The rank to blame.</param>
/// <param name="operation">What it did or should have done.</param>
/// <param name="message">The whole story.</param>
/// <param name="inner">The rank's own exception.</param>
public sealed class RankFailedException(int rank, string operation, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The rank to blame.</summary>
    public int Rank { get; } = rank;

    /// <summary>What it did or should have done.</summary>
    public string Operation { get; } = operation;
}

/// <summary>
/// What the ranks of one process share: a meeting point. A wait ends when no missing rank has begun an operation for a while. When a rank fails, <see cref="Abort"/> wakes all
/// others with an exception, so nobody waits for ever.
/// </summary>
/// <param name="worldSize">Number of ranks.</param>
/// <param name="timeout">Longest time without progress of the ranks that are waited for.</param>
public sealed class LocalGroup(int worldSize, TimeSpan timeout)
{
    private readonly Lock _gate = new();
    private readonly object _bell = new();
    private readonly Tensor?[] _tensors = new Tensor?[worldSize];
    private readonly string?[] _arrived = new string?[worldSize];
    private int _count;
    private long _generation;
    private RankFailedException? _failure;
    private IReadOnlyList<Communicator> _members = [];

    /// <summary>Number of ranks.</summary>
    public int WorldSize => worldSize;

    /// <summary>Collectives completed so far.</summary>
    public long Operations { get; private set; }

    /// <summary>Bytes that each rank gave to collectives so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>The first failure; null while all is well.</summary>
    public RankFailedException? Failure
    {
        get
        {
            lock (_bell)
                return _failure;
        }
    }

    /// <summary>One member per rank.</summary>
    public IReadOnlyList<Communicator> Members() => _members = [.. Enumerable.Range(0, worldSize).Select(rank => new LocalCommunicator(this, rank))];

    /// <summary>Grows while any rank works.</summary>
    public long Progress => _members.Sum(m => m.Progress);

    /// <summary>Ends every present and later wait with the failure.</summary>
    public void Abort(RankFailedException failure)
    {
        lock (_bell)
        {
            _failure ??= failure;
            Monitor.PulseAll(_bell);
        }
    }

    internal IReadOnlyList<Tensor?> Tensors => _tensors;

    internal void Publish(int rank, Tensor tensor)
    {
        _tensors[rank] = tensor;
        if (rank != 0)
            return;
        using (_gate.EnterScope())
        {
            Operations++;
            Bytes += tensor.numel() * tensor.element_size();
        }
    }

    /// <summary>Waits until all ranks have arrived at the same operation.</summary>
    internal void Meet(int rank, string operation)
    {
        lock (_bell)
        {
            ThrowIfFailed(operation);
            _arrived[rank] = operation;
            if (++_count == worldSize)
            {
                _count = 0;
                _generation++;
                Array.Clear(_arrived);
                Monitor.PulseAll(_bell);
                return;
            }

            long mine = _generation, seen = Progress;
            var watch = Stopwatch.StartNew();
            while (mine == _generation)
            {
                ThrowIfFailed(operation);
                var left = timeout - watch.Elapsed;
                if (left > TimeSpan.Zero && Monitor.Wait(_bell, left))
                    continue;
                if (mine != _generation || left > TimeSpan.Zero)
                    continue;

                // Who waits here makes no progress; a rank that does is slow, not lost.
                if (Progress == seen)
                    Late(operation);
                seen = Progress;
                watch.Restart();
            }
        }
    }

    private void Late(string operation)
    {
        int missing = Array.FindIndex(_arrived, a => a is null);
        _failure ??= new RankFailedException(
            missing, operation, $"Rank {missing} did not arrive at {operation} within {timeout.TotalSeconds:0} s; the other ranks waited for it.");
        Monitor.PulseAll(_bell);
        throw _failure;
    }

    private void ThrowIfFailed(string operation)
    {
        if (_failure is { } failure)
            throw new RankFailedException(failure.Rank, operation, failure.Message, failure);
    }
}

/// <summary>
/// Ranks as threads of one process. Sums are made in rank order by every rank, so all ranks hold the same bits.
/// </summary>
internal sealed class LocalCommunicator(LocalGroup group, int rank) : Communicator
{
    /// <inheritdoc/>
    public override int Rank => rank;

    /// <inheritdoc/>
    public override int WorldSize => group.WorldSize;

    /// <inheritdoc/>
    public override void AllReduce(Tensor tensor)
    {
        Tick();
        group.Publish(rank, tensor);
        group.Meet(rank, "AllReduce");
        using var sum = group.Tensors[0]!.clone();
        for (int other = 1; other < group.WorldSize; other++)
            sum.PlusInPlace(group.Tensors[other]!);

        // Nobody may overwrite its part before all have read it.
        group.Meet(rank, "AllReduce");
        tensor.copy_(sum);
    }

    /// <inheritdoc/>
    public override Tensor AllGather(Tensor tensor)
    {
        Tick();
        group.Publish(rank, tensor);
        group.Meet(rank, "AllGather");
        var joined = cat([.. group.Tensors.Select(t => t!)], -1);
        group.Meet(rank, "AllGather");
        return joined;
    }

    /// <inheritdoc/>
    public override void Barrier() => group.Meet(rank, "Barrier");
}
