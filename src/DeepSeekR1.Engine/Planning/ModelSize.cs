using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Architectures;
using DeepSeekR1.Models.Attention;
using static TorchSharp.torch;

namespace DeepSeekR1.Engine.Planning;

/// <summary>
/// How large a model is, counted over the same weight declarations that the loader fills: nothing here is a formula of its own but
/// the bytes of one declaration.
/// </summary>
public sealed class ModelSize
{
    private const int Fp8Block = 128;
    private readonly ModelConfig _config;
    private readonly IReadOnlyList<WeightSpec> _weights;
    private readonly Dictionary<(int, ScalarType, string?, bool), RankWeights> _onRank = [];

    /// <summary>Declares the whole model; no memory is taken.</summary>
    public ModelSize(ModelConfig config)
    {
        TorchRuntime.Initialize();
        _config = config;
        using var model = CausalLm.Create(config, Rank(1, ScalarType.BFloat16));
        _weights = model.Weights;
        Parameters = _weights.Sum(s => s.Count);
        Groups = _weights.GroupBy(s => GroupOf(s.Name)).ToDictionary(g => g.Key, g => g.Sum(s => s.Count));
        TensorCount = _weights.Select(s => s.Name).Distinct().Count();
        ActiveParameters = config.Moe is { } moe
            ? Parameters - Groups["experts"] / moe.ExpertCount * (moe.ExpertCount - moe.Rule.TopK)
            : Parameters;
        if (config.NumMtpLayers == 0)
            return;
        using var withMtp = new DeepseekV3(config, Rank(1, ScalarType.BFloat16), withMtp: true);
        MtpWeights = withMtp.Mtp!.Weights;
        MtpParameters = MtpWeights.Sum(s => s.Count);
    }

    /// <summary>Parameters, the multi-token prediction layer not counted.</summary>
    public long Parameters { get; }

    /// <summary>Parameters that one token uses, embedding and head included.</summary>
    public long ActiveParameters { get; }

    /// <summary>Parameters by what they are for.</summary>
    public IReadOnlyDictionary<string, long> Groups { get; }

    /// <summary>Tensors in a checkpoint, scales not counted.</summary>
    public int TensorCount { get; }

    /// <summary>Parameters of the multi-token prediction layer without its copies of embedding and head.</summary>
    public long MtpParameters { get; }

    /// <summary>The same as the hub's files store it: with these copies.</summary>
    public long MtpStoredParameters => MtpParameters == 0 ? 0 : MtpParameters + EmbeddingAndHead;

    private IReadOnlyList<WeightSpec> MtpWeights { get; } = [];

    private long EmbeddingAndHead => 2L * _config.VocabSize * _config.HiddenSize;

    /// <summary>Bytes in checkpoint files, without headers.</summary>
    /// <param name="quantization">fp8, or null for 16 bits.</param>
    /// <param name="bytes">Bytes of a dense number.</param>
    public (long Weights, long Scales) FileBytes(string? quantization, int bytes = 2)
        => (_weights.Sum(s => FileBytes(s, quantization, bytes)), _weights.Sum(s => Scales(s, quantization)));

    /// <summary>Bytes of the multi-token prediction layer in checkpoint files.</summary>
    public long MtpFileBytes(string? quantization, int bytes = 2) => MtpWeights.Count == 0
        ? 0
        : MtpWeights.Sum(s => FileBytes(s, quantization, bytes) + Scales(s, quantization)) + bytes * EmbeddingAndHead;

    /// <summary>
    /// What the largest rank keeps in memory: matrices that linear layers multiply, everything else, quantized matrices. Of uneven
    /// splits the last rank has the larger parts.
    /// </summary>
    /// <param name="ranks">Number of ranks.</param>
    /// <param name="type">Compute type.</param>
    /// <param name="quantization">fp8, or null when nothing is quantized.</param>
    /// <param name="expertParallel">Whole experts per rank instead of a slice of each.</param>
    /// <exception cref="ModelLoadException">The model cannot be split over so many ranks.</exception>
    public RankWeights OnRank(int ranks, ScalarType type, string? quantization, bool expertParallel = false)
    {
        if (_onRank.TryGetValue((ranks, type, quantization, expertParallel), out var known))
            return known;
        using var model = CausalLm.Create(_config, Rank(ranks, type) with { ExpertParallel = expertParallel });
        long linear = 0, other = 0, quantized = 0, tied = 0, experts = 0;
        foreach (var spec in model.Weights.Where(s => !s.IsElsewhere))
        {
            long elements = spec.Slice.Rows * spec.Slice.Columns, dense = elements * (spec.Target.Type == ScalarType.Float32 ? 4 : 2), kept;
            if (quantization is not null && spec.Target.Quantizable)
                quantized += kept = elements + sizeof(float) * Blocks(spec.Slice.Row, spec.Slice.Rows) * Blocks(spec.Slice.Column, spec.Slice.Columns);
            else if (spec.Target.Form == WeightForm.Prepared)
                linear += kept = dense;
            else
                other += kept = dense;
            if (spec.Name.Contains(".experts.", StringComparison.Ordinal))
                experts += kept;
            if (_config.TieWordEmbeddings && spec.Name == Models.Layers.Embedding.EmbeddingName)
                tied = dense;
        }

        return _onRank[(ranks, type, quantization, expertParallel)] = new RankWeights(linear, other, quantized, tied, experts);
    }

    /// <summary>Whether the model's heads can be split over so many ranks.</summary>
    public bool CanSplit(int ranks) => RankContext.CanSplitHeads(_config.NumHeads, _config.Mla is null ? _config.NumKvHeads : _config.NumHeads, ranks);

    /// <summary>Cache bytes of one token on one rank.</summary>
    public long CacheBytesPerToken(int ranks, int bytes = 2) => KvCache.BytesPerToken(_config, ranks, bytes);

    private static long Scales(WeightSpec spec, string? quantization)
        => quantization is not null && spec.Target.Quantizable ? sizeof(float) * Blocks(0, spec.Shape[0]) * Blocks(0, spec.Shape[1]) : 0;

    private static long FileBytes(WeightSpec spec, string? quantization, int bytes)
    {
        // A router's bias is stored in float32, its matrix is not.
        bool wide = spec.Shape.Length == 1 && spec.Target.Type == ScalarType.Float32;
        return spec.Count * (quantization is not null && spec.Target.Quantizable ? 1 : wide ? 4 : bytes);
    }

    private static long Blocks(long first, long count) => (first + count - 1) / Fp8Block - first / Fp8Block + 1;

    private static RankContext Rank(int ranks, ScalarType type)
        => new(ranks == 1 ? new SingleRank() : new LocalGroup(ranks, TimeSpan.FromSeconds(1)).Members()[^1], new TorchKernels(), CPU, type);

    private static string GroupOf(string name) => name switch
    {
        Models.Layers.Embedding.EmbeddingName => "embedding",
        Models.Layers.Embedding.HeadName => "head",
        _ when name.EndsWith("e_score_correction_bias", StringComparison.Ordinal) => "router_bias",
        _ when name.EndsWith("mlp.gate.weight", StringComparison.Ordinal) => "router",
        _ when name.Contains(".shared_experts.", StringComparison.Ordinal) => "shared_experts",
        _ when name.Contains(".experts.", StringComparison.Ordinal) => "experts",
        _ when name.Contains(".mlp.", StringComparison.Ordinal) => "dense_mlp",
        _ when name.Contains(".self_attn.", StringComparison.Ordinal) => name.Contains("norm", StringComparison.Ordinal) ? "attention_norms" : "attention",
        _ => "norms",
    };
}

/// <summary>Weights of one rank in memory, bytes.</summary>
/// <param name="Linear">Dense matrices of linear layers; on x86 CPUs kept in a packed copy instead, of about this size.</param>
/// <param name="Other">Dense tensors of other layers.</param>
/// <param name="Quantized">Codes and scales.</param>
/// <param name="TiedHead">Packed copy of a tied embedding for the output layer, on CPUs, from the first request on.</param>
/// <param name="Experts">Part of the first three that belongs to routed experts.</param>
public sealed record RankWeights(long Linear, long Other, long Quantized, long TiedHead, long Experts)
{
    /// <summary>Sum without the tied head's copy.</summary>
    public long Total => Linear + Other + Quantized;
}
