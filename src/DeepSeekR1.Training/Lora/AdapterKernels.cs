using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Lora;

/// <summary>A low-rank addition to one checkpoint matrix [N, K]: scale B A.</summary>
/// <param name="Module">Hub name of the linear layer, without ".weight".</param>
/// <param name="A">[r, K] float32, trained.</param>
/// <param name="B">[N, r] float32, trained.</param>
/// <param name="Row">First row of the matrix in the layer's fused weight.</param>
/// <param name="Scale">alpha / r.</param>
public sealed record Adapter(string Module, Tensor A, Tensor B, long Row, double Scale)
{
    /// <summary>Rows of the matrix (N).</summary>
    public long Rows => B.shape[0];

    /// <summary>scale B A: a fresh [N, K] float32 without a graph.</summary>
    public Tensor Product()
    {
        using var mode = no_grad();
        using var product = B.matmul(A);
        return product.mul(Scalars.Of(Scale));
    }
}

/// <summary>
/// The reference kernels with low-rank adapters on some linear weights (LoRA, Hu et al. 2021, section 4.1): y = x W^T + scale (x A^T) B^T. Without adapters they
/// are the reference kernels. Used by one thread at a time; the adapters' owner attaches and detaches them.
/// </summary>
public sealed class AdapterKernels : TorchKernels
{
    private readonly Dictionary<LinearWeight, List<Adapter>> _adapters = [];

    /// <summary>Whether adapters count. Off, the model is the one it was before training.</summary>
    public bool IsOn { get; set; } = true;

    /// <summary>All adapters in use, by module.</summary>
    public IReadOnlyDictionary<string, Adapter> ByModule => _adapters.Values.SelectMany(list => list).ToDictionary(a => a.Module);

    /// <inheritdoc/>
    public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
    {
        var y = base.Linear(x, weight, bias); // [T, N]
        if (!IsOn || !_adapters.TryGetValue(weight, out var adapters))
            return y;
        using (y)
        {
            using var addition = Addition(x, adapters, y.shape[1]);
            using var typed = addition.to(y.dtype);
            return y.Plus(typed);
        }
    }

    /// <inheritdoc/>
    public override Tensor ToDense(LinearWeight weight, ScalarType type)
    {
        var dense = base.ToDense(weight, type);
        if (!IsOn || !_adapters.TryGetValue(weight, out var adapters))
            return dense;
        using (dense)
        using (NewDisposeScope())
        {
            var identity = eye(dense.shape[1], dense.shape[1], ScalarType.Float32, dense.device);
            var addition = Addition(identity, adapters, dense.shape[0]).transpose(0, 1);
            return dense.to(ScalarType.Float32).Plus(addition).to(type).MoveToOuterDisposeScope();
        }
    }

    /// <summary>Puts an adapter on rows of a weight.</summary>
    internal void Attach(LinearWeight weight, Adapter adapter)
    {
        if (!_adapters.TryGetValue(weight, out var list))
            _adapters[weight] = list = [];
        list.Add(adapter);
        list.Sort((a, b) => a.Row.CompareTo(b.Row));
    }

    /// <summary>Forgets all adapters.</summary>
    internal void Detach() => _adapters.Clear();

    /// <summary>What the adapters of a fused weight add to its outputs: x [T, K] to [T, outputs] float32, zero where no adapter is.</summary>
    private static Tensor Addition(Tensor x, List<Adapter> adapters, long outputs)
    {
        using var scope = NewDisposeScope();
        var wide = x.to(ScalarType.Float32);
        var pieces = new List<Tensor>();
        long row = 0;
        void Gap(long end)
        {
            if (end > row)
                pieces.Add(zeros([x.shape[0], end - row], ScalarType.Float32, x.device));
        }

        foreach (var adapter in adapters)
        {
            Gap(adapter.Row);
            pieces.Add(nn.functional.linear(nn.functional.linear(wide, adapter.A), adapter.B).mul(Scalars.Of(adapter.Scale)));
            row = adapter.Row + adapter.Rows;
        }

        Gap(outputs);
        return (pieces.Count == 1 ? pieces[0] : cat(pieces, -1)).MoveToOuterDisposeScope();
    }
}
