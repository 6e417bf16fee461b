using DeepSeekR1.Models.Layers;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Attention;

/// <summary>
/// Multi-head latent attention (DeepSeek-V2 paper, section 2.1). The cache holds the normed latent and the one rotated key part
/// that all heads share. Two equal forms: naive expands keys and values for every head; absorbed folds the expansion into
/// query and output, so that attention runs on the latent as one key-value head.
/// </summary>
/// <remarks>
/// T rows, H heads of this rank, N nope width, P rope width, V value width, R latent rank, L context. kv_b_proj holds for each
/// head N rows for keys, then V rows for values.
/// </remarks>
public sealed class MlaAttention : IAttention
{
    /// <summary>The latent norms use this epsilon whatever rms_norm_eps says, as the published code does.</summary>
    private const double LatentNormEps = 1e-6;

    private readonly RankContext _rank;
    private readonly MlaConfig _mla;
    private readonly int _layer, _heads;
    private readonly bool _interleaved;
    private readonly double _scale;
    private readonly Linear? _queryDown;
    private readonly RmsNorm? _queryNorm;
    private readonly Linear _queryUp, _latentDown, _output;
    private readonly RmsNorm _latentNorm;
    private readonly Weight _latentUp;

    /// <summary>Declares the layer under a prefix such as <c>model.layers.0.self_attn</c>.</summary>
    public MlaAttention(ModelConfig config, RankContext rank, int layer, string prefix)
    {
        _rank = rank;
        _mla = config.Mla ?? throw new ArgumentException("The model has no latent attention.", nameof(config));
        _layer = layer;
        _heads = rank.Heads(config.NumHeads, config.NumHeads).Heads;
        int firstHead = rank.Rank * _heads;
        _interleaved = config.Rope.Interleaved;
        int queryWidth = _mla.NopeWidth + _mla.RopeWidth, upWidth = _mla.NopeWidth + _mla.ValueWidth;
        _scale = config.Rope.SoftmaxFactor / Math.Sqrt(queryWidth);
        int hidden = config.HiddenSize, queries = config.NumHeads * queryWidth;
        if (_mla.QueryRank is { } queryRank)
        {
            _queryDown = Linear.Replicated(rank, $"{prefix}.q_a_proj", hidden, queryRank);
            _queryNorm = new RmsNorm(rank, $"{prefix}.q_a_layernorm", queryRank, LatentNormEps);
            _queryUp = Linear.ByOutputs(rank, [new($"{prefix}.q_b_proj", queries, firstHead * queryWidth, _heads * queryWidth)], queryRank);
        }
        else
        {
            _queryUp = Linear.ByOutputs(rank, [new($"{prefix}.q_proj", queries, firstHead * queryWidth, _heads * queryWidth)], hidden);
        }

        _latentDown = Linear.Replicated(rank, $"{prefix}.kv_a_proj_with_mqa", hidden, _mla.LatentRank + _mla.RopeWidth);
        _latentNorm = new RmsNorm(rank, $"{prefix}.kv_a_layernorm", _mla.LatentRank, LatentNormEps);
        _latentUp = new Weight(rank, [(long)_heads * upWidth, _mla.LatentRank], WeightForm.Unpacked) { Quantizable = true };
        _output = Linear.ByInputs(
            rank, $"{prefix}.o_proj", config.NumHeads * _mla.ValueWidth, (firstHead * _mla.ValueWidth, _heads * _mla.ValueWidth), hidden);
        long upRows = (long)config.NumHeads * upWidth;
        Weights =
        [
            .. _queryDown?.Weights ?? [],
            .. _queryNorm?.Weights ?? [],
            .. _queryUp.Weights,
            .. _latentDown.Weights,
            .. _latentNorm.Weights,
            new WeightSpec(
                $"{prefix}.kv_b_proj.weight", [upRows, _mla.LatentRank], new(firstHead * upWidth, _heads * upWidth, 0, _mla.LatentRank), _latentUp),
            .. _output.Weights,
        ];
    }

    /// <inheritdoc/>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, ForwardContext context)
    {
        long rows = x.shape[0];
        var rotation = context.Rotation!;
        using var q = Queries(x); // [T, H, N + P]
        using var nope = q.narrow(-1, 0, _mla.NopeWidth);
        using var plainRope = q.narrow(-1, _mla.NopeWidth, _mla.RopeWidth);
        using var rope = _rank.Kernels.Rotate(plainRope, rotation.Cos, rotation.Sin, _interleaved);
        using var latent = LatentRows(x, rotation);
        context.Attention.StoreLatent(_layer, latent);
        using var mixed = Attend(nope, rope, context); // [T, H, V]
        using var flat = mixed.reshape(rows, _heads * _mla.ValueWidth);
        return _output.Forward(flat);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _queryDown?.Dispose();
        _queryNorm?.Dispose();
        _queryUp.Dispose();
        _latentDown.Dispose();
        _latentNorm.Dispose();
        _latentUp.Dispose();
        _output.Dispose();
    }

    private Tensor Queries(Tensor x)
    {
        if (_queryDown is null)
        {
            using var direct = _queryUp.Forward(x);
            return direct.view(x.shape[0], _heads, -1);
        }

        using var down = _queryDown.Forward(x);
        using var normed = _queryNorm!.Forward(down);
        using var up = _queryUp.Forward(normed);
        return up.view(x.shape[0], _heads, -1);
    }

    /// <summary>What the cache keeps of each row: normed latent, then the rotated shared key: [T, R + P].</summary>
    private Tensor LatentRows(Tensor x, Rotation rotation)
    {
        using var down = _latentDown.Forward(x);
        using var latent = down.narrow(-1, 0, _mla.LatentRank);
        using var normed = _latentNorm.Forward(latent);
        using var key = down.narrow(-1, _mla.LatentRank, _mla.RopeWidth);
        using var keyHead = key.unsqueeze(1);
        using var rotated = _rank.Kernels.Rotate(keyHead, rotation.Cos, rotation.Sin, _interleaved);
        using var rotatedKey = rotated.squeeze(1);
        return cat([normed, rotatedKey], -1);
    }

    /// <summary>Computes every sequence in its form and puts the rows back in order.</summary>
    private Tensor Attend(Tensor nope, Tensor rope, ForwardContext context)
    {
        if (context.Attention.HoldsWholeSequences && context.MlaForm != MlaForm.Absorbed)
            return AttendWhole(nope, rope, context.Attention);
        var sequences = context.Attention.Sequences;
        var naive = new List<int>();
        var absorbed = new List<int>();
        for (int i = 0; i < sequences.Count; i++)
            (ExpandsCheaper(sequences[i].QueryLength, context.MlaForm) ? naive : absorbed).Add(i);
        if (naive.Count == 0)
            return Absorbed(nope, rope, absorbed, context.Attention);
        var parts = new Tensor[sequences.Count];
        ExpandAll(nope, rope, naive, context.Attention, parts);
        foreach (int i in absorbed)
        {
            using var ownNope = nope.narrow(0, sequences[i].QueryStart, sequences[i].QueryLength);
            using var ownRope = rope.narrow(0, sequences[i].QueryStart, sequences[i].QueryLength);
            parts[i] = Absorbed(ownNope, ownRope, [i], context.Attention);
        }

        if (parts.Length == 1)
            return parts[0];
        var joined = cat(parts);
        foreach (var part in parts)
            part.Dispose();
        return joined;
    }

    /// <summary>
    /// Expanding costs R (N + V) per context row and head once; attention on latents costs 2 R - N - V more per query and context row.
    /// </summary>
    private bool ExpandsCheaper(int queries, MlaForm form) => form switch
    {
        MlaForm.Naive => true,
        MlaForm.Absorbed => false,
        _ => (long)queries * (2 * _mla.LatentRank - _mla.NopeWidth - _mla.ValueWidth) > (long)_mla.LatentRank * (_mla.NopeWidth + _mla.ValueWidth),
    };

    /// <summary>
    /// The naive form: the latents of all its sequences are expanded in one product, then each sequence attends densely.
    /// </summary>
    private void ExpandAll(Tensor nope, Tensor rope, List<int> sequences, AttentionBackend backend, Tensor[] results)
    {
        var latents = sequences.ConvertAll(i => backend.Latent(_layer, i));
        using var all = latents.Count == 1 ? latents[0].alias() : cat(latents);
        latents.ForEach(l => l.Dispose());
        var (k0, v0) = Expand(all);
        using var keys = k0;
        using var values = v0;
        using var queries = cat([nope, rope], -1);
        long start = 0;
        foreach (int i in sequences)
        {
            var sequence = backend.Sequences[i];
            using var q = queries.narrow(0, sequence.QueryStart, sequence.QueryLength);
            using var k = keys.narrow(0, start, sequence.ContextLength);
            using var v = values.narrow(0, start, sequence.ContextLength);
            results[i] = _rank.Kernels.DenseAttention(q, k, v, _scale);
            start += sequence.ContextLength;
        }
    }

    /// <summary>Every sequence is whole: the step's own latents are expanded, and the backend attends to all of them at once.</summary>
    private Tensor AttendWhole(Tensor nope, Tensor rope, AttentionBackend backend)
    {
        using var latent = backend.AllLatents(_layer);
        var (k, v) = Expand(latent);
        using (k)
        using (v)
        {
            using var queries = cat([nope, rope], -1);
            return backend.Attend(_layer, queries, k, v, _scale);
        }
    }

    /// <summary>Latent rows [L, R + P] to keys [L, H, N + P] and values [L, H, V].</summary>
    private (Tensor Keys, Tensor Values) Expand(Tensor latents)
    {
        using var compressed = latents.narrow(-1, 0, _mla.LatentRank);
        using var product = _rank.Kernels.Linear(compressed, _latentUp.Prepared, null);
        using var expanded = product.view(latents.shape[0], _heads, -1); // [L, H, N + V]
        using var shared = latents.narrow(-1, _mla.LatentRank, _mla.RopeWidth);
        using var sharedKey = shared.unsqueeze(1).expand(-1, _heads, -1);
        using var keyNope = expanded.narrow(-1, 0, _mla.NopeWidth);
        return (cat([keyNope, sharedKey], -1), expanded.narrow(-1, _mla.NopeWidth, _mla.ValueWidth));
    }

    /// <summary>The absorbed form for the rows of the named sequences: [t, H, V].</summary>
    private Tensor Absorbed(Tensor nope, Tensor rope, IReadOnlyList<int> sequences, AttentionBackend backend)
    {
        // One copy serves both forms. Quantized, it is decoded for the time of the call: as cheap as reading a dense one.
        using var dense = _rank.Kernels.ToDense(_latentUp.Prepared, nope.dtype);
        using var up = dense.view(_heads, -1, _mla.LatentRank); // [H, N + V, R]
        using var keyUp = up.narrow(1, 0, _mla.NopeWidth);
        using var valueUp = up.narrow(1, _mla.NopeWidth, _mla.ValueWidth).transpose(1, 2); // [H, R, V]
        using var nopeByHead = nope.transpose(0, 1);
        using var folded = nopeByHead.bmm(keyUp).transpose(0, 1); // [t, H, R]
        using var q = cat([folded, rope], -1);
        using var mixed = backend.AttendLatent(_layer, q, sequences, _mla.LatentRank, _scale); // [t, H, R]
        using var mixedByHead = mixed.transpose(0, 1);
        using var values = mixedByHead.bmm(valueUp);
        return values.transpose(0, 1);
    }
}
