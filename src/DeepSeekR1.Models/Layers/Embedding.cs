using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Layers;

/// <summary>
/// Both ends of the vocabulary: token embedding, and the output layer that turns states into logits (its own matrix, or the
/// embedding's when tied). Each rank holds a run of the vocabulary; runs differ by at most one row.
/// </summary>
public sealed class Embedding : IDisposable
{
    /// <summary>Hub name of the embedding.</summary>
    public const string EmbeddingName = "model.embed_tokens.weight";

    /// <summary>Hub name of the output layer.</summary>
    public const string HeadName = "lm_head.weight";

    private readonly RankContext _rank;
    private readonly int _vocabulary, _first, _count;
    private readonly Weight _table;
    private readonly Linear? _head;
    private Compute.Kernels.LinearWeight? _tiedHead;
    private int _tiedVersion;

    /// <summary>Declares both ends.</summary>
    public Embedding(RankContext rank, int vocabulary, int hidden, bool tied)
    {
        _rank = rank;
        _vocabulary = vocabulary;
        (_first, _count) = rank.Range(vocabulary);
        _table = new Weight(rank, [_count, hidden]);
        _head = tied ? null : Linear.ByOutputs(rank, [LinearPart.Split(rank, HeadName[..^".weight".Length], vocabulary)], hidden, quantizable: false);
        Weights = [new WeightSpec(EmbeddingName, [vocabulary, hidden], new(_first, _count, 0, hidden), _table), .. _head?.Weights ?? []];
    }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>ids [T] int64 to states [T, hidden].</summary>
    public Tensor Embed(Tensor ids)
    {
        if (_rank.WorldSize == 1)
            return _table.Value.index_select(0, ids);

        // Ids of other ranks read row 0 and are cleared; the sum over the ranks leaves the owner's row.
        using var local = ids.Plus(Scalars.Of(-(long)_first));
        using var below = local.lt(Scalars.Of(0L));
        using var above = local.ge(Scalars.Of((long)_count));
        using var foreign = below.logical_or(above);
        using var safe = local.masked_fill(foreign, Scalars.Of(0L));
        using var rows = _table.Value.index_select(0, safe);
        using var mask = foreign.unsqueeze(1);
        var states = rows.masked_fill(mask, Scalars.Of(0L));
        _rank.Communicator.AllReduce(states);
        return states;
    }

    /// <summary>States [R, hidden] to logits [R, vocabulary] float32, the same on every rank.</summary>
    public Tensor Logits(Tensor states)
    {
        var weight = _head?.Prepared ?? TiedHead();
        using var own = _rank.Kernels.Linear(states, weight, null);
        if (_rank.WorldSize == 1)
            return own.to(ScalarType.Float32, copy: true);

        // Collectives want equal shapes, so the shorter runs are padded and the padding is cut out again.
        int widest = (_vocabulary + _rank.WorldSize - 1) / _rank.WorldSize;
        using var wide = own.to(ScalarType.Float32);
        using var padded = nn.functional.pad(wide, [0, widest - _count]);
        using var all = _rank.Communicator.AllGather(padded);
        return _vocabulary == widest * _rank.WorldSize ? all.alias() : Unpad(all, widest);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _table.Dispose();
        _head?.Dispose();
        _tiedHead?.Dispose();
    }

    /// <summary>The embedding as an output layer: itself where kernels read dense weights, else a packed copy that follows its changes.</summary>
    private Compute.Kernels.LinearWeight TiedHead()
    {
        if (!_rank.Kernels.Packs(_table.Value.dtype))
            return new Compute.Kernels.LinearWeight(_table.Value, false);
        if (_tiedHead is null || _tiedVersion != _table.Version)
        {
            _tiedHead?.Dispose();
            (_tiedHead, _tiedVersion) = (_rank.Kernels.Prepare(_table.Value), _table.Version);
        }

        return _tiedHead;
    }

    private Tensor Unpad(Tensor all, int widest)
    {
        var runs = new List<Tensor>();
        for (int rank = 0; rank < _rank.WorldSize; rank++)
        {
            long first = (long)_vocabulary * rank / _rank.WorldSize, end = (long)_vocabulary * (rank + 1) / _rank.WorldSize;
            runs.Add(all.narrow(1, (long)rank * widest, end - first));
        }

        var joined = cat(runs, 1);
        runs.ForEach(run => run.Dispose());
        return joined;
    }
}
