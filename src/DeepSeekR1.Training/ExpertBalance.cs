using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>How often each expert of each layer was chosen since the last reset. Kept by the caller over the micro-batches of a step.</summary>
public sealed class ExpertLoad
{
    private readonly SortedDictionary<int, long[]> _counts = [];
    private readonly int _experts;

    /// <summary>For layers with so many experts.</summary>
    public ExpertLoad(int experts) => _experts = experts;

    /// <summary>Counts by layer.</summary>
    public IReadOnlyDictionary<int, long[]> Counts => _counts;

    /// <summary>Largest load of an expert over the mean of its layer; 1 is perfect balance.</summary>
    public double MaxOverMean => _counts.Count == 0 ? 1 : _counts.Values.Max(c => c.Max() * (double)c.Length / Math.Max(1, c.Sum()));

    /// <summary>Counts the choices of a layer: experts [T, TopK].</summary>
    public void Add(int layer, Tensor experts)
    {
        using var flat = experts.reshape(-1);
        using var counted = flat.bincount(null, minlength: _experts);
        using var host = counted.cpu();
        if (!_counts.TryGetValue(layer, out var counts))
            _counts[layer] = counts = new long[_experts];
        var fresh = host.data<long>();
        for (int i = 0; i < counts.Length; i++)
            counts[i] += fresh[i];
    }

    /// <summary>Begins anew.</summary>
    public void Reset() => _counts.Clear();

    /// <summary>
    /// Auxiliary-loss-free balancing (DeepSeek-V3 paper, section 2.1.2): the selection bias of an overloaded expert falls by
    /// <paramref name="speed"/>, that of an underloaded one rises by it.
    /// </summary>
    public void UpdateBiases(CausalLm model, double speed)
    {
        if (speed == 0)
            return;
        using var mode = no_grad();
        foreach (var spec in model.Weights.Where(s => s.Name.EndsWith(TrainableWeights.RouterBias, StringComparison.Ordinal)))
        {
            int layer = int.Parse(spec.Name.Split('.')[2], System.Globalization.CultureInfo.InvariantCulture);
            if (!_counts.TryGetValue(layer, out var counts))
                continue;
            double mean = counts.Average();
            using var change = tensor(counts.Select(c => (float)(speed * Math.Sign(mean - c))).ToArray()).to(spec.Target.Parameter.device);
            spec.Target.Parameter.PlusInPlace(change);
        }
    }
}

/// <summary>
/// Sequence-wise balance of experts (DeepSeek-V3 paper, equations 17 to 20), summed over layers and averaged over the sequences of a micro-batch:
/// sum over experts of f_i P_i, where f_i is the share of a sequence's choices that fell on expert i times the number of experts, and P_i
/// its mean normalized score. 1 when perfectly balanced.
/// </summary>
internal sealed class BalanceLoss(int topK, IReadOnlyList<PagedSequence> sequences)
{
    /// <summary>The sum so far; null before the first layer. Detached from dispose scopes that end before the backward pass.</summary>
    public Tensor? Total { get; private set; }

    /// <summary>The sum so far times a weight, and begins anew; null when nothing was added.</summary>
    public Tensor? Take(double weight)
    {
        var total = Total;
        Total = null;
        if (total is null)
            return null;
        using var factor = weight.ToScalar();
        return total.mul(factor);
    }

    /// <summary>Adds a layer: logits [T, N] with a gradient, experts [T, TopK].</summary>
    public void Add(Tensor logits, Tensor experts)
    {
        using var scope = NewDisposeScope();
        var scores = logits.sigmoid();
        var shares = scores / scores.sum([-1], keepdim: true);
        long count = logits.shape[1];
        var chosen = zeros_like(scores).scatter(1, experts, ones_like(experts, ScalarType.Float32));
        var terms = new List<Tensor>();
        foreach (var sequence in sequences)
        {
            var often = chosen.narrow(0, sequence.QueryStart, sequence.QueryLength).mean([0]);
            var likely = shares.narrow(0, sequence.QueryStart, sequence.QueryLength).mean([0]);
            terms.Add((often * likely).sum());
        }

        var layer = stack(terms).mean().mul(Scalars.Of((double)count / topK));
        var sum = Total is null ? layer : Total.Plus(layer);
        Total = sum.MoveToOuterDisposeScope().MoveToOuterDisposeScope();
    }
}
