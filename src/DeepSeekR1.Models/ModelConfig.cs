using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;

namespace DeepSeekR1.Models;

/// <summary>Kinds of rotary frequency scaling that are implemented.</summary>
public enum RopeKind
{
    /// <summary>No scaling.</summary>
    Plain,

    /// <summary>YaRN (Peng et al. 2023): interpolation per frequency band.</summary>
    Yarn,

    /// <summary>Llama 3.1's smoothed interpolation.</summary>
    Llama3,

    /// <summary>All frequencies divided by the factor.</summary>
    Linear,
}

/// <summary>Rotary embedding parameters (config fields rope_theta and rope_scaling or rope_parameters).</summary>
public sealed record RopeConfig
{
    /// <summary>Which scaling applies.</summary>
    public RopeKind Kind { get; init; } = RopeKind.Plain;

    /// <summary>Base of the frequencies (rope_theta).</summary>
    public required double Theta { get; init; }

    /// <summary>Width that is rotated, even.</summary>
    public required int Width { get; init; }

    /// <summary>True when pairs are neighbours (DeepSeek), false when they are half a width apart.</summary>
    public bool Interleaved { get; init; }

    /// <summary>Stretch of the context (factor).</summary>
    public double Factor { get; init; } = 1;

    /// <summary>Context before stretching (original_max_position_embeddings).</summary>
    public int OriginalContext { get; init; }

    /// <summary>YaRN: rotations above which a frequency stays.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>YaRN: rotations below which a frequency is fully interpolated.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>Llama 3: low_freq_factor.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>Llama 3: high_freq_factor.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>Divisor of each frequency, as GGUF files store Llama 3's scaling; null when the frequencies follow the rules above.</summary>
    public IReadOnlyList<float>? Divisors { get; init; }

    /// <summary>Factor on cos and sin, after all rules of attention_factor, attn_factor, mscale and mscale_all_dim.</summary>
    public double CosSinFactor { get; init; } = 1;

    /// <summary>Factor on the softmax scale (DeepSeek: square of the mscale of mscale_all_dim).</summary>
    public double SoftmaxFactor { get; init; } = 1;
}

/// <summary>Multi-head latent attention sizes (DeepSeek-V2 paper, section 2.1).</summary>
/// <param name="QueryRank">Width of the query latent (q_lora_rank); null projects queries directly.</param>
/// <param name="LatentRank">Width of the key-value latent (kv_lora_rank).</param>
/// <param name="NopeWidth">Width per head without rotation (qk_nope_head_dim).</param>
/// <param name="RopeWidth">Rotated width shared by all heads (qk_rope_head_dim).</param>
/// <param name="ValueWidth">Value width per head (v_head_dim).</param>
public sealed record MlaConfig(int? QueryRank, int LatentRank, int NopeWidth, int RopeWidth, int ValueWidth);

/// <summary>Mixture of experts (DeepSeek-V3 paper, section 2.1.2).</summary>
/// <param name="ExpertCount">Routed experts (n_routed_experts).</param>
/// <param name="SharedExperts">Shared experts, as one wider one (n_shared_experts).</param>
/// <param name="ExpertWidth">Inner width of one expert (moe_intermediate_size).</param>
/// <param name="FirstDenseLayers">Layers before the first MoE layer (first_k_dense_replace).</param>
/// <param name="Rule">How tokens choose.</param>
public sealed record MoeConfig(int ExpertCount, int SharedExperts, int ExpertWidth, int FirstDenseLayers, RoutingRule Rule);

/// <summary>
/// A decoder as config.json describes it, validated: a field combination that is not implemented never gets this far.
/// Immutable.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>architectures[0], for example DeepseekV3ForCausalLM.</summary>
    public required string Architecture { get; init; }

    /// <summary>Rows of embedding and output layer.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Inner width of dense MLPs.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int NumLayers { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumHeads { get; init; }

    /// <summary>Key-value heads (grouped-query attention); equals <see cref="NumHeads"/> for MLA.</summary>
    public required int NumKvHeads { get; init; }

    /// <summary>Width of one head (GQA).</summary>
    public required int HeadDim { get; init; }

    /// <summary>Epsilon of the RMS norms.</summary>
    public required double RmsNormEps { get; init; }

    /// <summary>Bias on q, k and v.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Bias on the attention output.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Bias in the MLPs.</summary>
    public bool MlpBias { get; init; }

    /// <summary>RMS norm on each query and key head (Qwen3).</summary>
    public bool QkNorm { get; init; }

    /// <summary>The output layer is the embedding.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>Context that the checkpoint declares, in tokens.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>Rotary embedding.</summary>
    public required RopeConfig Rope { get; init; }

    /// <summary>Latent attention; null for grouped-query attention.</summary>
    public MlaConfig? Mla { get; init; }

    /// <summary>Mixture of experts; null for dense models.</summary>
    public MoeConfig? Moe { get; init; }

    /// <summary>Multi-token prediction layers in the checkpoint after the decoder layers.</summary>
    public int NumMtpLayers { get; init; }

    /// <summary>Block sizes of FP8 weights (quantization_config.weight_block_size); null when weights are not FP8.</summary>
    public (int Rows, int Columns)? Fp8Block { get; init; }

    /// <summary>Format of the checkpoint's matrices: fp8, int8, nf4 or int4; null when they are dense.</summary>
    public string? QuantizationMethod { get; init; }

    /// <summary>Numbers that share a scale in int4 (quantization_config.group_size).</summary>
    public int QuantizationGroup { get; init; }

    /// <summary>Inputs from this magnitude on stay unrounded in dynamic int8 products (llm_int8_threshold); 0 for none.</summary>
    public float OutlierThreshold { get; init; }

    /// <summary>Type that the checkpoint declares (torch_dtype or dtype); null when it says nothing.</summary>
    public DType? DeclaredType { get; init; }

    /// <summary>Beginning-of-sequence id.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>End-of-sequence ids.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Refuses sizes that no machine could hold, before anything is declared with them.</summary>
    /// <param name="source">The file, for the message.</param>
    /// <exception cref="ModelLoadException">A size is beyond what is possible; the message names it, its value and the limit.</exception>
    public ModelConfig CheckSizes(string source)
    {
        const long Widest = 1 << 24, Layers = 4096, Experts = 65536, ExpertsInAll = 1 << 20;
        void AtMost(string field, long value, long limit)
        {
            if (value < 1 || value > limit)
                throw new ModelLoadException($"{source}: {field} is {value}; it must be between 1 and {limit}.");
        }

        AtMost("hidden_size", HiddenSize, Widest);
        AtMost("intermediate_size", IntermediateSize, Widest);
        AtMost("vocab_size", VocabSize, Widest);
        AtMost("num_hidden_layers", (long)NumLayers + NumMtpLayers, Layers);
        AtMost("num_attention_heads", NumHeads, Widest);
        AtMost("num_attention_heads x head_dim", (long)NumHeads * HeadDim, Widest);
        AtMost("num_key_value_heads x head_dim", (long)NumKvHeads * HeadDim, Widest);
        if (Mla is { } mla)
        {
            AtMost("q_lora_rank", mla.QueryRank ?? 1, Widest);
            AtMost("kv_lora_rank", mla.LatentRank, Widest);
            AtMost("num_attention_heads x (qk_nope_head_dim + v_head_dim)", NumHeads * ((long)mla.NopeWidth + mla.ValueWidth), Widest);
        }

        if (Moe is not { } moe)
            return this;
        AtMost("n_routed_experts", moe.ExpertCount, Experts);
        AtMost("n_routed_experts x num_hidden_layers", (long)moe.ExpertCount * NumLayers, ExpertsInAll);
        AtMost("moe_intermediate_size x n_shared_experts", (long)moe.ExpertWidth * Math.Max(1, moe.SharedExperts), Widest);
        return this;
    }

    /// <summary>Whether layer i has experts.</summary>
    public bool IsMoeLayer(int layer) => Moe is { } moe && layer >= moe.FirstDenseLayers;
}
