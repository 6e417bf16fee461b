using DeepSeekR1.Compute;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Architectures;
using DeepSeekR1.Models.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Training;

/// <summary>Weights of the terms of <see cref="LanguageModelLoss"/>.</summary>
public sealed record LossOptions
{
    /// <summary>Weight of predicting the token after the next one (DeepSeek-V3 paper, equation 25); needs a model with its head.</summary>
    public double MtpWeight { get; init; }

    /// <summary>Weight of the sequence-wise balance of experts (equations 17 to 20); 0 leaves it out.</summary>
    public double BalanceWeight { get; init; }

    /// <summary>Teacher whose distributions are learned instead of the tokens; null learns the tokens.</summary>
    public Distillation? Distillation { get; init; }
}

/// <summary>What one micro-batch contributed.</summary>
/// <param name="Total">The number to differentiate: a scalar of the caller's scope.</param>
/// <param name="TokenSum">Sum over learned tokens of their cross entropy, or with a teacher of the divergence from it, in nats.</param>
/// <param name="MtpSum">The same for the head that predicts one token more.</param>
/// <param name="TargetCount">Learned tokens.</param>
/// <param name="Balance">The balance term, unweighted.</param>
public sealed record LossResult(Tensor Total, double TokenSum, double MtpSum, int TargetCount, double Balance);

/// <summary>Cross entropy of the learned tokens, or their divergence from a teacher, with the terms that DeepSeek-V3 adds.</summary>
public static class LanguageModelLoss
{
    /// <summary>
    /// Forward and loss of a micro-batch. The sum over its tokens is divided by the tokens of the whole step, so k micro-batches give the
    /// gradients of one batch.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="tokensOfStep">Learned tokens of all micro-batches of the step.</param>
    /// <param name="options">Weights of the terms.</param>
    /// <param name="load">Receives how often each expert was chosen; null when nobody asks.</param>
    /// <param name="checkpoints">
    /// Layers run through these, and whoever differentiates the total calls their backward pass afterwards; null keeps all activations.
    /// </param>
    public static LossResult Compute(
        CausalLm model, MicroBatch batch, long tokensOfStep, LossOptions options, ExpertLoad? load = null, ActivationCheckpoints? checkpoints = null)
    {
        tokensOfStep = Math.Max(1, tokensOfStep); // of nothing to learn the loss is 0, not 0 / 0
        var device = model.Rank.Device;
        var attention = new DenseAttention(model.Rank.Kernels, batch.Lengths, device);
        using var until = checkpoints is null ? attention : null;
        checkpoints?.Keep(attention);
        var balance = options.BalanceWeight > 0 ? new BalanceLoss(model.Config.Moe!.Rule.TopK, attention.Sequences) : null;
        double balanceWeight = options.BalanceWeight * batch.Targets.Length / tokensOfStep;
        var context = new ForwardContext(tensor(batch.Positions, ScalarType.Int64, device), attention)
        {
            RunLayer = checkpoints is null ? null : checkpoints.Run,
            ObserveRouterLogits = load is null && balance is null ? null : (layer, logits, experts) =>
            {
                if (checkpoints is not { IsReplaying: true })
                    load?.Add(layer, experts);
                balance?.Add(logits, experts);
            },
        };
        var ids = tensor(batch.Ids, ScalarType.Int64, device);
        var states = model.Forward(ids, context);
        using var factor = (1.0 / tokensOfStep).ToScalar();
        var sum = options.Distillation is { } distillation
            ? distillation.Loss(batch, Logits(model, states, batch.TargetRows))
            : CrossEntropy(model, states, batch.TargetRows, batch.Targets);
        var total = sum.mul(factor);
        double mtp = 0;
        if (options.MtpWeight > 0 && model is DeepseekV3 { Mtp: { } head } && Shift(batch) is { Rows.Length: > 0 } shifted)
        {
            // Row t of the head sees states up to t and tokens up to t + 1; it predicts token t + 2.
            var next = tensor(NextIds(batch), ScalarType.Int64, device);
            var mtpSum = CrossEntropy(model, head.Forward(next, states, context), shifted.Rows, shifted.Targets);
            using var weight = (options.MtpWeight / tokensOfStep).ToScalar();
            total = total.Plus(mtpSum.mul(weight));
            mtp = mtpSum.item<float>();
        }

        double balanceValue = 0;
        if (balance?.Total is { } term)
        {
            using var weight = balanceWeight.ToScalar();
            total = total.Plus(term.mul(weight));
            balanceValue = term.item<float>();

            // With checkpoints this term has a graph only when its layer is computed again.
            checkpoints?.AddLoss(() => balance.Take(balanceWeight));
            if (checkpoints is not null)
                balance.Take(1);
        }

        return new LossResult(total, sum.item<float>(), mtp, batch.Targets.Length, balanceValue);
    }

    /// <summary>Sum of -log p(target) over the named rows of states [T, hidden], in float32.</summary>
    private static Tensor CrossEntropy(CausalLm model, Tensor states, long[] rows, long[] targets)
        => nn.functional.cross_entropy(Logits(model, states, rows), tensor(targets, ScalarType.Int64, states.device), reduction: nn.Reduction.Sum);

    /// <summary>Logits [R, vocabulary] of the named rows of states [T, hidden].</summary>
    private static Tensor Logits(CausalLm model, Tensor states, long[] rows)
        => model.Logits(states.index_select(0, tensor(rows, ScalarType.Int64, states.device)));

    /// <summary>The token after every row; the last row of a sample repeats its own, and nobody looks at it.</summary>
    private static long[] NextIds(MicroBatch batch)
    {
        var next = new long[batch.Ids.Length];
        for (int i = 0; i < next.Length; i++)
            next[i] = batch.Ids[i + 1 < next.Length && batch.Positions[i + 1] != 0 ? i + 1 : i];
        return next;
    }

    /// <summary>Rows t for which token t + 2 is learned.</summary>
    private static (long[] Rows, long[] Targets) Shift(MicroBatch batch)
    {
        List<long> rows = [], targets = [];
        for (int i = 0; i < batch.TargetRows.Length; i++)
        {
            // The row before, if it belongs to the same sample.
            long row = batch.TargetRows[i] - 1;
            if (row < 0 || batch.Positions[row + 1] == 0)
                continue;
            rows.Add(row);
            targets.Add(batch.Targets[i]);
        }

        return ([.. rows], [.. targets]);
    }
}
