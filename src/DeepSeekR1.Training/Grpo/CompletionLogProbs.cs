using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Grpo;

/// <summary>The trainer's log-probabilities of sampled completions, padded to a rectangle.</summary>
/// <param name="LogProbs">[B, T], 0 at padding; with a graph unless gradients were off.</param>
/// <param name="Entropy">Entropy of the distribution at each position, in nats, [B, T], with a graph only when asked for.</param>
/// <param name="Mask">1 at completion tokens, [B, T] float32.</param>
public sealed record CompletionLogProbs(Tensor LogProbs, Tensor Entropy, Tensor Mask)
{
    /// <summary>One forward over whole sequences; logits only of the rows that predict completion tokens.</summary>
    /// <param name="model">The policy or the reference.</param>
    /// <param name="samples">B samples.</param>
    /// <param name="temperature">Divides the logits, as the sampler did.</param>
    /// <param name="load">Receives how often each expert was chosen; null when nobody asks.</param>
    /// <param name="checkpoints">Layers run through these, see <see cref="LanguageModelLoss.Compute"/>; null keeps all activations.</param>
    /// <param name="differentiateEntropy">Whether the entropy has a graph: for a bonus on it.</param>
    public static CompletionLogProbs Compute(
        CausalLm model, IReadOnlyList<Sample> samples, double temperature, ExpertLoad? load = null, ActivationCheckpoints? checkpoints = null, bool differentiateEntropy = false)
    {
        var device = model.Rank.Device;
        var batch = new MicroBatch([.. samples.Select(s => TrainingSample.Completion(s.PromptIds, s.CompletionIds))]);
        var attention = new DenseAttention(model.Rank.Kernels, batch.Lengths, device);
        using var until = checkpoints is null ? attention : null;
        checkpoints?.Keep(attention);
        var context = new ForwardContext(tensor(batch.Positions, ScalarType.Int64, device), attention)
        {
            RunLayer = checkpoints is null ? null : checkpoints.Run,
            ObserveRouterLogits = load is null ? null : (layer, _, experts) =>
            {
                if (checkpoints is not { IsReplaying: true })
                    load.Add(layer, experts);
            },
        };
        var states = model.Forward(tensor(batch.Ids, ScalarType.Int64, device), context);
        using var divisor = (1 / temperature).ToScalar();
        var logits = model.Logits(states.index_select(0, tensor(batch.TargetRows, ScalarType.Int64, device))).mul(divisor);
        var all = logits.log_softmax(-1);
        var flat = all.gather(1, tensor(batch.Targets, ScalarType.Int64, device).unsqueeze(1)).squeeze(1);
        Tensor entropy;
        using (differentiateEntropy ? null : no_grad())
            entropy = (all.exp() * all).sum([-1]).neg();
        int longest = samples.Max(s => s.CompletionIds.Length);
        var places = tensor(Places(samples, longest), ScalarType.Int64, device);
        Tensor Spread(Tensor values) => zeros([samples.Count * (long)longest], ScalarType.Float32, device).index_copy(0, places, values).view(samples.Count, longest);
        return new CompletionLogProbs(Spread(flat), Spread(entropy), Spread(ones_like(entropy, ScalarType.Float32)));
    }

    private static long[] Places(IReadOnlyList<Sample> samples, int longest)
    {
        var places = new List<long>();
        for (int b = 0; b < samples.Count; b++)
            for (int t = 0; t < samples[b].CompletionIds.Length; t++)
                places.Add((long)b * longest + t);
        return [.. places];
    }
}
