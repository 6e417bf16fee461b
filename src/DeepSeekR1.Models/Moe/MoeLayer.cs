using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models.Layers;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Moe;

/// <summary>
/// Mixture of experts (DeepSeek-V3 paper, section 2.1.2): a router picks a few experts for every row, shared experts see all
/// rows. The shared experts' sum is not scaled. Either every expert is split over the ranks by its inner width, or each rank has whole
/// experts (expert parallelism). Rows are the same on all ranks after attention, so in both cases a rank computes its part for all
/// rows and one sum over the ranks puts the parts together: no rows are sent to experts.
/// </summary>
public sealed class MoeLayer : IFeedForward
{
    private readonly RankContext _rank;
    private readonly MoeConfig _moe;
    private readonly int _layer, _firstExpert;
    private readonly Weight _routerWeight, _routerBias;
    private readonly List<Linear> _linears = [];
    private readonly GatedMlp? _shared;
    private ExpertWeights[]? _experts;

    /// <summary>Declares the layer under a prefix such as <c>model.layers.3.mlp</c>.</summary>
    public MoeLayer(ModelConfig config, RankContext rank, int layer, string prefix)
    {
        _rank = rank;
        _moe = config.Moe ?? throw new ArgumentException("The model has no experts.", nameof(config));
        _layer = layer;
        int hidden = config.HiddenSize;

        // The router works in float32 whatever the compute type is: near ties decide which experts run.
        _routerWeight = new Weight(rank, [_moe.ExpertCount, hidden], type: ScalarType.Float32);
        _routerBias = new Weight(rank, [_moe.ExpertCount], type: ScalarType.Float32);
        var (first, count) = rank.ExpertParallel ? rank.Range(_moe.ExpertCount) : (0, _moe.ExpertCount);
        _firstExpert = first;
        var elsewhere = new List<WeightSpec>();
        for (int e = 0; e < _moe.ExpertCount; e++)
        {
            var expert = $"{prefix}.experts.{e}";
            if (e < first || e >= first + count)
            {
                long[] inner = [_moe.ExpertWidth, hidden], outer = [hidden, _moe.ExpertWidth];
                elsewhere.Add(WeightSpec.Elsewhere(rank, $"{expert}.gate_proj.weight", inner));
                elsewhere.Add(WeightSpec.Elsewhere(rank, $"{expert}.up_proj.weight", inner));
                elsewhere.Add(WeightSpec.Elsewhere(rank, $"{expert}.down_proj.weight", outer));
                continue;
            }

            if (rank.ExpertParallel)
            {
                _linears.Add(Linear.ByOutputs(
                    rank, [LinearPart.Whole($"{expert}.gate_proj", _moe.ExpertWidth), LinearPart.Whole($"{expert}.up_proj", _moe.ExpertWidth)], hidden));
                _linears.Add(Linear.Replicated(rank, $"{expert}.down_proj", _moe.ExpertWidth, hidden));
                continue;
            }

            _linears.Add(Linear.ByOutputs(
                rank, [LinearPart.Split(rank, $"{expert}.gate_proj", _moe.ExpertWidth), LinearPart.Split(rank, $"{expert}.up_proj", _moe.ExpertWidth)], hidden));
            _linears.Add(Linear.ByInputs(rank, $"{expert}.down_proj", _moe.ExpertWidth, rank.Range(_moe.ExpertWidth), hidden, sumOverRanks: false));
        }

        if (_moe.SharedExperts > 0)
            _shared = new GatedMlp(rank, $"{prefix}.shared_experts", hidden, _moe.ExpertWidth * _moe.SharedExperts, sumOverRanks: false);
        Weights =
        [
            WeightSpec.Replicated($"{prefix}.gate.weight", [_moe.ExpertCount, hidden], _routerWeight),
            WeightSpec.Replicated($"{prefix}.gate.e_score_correction_bias", [_moe.ExpertCount], _routerBias),
            .. _linears.SelectMany(l => l.Weights),
            .. elsewhere,
            .. _shared?.Weights ?? [],
        ];
    }

    /// <inheritdoc/>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>Called with (layer, experts, weights) after every routing; for tests and diagnosis.</summary>
    internal Action<int, Tensor, Tensor>? ObserveRouting { get; set; }

    /// <summary>Called with (layer, logits, experts) after every routing; for training.</summary>
    internal Action<int, Tensor, Tensor>? ObserveRouterLogits { get; set; }

    /// <inheritdoc/>
    public Tensor Forward(Tensor x)
    {
        var (experts, weights) = Route(x);
        ObserveRouting?.Invoke(_layer, experts, weights);
        using (experts)
        using (weights)
        {
            _experts ??= [.. Enumerable.Range(0, _linears.Count / 2).Select(e => new ExpertWeights(_linears[2 * e].Prepared, _linears[2 * e + 1].Prepared))];
            return Sum(_rank.Kernels.Experts(x, experts, weights, _experts, _firstExpert), x);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _routerWeight.Dispose();
        _routerBias.Dispose();
        _linears.ForEach(l => l.Dispose());
        _shared?.Dispose();
    }

    /// <summary>Adds the shared experts, then the ranks' parts of both in one collective. Takes over its first argument.</summary>
    private Tensor Sum(Tensor routed, Tensor x)
    {
        var sum = routed;
        if (_shared is not null)
        {
            using var shared = _shared.Forward(x);
            sum = routed.Plus(shared);
            routed.Dispose();
        }

        if (_rank.WorldSize > 1)
            _rank.Communicator.AllReduce(sum);
        return sum;
    }

    private (Tensor Experts, Tensor Weights) Route(Tensor x)
    {
        using var wide = x.to(ScalarType.Float32);
        using var logits = nn.functional.linear(wide, _routerWeight.Value);
        var chosen = _rank.Kernels.Route(logits, _routerBias.Value, _moe.Rule);
        ObserveRouterLogits?.Invoke(_layer, logits, chosen.Experts);
        return chosen;
    }
}
