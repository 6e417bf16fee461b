using DeepSeekR1.Training.Grpo;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>
/// The policy loss in float64 against plain loops over numbers, written from the formulas of goldens/grpo, on random small batches of every combination of options. Gradients are
/// central differences of the loops with what is held constant (stop-gradient) frozen at its value.
/// </summary>
public class PolicyLossReferenceTests
{
    private static readonly string[] Variants = ["grpo", "bnpo", "dapo", "dr_grpo", "gspo", "gspo_token", "cispo"];

    [Fact]
    public void Compute_RandomBatchesAndOptions_EqualThePlainLoops()
    {
        for (int seed = 0; seed < 210; seed++)
        {
            var random = new Random(seed);
            var options = Options(random, Variants[seed % Variants.Length]);
            var data = new Data(random);
            using var scope = NewDisposeScope();
            var logp = Matrix(data.New).requires_grad_();
            using var result = PolicyLoss.Compute(data.Batch(logp), options);
            result.Loss.backward();

            var figures = new Dictionary<string, double>();
            Close(Loss(data, data.New, options, figures), result.Loss.item<double>(), 1e-10, $"seed {seed}: loss of {options}");
            foreach (var (name, value) in figures)
                Close(value, result.Metrics[name], 1e-10, $"seed {seed}: {name} of {options}");
            double[] gradient = logp.grad!.data<double>().ToArray();
            for (int i = 0; i < data.New.Length; i++)
                Close(Slope(data, options, i), gradient[i], 2e-7, $"seed {seed}: gradient {i} of {options}");
        }
    }

    [Fact]
    public void Advantages_RandomRewards_EqualThePlainLoops()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            int groups = random.Next(1, 4), size = random.Next(2, 5), ddof = seed % 2;
            double?[] Rewards() => [.. Enumerable.Range(0, groups * size)
                .Select(_ => random.NextDouble() < 0.2 ? (double?)null : random.NextDouble() < 0.3 ? 1 : random.NextDouble())];
            double?[] first = Rewards(), second = Rewards();
            foreach (var scale in Enum.GetValues<RewardScale>())
                Same(Scaled(first, size, scale, ddof), Advantages.Of(first, size, scale, ddof).Values);

            double[] a = Scaled(first, size, RewardScale.Group, ddof), b = Scaled(second, size, RewardScale.Group, ddof);
            double?[] sums = [.. first.Select((r, i) => r is null && second[i] is null ? (double?)null : (r is null ? 0 : 2 * a[i]) + (second[i] is null ? 0 : 0.5 * b[i]))];
            Same(Scaled(sums, sums.Length, RewardScale.Group, ddof), Advantages.NormalizeThenSum([first, second], [2, 0.5], size, ddof).Values);
        }

        static void Same(double[] expected, double[] actual)
        {
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i], 1e-10);
        }
    }

    private static double[] Scaled(double?[] rewards, int size, RewardScale scale, int ddof)
    {
        double Std(double?[] values)
        {
            double[] known = [.. values.OfType<double>()];
            return known.Length <= ddof ? 0 : Math.Sqrt(known.Sum(r => Math.Pow(r - known.Average(), 2)) / (known.Length - ddof));
        }

        return [.. rewards.Chunk(size).SelectMany(group => group.Select(r => r is not { } reward ? 0 : (reward - group.OfType<double>().Average())
            / (scale == RewardScale.None ? 1 : Std(scale == RewardScale.Batch ? rewards : group) + 1e-4)))];
    }

    private static PolicyLossOptions Options(Random random, string variant)
    {
        bool Maybe() => random.NextDouble() < 0.4;
        var named = PolicyLossOptions.Named(variant);
        return named with
        {
            Epsilon = Maybe() ? 0.05 : named.Epsilon,
            EpsilonHigh = Maybe() ? 0.1 : named.EpsilonHigh,
            EpsilonMax = Maybe() ? 1.2 : 5,
            Delta = variant != "cispo" && Maybe() ? 1.3 : null,
            Beta = Maybe() ? 0.3 : 0,
            KlTimesRatio = Maybe(),
            MaxCompletionLength = 7,
            ImportanceSamplingLevel = variant is "bnpo" or "dapo" && Maybe() ? (RatioLevel)random.Next(3) : named.ImportanceSamplingLevel,
            ImportanceMode = (SamplerCorrection)random.Next(5),
            ImportanceCap = Maybe() ? 1.1 : 3,
            OffPolicyMaskThreshold = Maybe() ? 0.05 : null,
            TopEntropyQuantile = Maybe() ? 0.5 : 1,
            EntropyCoefficient = Maybe() ? 0.2 : 0,
        };
    }

    private static double Slope(Data data, PolicyLossOptions options, int i)
    {
        const double H = 1e-6;
        double At(double h)
        {
            double[] moved = [.. data.New];
            moved[i] += h;
            return Loss(data, moved, options, null);
        }

        return (At(H) - At(-H)) / (2 * H);
    }

    /// <summary>Steps 1 to 6 of the README of goldens/grpo; data.New is the value of everything that is held constant.</summary>
    private static double Loss(Data d, double[] logp, PolicyLossOptions o, Dictionary<string, double>? figures)
    {
        double high = o.EpsilonHigh ?? o.Epsilon, sum = 0, active = d.Mask.Sum();
        double ratios = 0, klSum = 0, low = 0, up = 0, cispo = 0, weightSum = 0;
        double threshold = o.TopEntropyQuantile < 1 && active > 0
            ? d.Entropy.Where((_, i) => d.Mask[i] == 1).OrderDescending().ElementAt(Math.Max(1, (int)Math.Ceiling(o.TopEntropyQuantile * active)) - 1)
            : double.NegativeInfinity;
        for (int b = 0; b < Data.Rows; b++)
        {
            int[] row = [.. Enumerable.Range(b * Data.Columns, Data.Columns).Where(i => d.Mask[i] == 1)];
            double n = Math.Max(1, row.Length), A = d.Advantage[b];
            double Old(int i) => d.Old is { } old ? old[i] : d.New[i];
            double mean = row.Sum(i => logp[i] - Old(i)) / n, frozenMean = row.Sum(i => d.New[i] - Old(i)) / n;
            bool dropped = o.OffPolicyMaskThreshold is { } t && A < 0 && -frozenMean > t;
            double rowLoss = 0, rowWeight = row.Sum(i => Old(i) - (d.Sampler?[i] ?? 0));
            foreach (int i in row)
            {
                double Ratio(double[] values, double average) => Math.Exp(o.ImportanceSamplingLevel switch
                {
                    RatioLevel.Token => values[i] - Old(i),
                    RatioLevel.Sequence => average,
                    _ => frozenMean + values[i] - d.New[i],
                });
                double ratio = Ratio(logp, mean), frozen = Ratio(d.New, frozenMean);
                double loss = o.LossType == LossType.Cispo
                    ? -Math.Min(frozen, o.EpsilonMax) * A * logp[i]
                    : -Math.Min(Math.Min(ratio, o.Delta ?? double.PositiveInfinity) * A, Math.Clamp(ratio, 1 - o.Epsilon, 1 + high) * A);
                if (dropped || d.Entropy[i] < threshold)
                    loss = 0;
                if (d.Sampler is { } sampler && o.ImportanceMode != SamplerCorrection.None)
                {
                    double weight = Math.Exp(o.ImportanceMode is SamplerCorrection.TokenMask or SamplerCorrection.TokenTruncate ? Old(i) - sampler[i] : rowWeight);
                    weight = weight <= o.ImportanceCap ? weight : o.ImportanceMode is SamplerCorrection.TokenMask or SamplerCorrection.SequenceMask ? 0 : o.ImportanceCap;
                    loss *= weight;
                    weightSum += weight;
                }

                double gap = d.Reference[i] - logp[i], k3 = Math.Exp(gap) - gap - 1;
                loss += o.Beta * k3 * (o.KlTimesRatio ? ratio : 1) - o.EntropyCoefficient * d.Entropy[i];
                rowLoss += loss;
                klSum += k3;
                ratios += ratio;
                low += frozen < 1 - o.Epsilon && A < 0 ? 1 : 0;
                up += frozen > 1 + high && A > 0 ? 1 : 0;
                cispo += frozen > o.EpsilonMax && A > 0 ? 1 : 0;
            }

            sum += o.LossType == LossType.Grpo ? rowLoss / n : rowLoss;
        }

        if (figures is not null && o.ImportanceSamplingLevel != RatioLevel.Sequence)
        {
            figures["ratio/mean"] = ratios / Math.Max(1, active);
            if (o.LossType == LossType.Cispo)
                figures["cispo_clip_ratio"] = cispo / Math.Max(1, active);
            else
                (figures["clip_ratio/low_mean"], figures["clip_ratio/high_mean"], figures["clip_ratio/region_mean"]) = (low / Math.Max(1, active), up / Math.Max(1, active), (low + up) / Math.Max(1, active));
        }

        if (figures is not null)
            figures["kl"] = klSum / Math.Max(1, active);
        if (figures is not null && d.Sampler is not null && o.ImportanceMode != SamplerCorrection.None)
            figures["sampling/importance_sampling_ratio/mean"] = weightSum / Math.Max(1, active);
        double sequences = d.GlobalSequences ?? Data.Rows;
        return o.LossType switch
        {
            LossType.Grpo => sum / sequences,
            LossType.Bnpo => sum / Math.Max(1, active) * Data.Rows / sequences,
            LossType.DrGrpo => sum / (sequences * o.MaxCompletionLength!.Value),
            _ => sum / (d.GlobalTokens ?? Math.Max(1, active)),
        };
    }

    private static Tensor Matrix(double[] values) => tensor(values).reshape(Data.Rows, Data.Columns);

    private static void Close(double expected, double actual, double tolerance, string what)
        => Assert.True(Math.Abs(expected - actual) <= tolerance * (1 + Math.Abs(expected)), $"{what}: {expected:R} expected, {actual:R} found");

    /// <summary>Four completions of up to five tokens; one in three batches has an empty one, some are on-policy or without a sampler, some are parts of a larger batch.</summary>
    private sealed class Data
    {
        internal const int Rows = 4, Columns = 5;

        internal Data(Random random)
        {
            double[] Numbers(double middle, double width) => [.. Enumerable.Range(0, Rows * Columns).Select(_ => middle + width * (random.NextDouble() - 0.5))];
            New = Numbers(-1.5, 1);
            Old = random.NextDouble() < 0.8 ? [.. New.Select(x => x + 0.6 * (random.NextDouble() - 0.5))] : null;
            Reference = [.. New.Select(x => x + random.NextDouble() - 0.5)];
            Sampler = random.NextDouble() < 0.7 ? [.. (Old ?? New).Select(x => x + 0.3 * (random.NextDouble() - 0.5))] : null;
            Entropy = Numbers(1, 1);
            int[] lengths = [.. Enumerable.Range(0, Rows).Select(_ => random.Next(random.NextDouble() < 0.33 ? 0 : 1, Columns + 1))];
            Mask = [.. Enumerable.Range(0, Rows * Columns).Select(i => i % Columns < lengths[i / Columns] ? 1.0 : 0)];
            Advantage = [.. Enumerable.Range(0, Rows).Select(_ => random.NextDouble() < 0.15 ? 0 : 3 * (random.NextDouble() - 0.5))];
            if (random.NextDouble() < 0.5)
                (GlobalTokens, GlobalSequences) = ((long)Mask.Sum() + random.Next(1, 30), Rows + random.Next(8));
        }

        internal double[] New { get; }

        internal double[]? Old { get; }

        internal double[] Reference { get; }

        internal double[]? Sampler { get; }

        internal double[] Entropy { get; }

        internal double[] Mask { get; }

        internal double[] Advantage { get; }

        internal long? GlobalTokens { get; }

        internal long? GlobalSequences { get; }

        internal PolicyBatch Batch(Tensor logp) => new()
        {
            NewLogProbs = logp,
            OldLogProbs = Old is null ? null : Matrix(Old),
            ReferenceLogProbs = Matrix(Reference),
            SamplerLogProbs = Sampler is null ? null : Matrix(Sampler),
            Entropy = Matrix(Entropy),
            Mask = Matrix(Mask),
            Advantages = tensor(Advantage),
            GlobalActiveTokens = GlobalTokens,
            GlobalSequences = GlobalSequences,
        };
    }
}
