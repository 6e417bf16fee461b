using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Attention;

/// <summary>
/// The paged cache of one rank. Grouped-query attention keeps keys and values [slots, G, D] per layer; latent attention keeps
/// one row [slots, 1, latent + rope] and nothing expanded. Slot = block * block size + offset.
/// </summary>
public sealed class KvCache : IDisposable
{
    private readonly Tensor[] _keys;
    private readonly Tensor[] _values;

    /// <summary>Allocates the cache. Not cleared: a slot is always written before it is read, and pages nobody writes cost nothing.</summary>
    /// <param name="config">The model.</param>
    /// <param name="rank">Device and type.</param>
    /// <param name="numBlocks">Number of blocks.</param>
    /// <param name="blockSize">Tokens per block.</param>
    /// <param name="mtpLayers">Further layers after the model's, for multi-token prediction.</param>
    public KvCache(ModelConfig config, RankContext rank, int numBlocks, int blockSize, int mtpLayers = 0)
    {
        BlockSize = blockSize;
        NumBlocks = numBlocks;
        var (heads, width) = Layout(config, rank.WorldSize);
        long slots = (long)numBlocks * blockSize;
        Tensor Fresh() => empty([slots, heads, width], rank.Type, rank.Device).DetachFromDisposeScope();
        int layers = config.NumLayers + mtpLayers;
        _keys = [.. Enumerable.Range(0, layers).Select(_ => Fresh())];
        _values = config.Mla is null ? [.. Enumerable.Range(0, layers).Select(_ => Fresh())] : _keys;
        Bytes = slots * BytesPerToken(config, rank.WorldSize, rank.Type.ElementSize()) / config.NumLayers * layers;
    }

    /// <summary>Tokens per block.</summary>
    public int BlockSize { get; }

    /// <summary>Number of blocks.</summary>
    public int NumBlocks { get; }

    /// <summary>Bytes allocated.</summary>
    public long Bytes { get; }

    /// <summary>Keys of a layer [slots, G, D]; for latent attention the latent rows.</summary>
    public Tensor Keys(int layer) => _keys[layer];

    /// <summary>Values of a layer [slots, G, D]; for latent attention the same rows as the keys.</summary>
    public Tensor Values(int layer) => _values[layer];

    /// <summary>Bytes that one token takes in all layers of one rank.</summary>
    public static long BytesPerToken(ModelConfig config, int worldSize, int elementBytes)
    {
        var (heads, width) = Layout(config, worldSize);
        return (long)config.NumLayers * heads * width * elementBytes * (config.Mla is null ? 2 : 1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _keys.Concat(_values).Distinct<Tensor>(ReferenceEqualityComparer.Instance))
            tensor.Dispose();
    }

    /// <summary>Heads and width of one row. The latent is shared by all heads, so every rank keeps all of it.</summary>
    private static (int Heads, int Width) Layout(ModelConfig config, int worldSize) => config.Mla is { } mla
        ? (1, mla.LatentRank + mla.RopeWidth)
        : (Math.Max(1, config.NumKvHeads / worldSize), config.HeadDim);
}

/// <summary>Sizes of compute types.</summary>
internal static class ScalarTypeSizes
{
    /// <summary>Bytes of one element.</summary>
    public static int ElementSize(this ScalarType type) => type switch
    {
        ScalarType.Float32 => DType.Float32.Bytes(),
        _ => DType.BFloat16.Bytes(),
    };
}
