using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;

namespace DeepSeekR1.Models.Architectures;

/// <summary>Llama 3 (DeepSeek-R1-Distill-Llama): grouped-query attention, dense MLP.</summary>
public sealed class Llama(ModelConfig config, RankContext rank) : CausalLm(config, rank)
{
    /// <inheritdoc/>
    protected override DecoderLayer BuildLayer(int index, string prefix) => new(
        Config,
        Rank,
        prefix,
        new GqaAttention(Config, Rank, index, $"{prefix}.self_attn"),
        new GatedMlp(Rank, $"{prefix}.mlp", Config.HiddenSize, Config.IntermediateSize, Config.MlpBias));
}
