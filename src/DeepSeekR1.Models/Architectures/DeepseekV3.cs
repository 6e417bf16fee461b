using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;
using DeepSeekR1.Models.Moe;

namespace DeepSeekR1.Models.Architectures;

/// <summary>DeepSeek-V3 and R1: latent attention, a few dense layers, then mixtures of experts.</summary>
public sealed class DeepseekV3(ModelConfig config, RankContext rank) : CausalLm(config, rank)
{
    /// <inheritdoc/>
    protected override DecoderLayer BuildLayer(int index, string prefix) => new(
        Config,
        Rank,
        prefix,
        new MlaAttention(Config, Rank, index, $"{prefix}.self_attn"),
        Config.IsMoeLayer(index)
            ? new MoeLayer(Config, Rank, index, $"{prefix}.mlp")
            : new GatedMlp(Rank, $"{prefix}.mlp", Config.HiddenSize, Config.IntermediateSize));
}
