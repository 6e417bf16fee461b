using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Quantization;
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

    /// <summary>A matrix that other ranks hold and this one does not: it must be in the checkpoint, but nothing of it is read.</summary>
    public static WeightSpec Elsewhere(RankContext rank, string name, long[] shape)
        => new(name, shape, default, new Weight(rank, [0, 0], WeightForm.Prepared) { Quantizable = true });

    /// <summary>Whether this rank has nothing of it.</summary>
    public bool IsElsewhere => Slice.Rows == 0;

    /// <summary>Elements of the full tensor.</summary>
    public long Count => Shape.Aggregate(1L, (product, dimension) => product * dimension);
}

/// <summary>What becomes of a weight when all its parts have come.</summary>
public enum WeightForm
{
    /// <summary>A dense tensor; quantized parts are decoded.</summary>
    Dense,

    /// <summary>As it came, dense or quantized, never packed: the layer needs views of it.</summary>
    Unpacked,

    /// <summary>As it came, in the kernels' form for linear layers.</summary>
    Prepared,
}

/// <summary>
/// A weight that is filled from one or more checkpoint tensors, dense or quantized. Owned by its layer; the loader fills it.
/// </summary>
/// <param name="rank">Device, compute type and kernels.</param>
/// <param name="shape">Shape on this rank.</param>
/// <param name="form">What is kept.</param>
/// <param name="type">Element type of a dense weight; null takes the compute type.</param>
public sealed class Weight(RankContext rank, long[] shape, WeightForm form = WeightForm.Dense, ScalarType? type = null) : IDisposable
{
    private readonly long _rowsPerItem = shape.Length > 1 ? shape[1] : 1;
    private readonly SortedDictionary<long, QuantizedTensor> _parts = [];
    private Tensor? _value;
    private LinearWeight? _prepared;
    private long _elementsLeft = shape.Aggregate(1L, (product, dimension) => product * dimension);

    /// <summary>Shape on this rank.</summary>
    public long[] Shape { get; } = shape;

    /// <summary>Element type in memory when dense.</summary>
    public ScalarType Type { get; } = type ?? rank.Type;

    /// <summary>
    /// Whether quantizing a checkpoint takes this matrix: attention, MLP and experts. Embedding, head, norms and routers stay dense,
    /// as in R1 (quantization_config of the published files).
    /// </summary>
    public bool Quantizable { get; init; }

    /// <summary>Whether quantized parts stay quantized.</summary>
    public bool KeepsQuantized => form != WeightForm.Dense;

    /// <summary>What is kept.</summary>
    public WeightForm Form => form;

    /// <summary>The dense tensor; only of the dense form.</summary>
    public Tensor Value => _value ?? throw new InvalidOperationException("The weight is not loaded.");

    /// <summary>The weight for linear layers; not of the dense form.</summary>
    public LinearWeight Prepared => _prepared ?? throw new InvalidOperationException("The weight is not loaded.");

    /// <summary>Numbers that it holds on this rank.</summary>
    public long Elements => Shape.Aggregate(1L, (product, dimension) => product * dimension);

    /// <summary>How it is kept in memory: a quantized format, or an element type, packed or not.</summary>
    public string Format => _prepared switch
    {
        { Parts: { } parts } => parts[0].Format,
        { IsPacked: true } => TypeName + ", packed",
        _ => TypeName,
    };

    /// <summary>Whether codes are kept.</summary>
    public bool IsQuantized => _prepared?.Parts is not null;

    /// <summary>Whether a layout of the library's own is kept.</summary>
    public bool IsPacked => _prepared?.IsPacked ?? false;

    /// <summary>Bytes that it takes in memory now.</summary>
    public long Bytes => _prepared?.Bytes ?? (_value is { } value ? value.numel() * value.element_size() : 0);

    /// <summary>The numbers as one dense tensor [Shape], shared with the layer; for training.</summary>
    /// <exception cref="InvalidOperationException">The weight is packed, quantized or not loaded.</exception>
    public Tensor Parameter => _value ?? (_prepared is { IsPacked: false, Parts: null } dense
        ? dense.Data
        : throw new InvalidOperationException("Only a loaded, dense weight can be trained."));

    /// <summary>How often the numbers were replaced: for those who keep a copy.</summary>
    public int Version { get; private set; }

    /// <summary>Replaces all numbers by those of a dense tensor of the same shape, in place: whoever holds the prepared weight sees the new ones.</summary>
    /// <exception cref="InvalidOperationException">The weight is quantized or not loaded.</exception>
    public void Assign(Tensor numbers)
    {
        using var typed = numbers.to(Type).to(rank.Device);
        Version++;
        if (_prepared is { Parts: null } && form == WeightForm.Prepared && rank.Kernels.Packs(Type))
            using (var fresh = rank.Kernels.Prepare(typed))
                _prepared.TakeFrom(fresh);
        else
            using (no_grad())
                Parameter.copy_(typed);
    }

    /// <summary>Takes a part: rows of a matrix or a run of a vector. The argument stays the caller's.</summary>
    public void Fill(long row, Tensor part)
    {
        // A weight is either quantized or dense as a whole.
        foreach (var (at, earlier) in _parts)
            CopyDecoded(at, earlier);
        _parts.Clear();
        using var typed = part.to(Type).to(rank.Device);
        bool whole = typed.numel() == _elementsLeft && _value is null;
        _elementsLeft -= typed.numel();
        if (whole && form == WeightForm.Prepared)
            _prepared = rank.Kernels.Prepare(typed);
        else
            Copy(row, typed);
        Complete();
    }

    /// <summary>Takes a quantized part, and owns it from now on.</summary>
    public void Fill(long row, QuantizedTensor part)
    {
        _elementsLeft -= part.Rows * part.Columns;
        if (KeepsQuantized && _value is null)
            _parts.Add(row, OnDevice(part));
        else
            CopyDecoded(row, part);
        Complete();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _value?.Dispose();
        _prepared?.Dispose();
        foreach (var part in _parts.Values)
            part.Dispose();
    }

    private string TypeName => Type.ToString().ToLowerInvariant();

    private void Complete()
    {
        if (_elementsLeft != 0 || _prepared is not null)
            return;
        if (_parts.Count > 0)
        {
            _prepared = new LinearWeight([.. _parts.Values]);
            _parts.Clear();
        }
        else if (form == WeightForm.Prepared)
        {
            _prepared = rank.Kernels.Prepare(Value);
            Value.Dispose();
            _value = null;
        }
        else if (form == WeightForm.Unpacked)
        {
            _prepared = new LinearWeight(Value, false);
            _value = null;
        }
    }

    private QuantizedTensor OnDevice(QuantizedTensor part)
    {
        if (rank.Device.type == TorchSharp.DeviceType.CPU)
            return part;
        using (part)
            return part.To(rank.Device);
    }

    private void CopyDecoded(long row, QuantizedTensor part)
    {
        using (part)
        {
            using var decoded = part.Dequantize();
            Copy(row, decoded);
        }
    }

    private void Copy(long row, Tensor part)
    {
        _value ??= empty(Shape, Type, rank.Device).DetachFromDisposeScope();
        using var rows = _value.narrow(0, row, part.numel() / _rowsPerItem);
        rows.copy_(part.reshape(rows.shape));
    }
}
