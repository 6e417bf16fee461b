using DeepSeekR1.Compute.Kernels;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>One checkpoint tensor of a linear layer: name without ".weight", and its full number of outputs.</summary>
public readonly record struct LinearPart(string Name, int Outputs);

/// <summary>
/// y = x W^T + b. Several checkpoint tensors with one input may be fused into one product (q, k, v; gate, up). Sharding:
/// replicated, by columns of the output (each rank computes some outputs) or by rows of the input (each rank computes a
/// partial sum, added up over the ranks).
/// </summary>
/// <remarks>x [T, K], result [T, N] in the compute type; N and K are this rank's.</remarks>
public sealed class Linear : IDisposable
{
    private readonly RankContext _rank;
    private readonly bool _sumOverRanks;
    private readonly Weight? _bias;
    private LinearWeight? _weight;

    private Linear(RankContext rank, IReadOnlyList<LinearPart> parts, int inputs, bool bias, Sharding sharding)
    {
        _rank = rank;
        _sumOverRanks = sharding == Sharding.Inputs && rank.WorldSize > 1;
        Inputs = sharding == Sharding.Inputs ? rank.Share(inputs, $"inputs of {parts[0].Name}") : inputs;
        Outputs = parts.Sum(p => sharding == Sharding.Outputs ? rank.Share(p.Outputs, $"outputs of {p.Name}") : p.Outputs);
        var weight = new Weight(rank, [Outputs, Inputs], null, dense => _weight = rank.Kernels.Prepare(dense));

        // Partial sums are added up, so only one rank may add the bias.
        _bias = bias && (sharding != Sharding.Inputs || rank.Communicator.Rank == 0) ? new Weight(rank, [Outputs]) : null;
        Weights = Declare(parts, inputs, sharding, weight);
    }

    private enum Sharding
    {
        None,
        Outputs,
        Inputs,
    }

    /// <summary>Inputs on this rank.</summary>
    public int Inputs { get; }

    /// <summary>Outputs on this rank.</summary>
    public int Outputs { get; }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>Every rank computes everything.</summary>
    public static Linear Replicated(RankContext rank, string name, int inputs, int outputs, bool bias = false)
        => new(rank, [new LinearPart(name, outputs)], inputs, bias, Sharding.None);

    /// <summary>Each rank computes its share of every part's outputs.</summary>
    public static Linear ByOutputs(RankContext rank, IReadOnlyList<LinearPart> parts, int inputs, bool bias = false)
        => new(rank, parts, inputs, bias, Sharding.Outputs);

    /// <summary>Each rank multiplies its share of the inputs; the sums are added up.</summary>
    public static Linear ByInputs(RankContext rank, string name, int inputs, int outputs, bool bias = false)
        => new(rank, [new LinearPart(name, outputs)], inputs, bias, Sharding.Inputs);

    /// <summary>Applies the layer: x [T, K] to [T, N].</summary>
    public Tensor Forward(Tensor x)
    {
        var y = _rank.Kernels.Linear(x, Prepared, _bias?.Value);
        if (_sumOverRanks)
            _rank.Communicator.AllReduce(y);
        return y;
    }

    /// <summary>The weight in the kernels' form.</summary>
    public LinearWeight Prepared => _weight ?? throw new InvalidOperationException("The layer is not loaded.");

    /// <inheritdoc/>
    public void Dispose()
    {
        _weight?.Dispose();
        _bias?.Dispose();
    }

    private List<WeightSpec> Declare(IReadOnlyList<LinearPart> parts, int inputs, Sharding sharding, Weight weight)
    {
        var specs = new List<WeightSpec>();
        long row = 0;
        foreach (var part in parts)
        {
            var slice = sharding switch
            {
                Sharding.Outputs => _rank.Rows(part.Outputs, inputs),
                Sharding.Inputs => _rank.Columns(part.Outputs, inputs),
                _ => new Checkpoints.TensorSlice(0, part.Outputs, 0, inputs),
            };
            specs.Add(new WeightSpec(part.Name + ".weight", [part.Outputs, inputs], slice, weight, row));
            if (_bias is not null)
                specs.Add(new WeightSpec(part.Name + ".bias", [part.Outputs], new Checkpoints.TensorSlice(slice.Row, slice.Rows, 0, 1), _bias, row));
            row += slice.Rows;
        }

        return specs;
    }
}
