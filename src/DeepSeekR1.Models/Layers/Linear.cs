using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models.Checkpoints;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>One checkpoint tensor of a linear layer.</summary>
/// <param name="Name">Hub name without ".weight".</param>
/// <param name="Outputs">Its full number of outputs.</param>
/// <param name="First">First output of this rank.</param>
/// <param name="Count">Outputs of this rank.</param>
public readonly record struct LinearPart(string Name, int Outputs, int First, int Count)
{
    /// <summary>A part that every rank holds whole.</summary>
    public static LinearPart Whole(string name, int outputs) => new(name, outputs, 0, outputs);

    /// <summary>A part whose outputs are split over the ranks.</summary>
    public static LinearPart Split(RankContext rank, string name, int outputs)
    {
        var (first, count) = rank.Range(outputs);
        return new LinearPart(name, outputs, first, count);
    }
}

/// <summary>
/// y = x W^T + b. Several checkpoint tensors with one input may be fused into one product (q, k, v; gate, up). Sharding:
/// replicated, by outputs (each rank computes some), or by inputs (each rank computes a partial sum, added up over the ranks).
/// </summary>
/// <remarks>x [T, K], result [T, N] in the compute type; N and K are this rank's.</remarks>
public sealed class Linear : IDisposable
{
    private readonly RankContext _rank;
    private readonly bool _sumOverRanks, _addsBias;
    private readonly Weight _weight;
    private readonly Weight? _bias;

    private Linear(
        RankContext rank, IReadOnlyList<LinearPart> parts, int inputs, (int First, int Count) ownInputs, bool bias, bool sumOverRanks, bool quantizable)
    {
        _rank = rank;
        _sumOverRanks = sumOverRanks && rank.WorldSize > 1;
        Inputs = ownInputs.Count;
        Outputs = parts.Sum(p => p.Count);
        _weight = new Weight(rank, [Outputs, Inputs], WeightForm.Prepared) { Quantizable = quantizable };

        // Partial sums are added up, so only one rank may add the bias.
        _addsBias = Inputs == inputs || rank.Rank == 0;
        _bias = bias ? new Weight(rank, [Outputs]) : null;
        var specs = new List<WeightSpec>();
        long row = 0;
        foreach (var part in parts)
        {
            specs.Add(new WeightSpec($"{part.Name}.weight", [part.Outputs, inputs], new TensorSlice(part.First, part.Count, ownInputs.First, Inputs), _weight, row));
            if (_bias is not null)
                specs.Add(new WeightSpec($"{part.Name}.bias", [part.Outputs], new TensorSlice(part.First, part.Count, 0, 1), _bias, row));
            row += part.Count;
        }

        Weights = specs;
    }

    /// <summary>Inputs on this rank.</summary>
    public int Inputs { get; }

    /// <summary>Outputs on this rank.</summary>
    public int Outputs { get; }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>The weight in the kernels' form.</summary>
    public LinearWeight Prepared => _weight.Prepared;

    /// <summary>Every rank computes everything.</summary>
    public static Linear Replicated(RankContext rank, string name, int inputs, int outputs, bool bias = false, bool quantizable = true)
        => ByOutputs(rank, [LinearPart.Whole(name, outputs)], inputs, bias, quantizable);

    /// <summary>Each rank computes its run of every part's outputs.</summary>
    public static Linear ByOutputs(RankContext rank, IReadOnlyList<LinearPart> parts, int inputs, bool bias = false, bool quantizable = true)
        => new(rank, parts, inputs, (0, inputs), bias, sumOverRanks: false, quantizable);

    /// <summary>Each rank multiplies its run of the inputs. The sums are added up here, or by the caller together with others.</summary>
    public static Linear ByInputs(
        RankContext rank, string name, int inputs, (int First, int Count) ownInputs, int outputs, bool bias = false, bool sumOverRanks = true)
        => new(rank, [LinearPart.Whole(name, outputs)], inputs, ownInputs, bias, sumOverRanks, quantizable: true);

    /// <summary>Applies the layer: x [T, K] to [T, N].</summary>
    public Tensor Forward(Tensor x)
    {
        _rank.Communicator.Tick();
        var y = _rank.Kernels.Linear(x, Prepared, _addsBias ? _bias?.Value : null);
        if (_sumOverRanks)
            _rank.Communicator.AllReduce(y);
        return y;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
