using DeepSeekR1.Models.Checkpoints;
using static TorchSharp.torch;

namespace DeepSeekR1.Models;

/// <summary>
/// One tensor of a checkpoint, declared by the layer that needs it: how it is called, how large it is, which slice this rank
/// holds and where that goes. One list of these serves loading, saving, sharding and planning.
/// </summary>
/// <param name="Name">Hub name.</param>
/// <param name="Shape">Full shape in the checkpoint.</param>
/// <param name="Slice">This rank's part.</param>
/// <param name="Target">Receives it.</param>
/// <param name="TargetRow">First row in the target (fused weights hold several tensors one under the other).</param>
public sealed record WeightSpec(string Name, long[] Shape, TensorSlice Slice, Weight Target, long TargetRow = 0)
{
    /// <summary>A tensor that every rank holds whole.</summary>
    public static WeightSpec Replicated(string name, long[] shape, Weight target) => new(name, shape, TensorSlice.Whole(shape), target);

    /// <summary>Elements of the full tensor.</summary>
    public long Count => Shape.Aggregate(1L, (product, dimension) => product * dimension);
}

/// <summary>
/// A weight that is filled from one or more checkpoint tensors. Owned by its layer; the loader fills it, and when the last part
/// has come it is handed over.
/// </summary>
public sealed class Weight : IDisposable
{
    private readonly RankContext _rank;
    private readonly Action<Tensor>? _complete;
    private readonly long _rowsPerItem;
    private Tensor? _value;
    private long _elementsLeft;

    /// <summary>Declares a weight.</summary>
    /// <param name="rank">Device and compute type.</param>
    /// <param name="shape">Shape on this rank.</param>
    /// <param name="type">Element type; null takes the compute type.</param>
    /// <param name="complete">
    /// Called with the finished dense tensor, which may be a view of mapped memory; the weight then keeps nothing. Null keeps it.
    /// </param>
    public Weight(RankContext rank, long[] shape, ScalarType? type = null, Action<Tensor>? complete = null)
    {
        _rank = rank;
        Shape = shape;
        Type = type ?? rank.Type;
        _complete = complete;
        _elementsLeft = shape.Aggregate(1L, (product, dimension) => product * dimension);
        _rowsPerItem = shape.Length > 1 ? shape[1] : 1;
    }

    /// <summary>Shape on this rank.</summary>
    public long[] Shape { get; }

    /// <summary>Element type in memory.</summary>
    public ScalarType Type { get; }

    /// <summary>The dense tensor; only for weights without a completion.</summary>
    public Tensor Value => _value ?? throw new InvalidOperationException("The weight is not loaded.");

    /// <summary>Takes a part: rows of a matrix or a run of a vector. The argument stays the caller's.</summary>
    public void Fill(long row, Tensor part)
    {
        using var typed = part.to(Type).to(_rank.Device);
        long count = typed.numel();
        bool whole = count == _elementsLeft && _value is null;
        _elementsLeft -= count;
        if (whole && _complete is not null)
        {
            _complete(typed);
            return;
        }

        _value ??= empty(Shape, Type, _rank.Device).DetachFromDisposeScope();
        using (var rows = _value.narrow(0, row, count / _rowsPerItem))
            rows.copy_(typed.reshape(rows.shape));
        if (_elementsLeft == 0 && _complete is not null)
        {
            _complete(_value);
            _value.Dispose();
            _value = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _value?.Dispose();
}
