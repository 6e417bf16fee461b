using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>Token embedding, and the output layer that turns states into logits: its own matrix, or the embedding's (tied).</summary>
public sealed class Embedding : IDisposable
{
    /// <summary>Hub name of the embedding.</summary>
    public const string EmbeddingName = "model.embed_tokens.weight";

    /// <summary>Hub name of the output layer.</summary>
    public const string HeadName = "lm_head.weight";

    private readonly RankContext _rank;
    private readonly Weight _table;
    private readonly Linear? _head;
    private Compute.Kernels.LinearWeight? _tiedHead;

    /// <summary>Declares both ends of the vocabulary.</summary>
    public Embedding(RankContext rank, int vocabulary, int hidden, bool tied)
    {
        _rank = rank;
        _table = new Weight(rank, [vocabulary, hidden]);
        _head = tied ? null : Linear.Replicated(rank, HeadName[..^".weight".Length], hidden, vocabulary);
        Weights = [WeightSpec.Replicated(EmbeddingName, [vocabulary, hidden], _table), .. _head?.Weights ?? []];
    }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>ids [T] int64 to states [T, hidden].</summary>
    public Tensor Embed(Tensor ids) => _table.Value.index_select(0, ids);

    /// <summary>States [R, hidden] to logits [R, vocabulary] float32.</summary>
    public Tensor Logits(Tensor states)
    {
        // A tied head is the embedding in the kernels' form, made on first use: a second copy where the kernels pack.
        var weight = _head?.Prepared ?? (_tiedHead ??= _rank.Kernels.Prepare(_table.Value));
        using var logits = _rank.Kernels.Linear(states, weight, null);
        return logits.to(ScalarType.Float32, copy: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _table.Dispose();
        _head?.Dispose();
        _tiedHead?.Dispose();
    }
}
