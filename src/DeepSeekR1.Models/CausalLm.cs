using DeepSeekR1.Compute;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;
using DeepSeekR1.Models.Moe;
using static TorchSharp.torch;

namespace DeepSeekR1.Models;

/// <summary>Attention and feed-forward with their norms, each added to the residual stream.</summary>
public sealed class DecoderLayer : IDisposable
{
    private readonly RmsNorm _attentionNorm, _feedForwardNorm;
    private readonly IAttention _attention;
    private readonly IFeedForward _feedForward;

    /// <summary>Declares the layer under a prefix such as <c>model.layers.0</c>.</summary>
    public DecoderLayer(ModelConfig config, RankContext rank, string prefix, IAttention attention, IFeedForward feedForward)
    {
        _attention = attention;
        _feedForward = feedForward;
        _attentionNorm = new RmsNorm(rank, $"{prefix}.input_layernorm", config.HiddenSize, config.RmsNormEps);
        _feedForwardNorm = new RmsNorm(rank, $"{prefix}.post_attention_layernorm", config.HiddenSize, config.RmsNormEps);
        Weights = [.. _attentionNorm.Weights, .. attention.Weights, .. _feedForwardNorm.Weights, .. feedForward.Weights];
    }

    /// <summary>What the checkpoint must hold.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; }

    /// <summary>States [T, hidden] to [T, hidden]; a fresh tensor.</summary>
    public Tensor Forward(Tensor x, ForwardContext context)
    {
        // What a layer makes on its way goes when the layer ends, not when the step does.
        using var scope = NewDisposeScope();
        using var attentionInput = _attentionNorm.Forward(x);
        using var attended = _attention.Forward(attentionInput, context);
        using var middle = x.Plus(attended);
        using var feedForwardInput = _feedForwardNorm.Forward(middle);
        if (_feedForward is MoeLayer moe)
            (moe.ObserveRouting, moe.ObserveRouterLogits) = (context.ObserveRouting, context.ObserveRouterLogits);
        using var output = _feedForward.Forward(feedForwardInput);
        return middle.Plus(output).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _attention.Dispose();
        _feedForward.Dispose();
        _attentionNorm.Dispose();
        _feedForwardNorm.Dispose();
    }
}

/// <summary>
/// A decoder-only language model on one rank: token ids in, states and logits out. Owns its weights. Everything about the step,
/// the cache included, comes in the context, so the model itself has no state between steps.
/// </summary>
public abstract class CausalLm : IDisposable
{
    private readonly Embedding _embedding;
    private readonly RmsNorm _norm;
    private readonly RotaryEmbedding _rope;
    private readonly List<DecoderLayer> _layers;

    /// <summary>Declares all layers; <see cref="Checkpoints.WeightLoader"/> fills them.</summary>
    protected CausalLm(ModelConfig config, RankContext rank)
    {
        Config = config;
        Rank = rank;
        _embedding = new Embedding(rank, config.VocabSize, config.HiddenSize, config.TieWordEmbeddings);
        _layers = [.. Enumerable.Range(0, config.NumLayers).Select(i => BuildLayer(i, $"model.layers.{i}"))];
        _norm = new RmsNorm(rank, "model.norm", config.HiddenSize, config.RmsNormEps);
        _rope = new RotaryEmbedding(config.Rope, rank.Device);
        Weights = [.. _embedding.Weights, .. _layers.SelectMany(l => l.Weights), .. _norm.Weights];
    }

    /// <summary>The model's description.</summary>
    public ModelConfig Config { get; }

    /// <summary>The rank that it is built on.</summary>
    public RankContext Rank { get; }

    /// <summary>Every checkpoint tensor that the model needs, in the order in which data flows.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; protected init; }

    /// <summary>Builds a model of the architecture that the configuration names; its weights are not loaded yet.</summary>
    public static CausalLm Create(ModelConfig config, RankContext rank) => config.Architecture switch
    {
        "DeepseekV3ForCausalLM" => new Architectures.DeepseekV3(config, rank),
        "Qwen2ForCausalLM" => new Architectures.Qwen2(config, rank),
        "Qwen3ForCausalLM" => new Architectures.Qwen3(config, rank),
        "LlamaForCausalLM" => new Architectures.Llama(config, rank),
        _ => throw new ArgumentException($"Unknown architecture {config.Architecture}.", nameof(config)),
    };

    /// <summary>One forward over all rows of a step: ids [T] int64 to states after the final norm [T, hidden].</summary>
    public Tensor Forward(Tensor ids, ForwardContext context)
    {
        using var rotation = _rope.At(context.Positions);
        var placed = context with { Rotation = rotation };
        var states = _embedding.Embed(ids);
        context.Observe?.Invoke(0, states);
        for (int i = 0; i < _layers.Count; i++)
        {
            Rank.Communicator.Tick();
            using var before = states;
            states = context.RunLayer is { } run ? run(before, Repeatable(_layers[i], context)) : _layers[i].Forward(before, placed);
            context.Observe?.Invoke(i + 1, states);
        }

        using (states)
            return _norm.Forward(states);
    }

    /// <summary>A layer that makes its own rotation, so that it can run again when the forward pass is over.</summary>
    private Func<Tensor, Tensor> Repeatable(DecoderLayer layer, ForwardContext context) => x =>
    {
        using var rotation = _rope.At(context.Positions);
        return layer.Forward(x, context with { Rotation = rotation });
    };

    /// <summary>Embeddings of ids [T] int64: [T, hidden].</summary>
    public Tensor Embed(Tensor ids) => _embedding.Embed(ids);

    /// <summary>cos and sin of positions [T] int64.</summary>
    internal Rotation RotationAt(Tensor positions) => _rope.At(positions);

    /// <summary>States [R, hidden] to logits [R, vocabulary] float32.</summary>
    public Tensor Logits(Tensor states) => _embedding.Logits(states);

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        _layers.ForEach(l => l.Dispose());
        _embedding.Dispose();
        _norm.Dispose();
        _rope.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Builds layer <paramref name="index"/>. Called during construction: use only <see cref="Config"/> and <see cref="Rank"/>.</summary>
    protected abstract DecoderLayer BuildLayer(int index, string prefix);
}
