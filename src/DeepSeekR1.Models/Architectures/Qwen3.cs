using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;

namespace DeepSeekR1.Models.Architectures;

/// <summary>Qwen3 (DeepSeek-R1-0528-Qwen3-8B): grouped-query attention with a norm on every query and key head; dense MLP.</summary>
public sealed class Qwen3(ModelConfig config, RankContext rank) : CausalLm(config, rank)
{
    /// <inheritdoc/>
    protected override DecoderLayer BuildLayer(int index, string prefix) => new(
        Config,
        Rank,
        prefix,
        new GqaAttention(Config, Rank, index, $"{prefix}.self_attn"),
        new GatedMlp(Rank, $"{prefix}.mlp", Config.HiddenSize, Config.IntermediateSize, Config.MlpBias));
}
