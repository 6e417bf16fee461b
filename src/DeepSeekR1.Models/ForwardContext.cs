using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Layers;
using static TorchSharp.torch;

namespace DeepSeekR1.Models;

/// <summary>Which of the two equal forms of latent attention is computed.</summary>
public enum MlaForm
{
    /// <summary>The cheaper one per sequence: expanded for long chunks, absorbed for short ones.</summary>
    Auto,

    /// <summary>Keys and values are expanded from the latent for every head.</summary>
    Naive,

    /// <summary>The expansion is folded into query and output; attention runs on the latent.</summary>
    Absorbed,
}

/// <summary>One step's data besides the token ids. Made by the runner or trainer, read by layers.</summary>
/// <param name="Positions">Position of every row in its sequence: [T] int64.</param>
/// <param name="Attention">Where earlier tokens are found.</param>
public sealed record ForwardContext(Tensor Positions, AttentionBackend Attention)
{
    /// <summary>
    /// Runs a layer in place of the model, given its input [T, hidden] and the layer as a function, which may be called again later; null runs it plainly. The
    /// result is fresh. For recomputation of activations in training.
    /// </summary>
    public Func<Tensor, Func<Tensor, Tensor>, Tensor>? RunLayer { get; init; }

    /// <summary>Form of latent attention.</summary>
    public MlaForm MlaForm { get; init; } = MlaForm.Auto;

    /// <summary>Rotation of the step's positions; set by the model before its layers run.</summary>
    public Rotation? Rotation { get; init; }

    /// <summary>Called with (layer, states) after the embedding (0) and after every layer (i + 1); for tests and diagnosis.</summary>
    public Action<int, Tensor>? Observe { get; init; }

    /// <summary>Called with (layer, experts, weights) after every routing; for tests and diagnosis.</summary>
    public Action<int, Tensor, Tensor>? ObserveRouting { get; init; }

    /// <summary>Called with (layer, router logits [T, experts], experts [T, TopK]) at every routing; for balance losses and bias updates in training.</summary>
    public Action<int, Tensor, Tensor>? ObserveRouterLogits { get; init; }
}
