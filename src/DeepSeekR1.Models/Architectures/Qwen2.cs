using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;

namespace DeepSeekR1.Models.Architectures;

/// <summary>Qwen2 (DeepSeek-R1-Distill-Qwen): grouped-query attention with biases on q, k and v; dense MLP.</summary>
public sealed class Qwen2(ModelConfig config, RankContext rank) : CausalLm(config, rank)
{
    /// <inheritdoc/>
    protected override DecoderLayer BuildLayer(int index, string prefix) => new(
        Config,
        Rank,
        prefix,
        new GqaAttention(Config, Rank, index, $"{prefix}.self_attn"),
        new GatedMlp(Rank, $"{prefix}.mlp", Config.HiddenSize, Config.IntermediateSize, Config.MlpBias));
}
