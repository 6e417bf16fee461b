using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;
using DeepSeekR1.Models.Moe;

namespace DeepSeekR1.Models.Architectures;

/// <summary>
/// DeepSeek-V3 and R1: latent attention, a few dense layers, then mixtures of experts; optionally the head that predicts one token
/// more.
/// </summary>
public sealed class DeepseekV3 : CausalLm
{
    /// <summary>Declares all layers, and the multi-token prediction head when it is wanted.</summary>
    public DeepseekV3(ModelConfig config, RankContext rank, bool withMtp = false)
        : base(config, rank)
    {
        if (!withMtp)
            return;
        if (config.NumMtpLayers < 1)
            throw new ArgumentException("The checkpoint has no multi-token prediction layer.", nameof(withMtp));
        Mtp = new MtpHead(this, BuildLayer(config.NumLayers, MtpHead.Prefix(config)));
        Weights = [.. Weights, .. Mtp.Weights];
    }

    /// <summary>The multi-token prediction head; null when it was not asked for.</summary>
    public MtpHead? Mtp { get; }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Mtp?.Dispose();
        base.Dispose();
    }

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
