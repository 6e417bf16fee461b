using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Testing;
using DeepSeekR1.Training.Grpo;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>The policy loss in float32 against goldens/grpo, and what the goldens cannot show.</summary>
public class PolicyLossTests
{
    private static readonly Lazy<JsonElement[]> Vectors = new(() =>
        [.. JsonDocument.Parse(File.ReadAllText(Goldens.At("grpo", "vectors.json"))).RootElement.GetProperty("losses").EnumerateArray()]);

    public static TheoryData<string> Names => Goldens.Missing is null ? [.. Vectors.Value.Select(v => v.GetProperty("name").GetString()!)] : ["missing"];

    [GoldenTheory]
    [MemberData(nameof(Names))]
    public void Compute_GoldenVector_LossGradientAndMetrics(string name)
    {
        var vector = Vectors.Value.Single(v => v.GetProperty("name").GetString() == name);
        var expected = vector.GetProperty("expected");
        using var scope = NewDisposeScope();
        var logp = Matrix(vector, "logp_new")!.requires_grad_();
        using var result = PolicyLoss.Compute(Batch(vector, logp), Options(vector));
        result.Loss.backward();

        Close(expected.GetProperty("loss").GetDouble(), result.Loss.item<float>(), "loss");
        var gradient = logp.grad!.data<float>().ToArray();
        var reference = Flat(expected.GetProperty("gradient"));
        Assert.Equal(reference.Length, gradient.Length);
        for (int i = 0; i < gradient.Length; i++)
            Close(reference[i], gradient[i], $"gradient {i}");
        foreach (var (golden, metric) in new[] { ("mean_ratio", "ratio/mean"), ("mean_kl", "kl"), ("clip_fraction_low", "clip_ratio/low_mean"),
            ("clip_fraction_high", "clip_ratio/high_mean"), ("clip_fraction", "clip_ratio/region_mean") })
            if (expected.TryGetProperty(golden, out var value))
                Close(value.GetDouble(), result.Metrics[result.Metrics.ContainsKey(metric) ? metric : "cispo_clip_ratio"], golden);
        if (expected.TryGetProperty("importance_weights", out var weights))
            Close(Flat(weights).Sum() / logp.numel(), result.Metrics["sampling/importance_sampling_ratio/mean"] * Flat(vector.GetProperty("mask")).Sum() / logp.numel(), "weights");
    }

    /// <summary>Masked positions may hold anything, also what breaks arithmetic: not a bit of loss and gradient may change.</summary>
    [GoldenTheory]
    [MemberData(nameof(Names))]
    public void Compute_GarbageUnderTheMask_ChangesNothing(string name)
    {
        var vector = Vectors.Value.Single(v => v.GetProperty("name").GetString() == name);
        using var scope = NewDisposeScope();
        foreach (float garbage in new[] { 1e30f, float.NaN, float.NegativeInfinity })
        {
            var (loss, gradient) = Run(vector, null);
            var (dirtyLoss, dirtyGradient) = Run(vector, garbage);
            Assert.Equal(loss, dirtyLoss);
            Assert.Equal(gradient, dirtyGradient);
        }
    }

    [Theory]
    [InlineData(1.5, 1, -1.2, null)]
    [InlineData(1.5, -1, 1.5, null)]
    [InlineData(0.5, 1, -0.5, null)]
    [InlineData(0.5, -1, 0.8, null)]
    [InlineData(1.5, -1, 1.3, 1.3)]
    public void Compute_OneToken_IsTheClippedObjective(double ratio, double advantage, double expected, double? delta)
    {
        using var scope = NewDisposeScope();
        var options = PolicyLossOptions.Named("grpo") with { Delta = delta };
        using var result = PolicyLoss.Compute(One(Math.Log(ratio), advantage), options);
        Assert.Equal(expected, result.Loss.item<float>(), 1e-6);
    }

    [Theory]
    [InlineData(0.1, 0.00517092)]
    [InlineData(-0.1, 0.00483742)]
    [InlineData(1, 0.71828183)]
    public void Compute_KlOfOneToken_IsK3(double gap, double expected)
    {
        using var scope = NewDisposeScope();
        var batch = One(0, 0) with { ReferenceLogProbs = tensor(new[,] { { (float)gap } }) };
        using var result = PolicyLoss.Compute(batch, PolicyLossOptions.Named("grpo") with { Beta = 1 });
        Assert.Equal(expected, result.Loss.item<float>(), 1e-6);
        Assert.Equal(expected, result.Metrics["kl"], 1e-6);
    }

    [Fact]
    public void Compute_SequenceRatio_IsTheGeometricMean()
    {
        using var scope = NewDisposeScope();
        var batch = new PolicyBatch
        {
            NewLogProbs = tensor(new[,] { { 0.1f, -0.2f, 0.3f } }),
            OldLogProbs = zeros(1, 3),
            Mask = ones(1, 3),
            Advantages = ones(1),
        };
        using var result = PolicyLoss.Compute(batch, PolicyLossOptions.Named("gspo") with { Epsilon = 10, EpsilonHigh = 10 });
        Assert.Equal(1.06893911, result.Metrics["ratio/mean"], 1e-6);
        Assert.Equal(-1.06893911, result.Loss.item<float>(), 1e-6);
    }

    /// <summary>Cut into k micro-batches with the counts of the whole, the gradient is the whole batch's; bnpo's is not, by definition.</summary>
    [Theory]
    [InlineData("grpo", true)]
    [InlineData("dapo", true)]
    [InlineData("dr_grpo", true)]
    [InlineData("gspo", true)]
    [InlineData("gspo_token", true)]
    [InlineData("cispo", true)]
    [InlineData("bnpo", false)]
    public void Compute_MicroBatches_SumToTheWholeBatch(string variant, bool exact)
    {
        using var scope = NewDisposeScope();
        var options = PolicyLossOptions.Named(variant) with { MaxCompletionLength = 6, Beta = 0.05 };
        var whole = Random(seed: 5, rows: 6, columns: 6);
        var logp = whole.NewLogProbs.detach().requires_grad_();
        PolicyLoss.Compute(whole with { NewLogProbs = logp }, options).Loss.backward();
        float[] reference = [.. logp.grad!.data<float>()];
        foreach (int parts in new[] { 2, 3, 6 })
        {
            var cut = whole.NewLogProbs.detach().requires_grad_();
            for (int i = 0, size = 6 / parts; i < parts; i++)
                PolicyLoss.Compute(Slice(whole, cut, i * size, size), options).Loss.backward();
            double worst = reference.Zip(cut.grad!.data<float>().ToArray(), (a, b) => Math.Abs(a - b)).Max();
            Assert.True(exact ? worst < 1e-7 : worst > 1e-4, $"{variant}, {parts} parts: {worst}");
        }
    }

    /// <summary>Two tokens, reward on one of them: whatever is wrong in sign, mask or ratio shows here.</summary>
    [Theory]
    [InlineData("grpo")]
    [InlineData("bnpo")]
    [InlineData("dapo")]
    [InlineData("dr_grpo")]
    [InlineData("gspo")]
    [InlineData("cispo")]
    public void Compute_TwoTokenBandit_IsSolved(string variant)
    {
        var options = PolicyLossOptions.Named(variant) with { MaxCompletionLength = 1 };
        var random = new Random(11);
        using var logits = new TorchSharp.Modules.Parameter(tensor(new[] { 1f, -1f }));
        using var optimizer = optim.SGD([logits], 0.5);
        double good = 0;
        for (int step = 0; step < 400 && good <= 0.99; step++)
        {
            using var scope = NewDisposeScope();
            double p = Good(logits);
            var picks = Enumerable.Range(0, 16).Select(_ => random.NextDouble() < p ? 1L : 0L).ToArray();
            var advantages = Advantages.Of([.. picks.Select(pick => (double?)pick)], 16);
            var logp = nn.functional.log_softmax(logits, 0).index_select(0, tensor(picks)).unsqueeze(1);
            var batch = new PolicyBatch { NewLogProbs = logp, Mask = ones(16, 1), Advantages = tensor(advantages.Values).to(ScalarType.Float32) };
            optimizer.zero_grad();
            PolicyLoss.Compute(batch, options).Loss.backward();
            optimizer.step();
            good = Good(logits);
        }

        Assert.True(good > 0.99, $"p = {good}");
    }

    [Fact]
    public void Compute_OffPolicyNegativeSequence_LosesItsGradient()
    {
        using var scope = NewDisposeScope();
        var logp = tensor(new[,] { { -2f, -2f }, { -2f, -2f }, { -0.1f, -0.1f } }).requires_grad_();
        var batch = new PolicyBatch
        {
            NewLogProbs = logp,
            OldLogProbs = full(3, 2, Scalars.Of(-0.5)),
            Mask = ones(3, 2),
            Advantages = tensor(new[] { -1f, 1f, -1f }),
        };
        PolicyLoss.Compute(batch, PolicyLossOptions.Named("cispo") with { OffPolicyMaskThreshold = 1 }).Loss.backward();
        var gradient = logp.grad!.data<float>().ToArray();
        Assert.Equal([0f, 0f], gradient[..2]);
        Assert.All(gradient[2..], g => Assert.NotEqual(0, g));
    }

    [Fact]
    public void Compute_TopEntropyTokens_KeepTheirGradientAlone()
    {
        using var scope = NewDisposeScope();
        var logp = zeros(1, 5).requires_grad_();
        var batch = new PolicyBatch
        {
            NewLogProbs = logp,
            Mask = tensor(new[,] { { 1f, 1f, 1f, 1f, 0f } }),
            Advantages = ones(1),
            Entropy = tensor(new[,] { { 0.1f, 2f, 0.2f, 1f, 9f } }),
        };
        PolicyLoss.Compute(batch, PolicyLossOptions.Named("dapo") with { TopEntropyQuantile = 0.5 }).Loss.backward();
        Assert.Equal([0f, -0.25f, 0f, -0.25f, 0f], logp.grad!.data<float>().ToArray());
    }

    [Fact]
    public void Compute_TwoHundredTimes_KeepsNoTensor()
    {
        var batch = Random(seed: 3, rows: 2, columns: 3);
        var options = PolicyLossOptions.Named("dapo") with { Beta = 0.1 };
        long before = 0;
        for (int i = 0; i < 200; i++)
        {
            using var result = PolicyLoss.Compute(batch, options);
            if (i == 20)
                before = Tensor.TotalCount;
        }

        Assert.InRange(Tensor.TotalCount - before, -100, 5);
    }

    [Fact]
    public void Compute_WhatDoesNotFit_IsRefusedByName()
    {
        var batch = Random(seed: 1, rows: 2, columns: 3);
        Assert.Contains("max_completion_length", Assert.Throws<ArgumentException>(() => PolicyLoss.Compute(batch, PolicyLossOptions.Named("dr_grpo"))).Message);
        Assert.Contains("ReferenceLogProbs", Assert.Throws<ArgumentException>(
            () => PolicyLoss.Compute(batch with { ReferenceLogProbs = null }, new PolicyLossOptions { Beta = 0.1 })).Message);
        Assert.Contains("Mask", Assert.Throws<ArgumentException>(() => PolicyLoss.Compute(batch with { Mask = ones(3, 2) }, new PolicyLossOptions())).Message);
        Assert.Contains("epsilon", Assert.Throws<ArgumentException>(() => PolicyLoss.Compute(batch, new PolicyLossOptions { Epsilon = 0 })).Message);
        Assert.Contains("ppo", Assert.Throws<ArgumentException>(() => PolicyLossOptions.Named("ppo")).Message);
    }

    private static double Good(Tensor logits)
    {
        using var scope = NewDisposeScope();
        return nn.functional.softmax(logits.detach(), 0)[1].item<float>();
    }

    private static PolicyBatch One(double logRatio, double advantage) => new()
    {
        NewLogProbs = tensor(new[,] { { (float)logRatio } }),
        OldLogProbs = zeros(1, 1),
        Mask = ones(1, 1),
        Advantages = tensor(new[] { (float)advantage }),
    };

    private static PolicyBatch Random(int seed, long rows, long columns)
    {
        var random = new Random(seed);
        Tensor Numbers(double scale) => tensor(Enumerable.Range(0, (int)(rows * columns)).Select(_ => (float)(scale * random.NextDouble() - 0.5)).ToArray()).reshape(rows, columns);
        var mask = new float[rows * columns];
        for (int i = 0; i < mask.Length; i++)
            mask[i] = i % columns < 1 + i / columns % columns ? 1 : 0;
        return new PolicyBatch
        {
            NewLogProbs = Numbers(1),
            OldLogProbs = Numbers(1),
            ReferenceLogProbs = Numbers(1),
            Mask = tensor(mask).reshape(rows, columns),
            Advantages = Numbers(2).select(1, 0),
        };
    }

    private static PolicyBatch Slice(PolicyBatch whole, Tensor logp, int start, int size) => new()
    {
        NewLogProbs = logp.narrow(0, start, size),
        OldLogProbs = whole.OldLogProbs!.narrow(0, start, size),
        ReferenceLogProbs = whole.ReferenceLogProbs!.narrow(0, start, size),
        Mask = whole.Mask.narrow(0, start, size),
        Advantages = whole.Advantages.narrow(0, start, size),
        GlobalActiveTokens = (long)whole.Mask.sum().item<float>(),
        GlobalSequences = whole.Mask.shape[0],
    };

    private static (float Loss, float[] Gradient) Run(JsonElement vector, float? garbage)
    {
        var keep = Matrix(vector, "mask")!.ne(Scalars.Of(0L));
        Tensor? Dirty(Tensor? values) => values is null || garbage is not { } dirt ? values : where(keep, values, full_like(values, dirt.ToScalar()));
        var logp = Dirty(Matrix(vector, "logp_new"))!.requires_grad_();
        var clean = Batch(vector, logp);
        var batch = clean with
        {
            OldLogProbs = Dirty(clean.OldLogProbs),
            ReferenceLogProbs = Dirty(clean.ReferenceLogProbs),
            SamplerLogProbs = Dirty(clean.SamplerLogProbs),
        };
        var result = PolicyLoss.Compute(batch, Options(vector));
        result.Loss.backward();
        return (result.Loss.item<float>(), logp.grad!.data<float>().ToArray());
    }

    private static PolicyBatch Batch(JsonElement vector, Tensor logp) => new()
    {
        NewLogProbs = logp,
        OldLogProbs = Matrix(vector, "logp_old"),
        ReferenceLogProbs = Matrix(vector, "logp_ref"),
        SamplerLogProbs = Matrix(vector, "logp_sampler"),
        Mask = Matrix(vector, "mask")!,
        Advantages = tensor(Flat(vector.GetProperty("advantages")).Select(v => (float)v).ToArray()),
        GlobalActiveTokens = Number(vector.GetProperty("params"), "global_active_tokens") is { } tokens ? (long)tokens : null,
    };

    private static PolicyLossOptions Options(JsonElement vector)
    {
        var p = vector.GetProperty("params");
        var mode = p.GetProperty("importance_mode").GetString();
        return PolicyLossOptions.Named(vector.GetProperty("variant").GetString()!) with
        {
            Epsilon = Number(p, "epsilon_low")!.Value,
            EpsilonHigh = Number(p, "epsilon_high"),
            EpsilonMax = Number(p, "epsilon_max") ?? 5,
            Delta = Number(p, "delta"),
            Beta = Number(p, "beta")!.Value,
            KlTimesRatio = p.GetProperty("kl_times_ratio").GetBoolean(),
            MaxCompletionLength = (int?)Number(p, "max_completion_length"),
            ImportanceMode = mode is null ? SamplerCorrection.None : JsonSerializer.Deserialize<SamplerCorrection>($"\"{mode}\""),
            ImportanceCap = Number(p, "importance_cap") ?? 3,
        };
    }

    private static Tensor? Matrix(JsonElement vector, string name)
    {
        var rows = vector.GetProperty(name);
        return rows.ValueKind == JsonValueKind.Null
            ? null
            : tensor(Flat(rows).Select(v => (float)v).ToArray()).reshape(rows.GetArrayLength(), -1);
    }

    private static double? Number(JsonElement element, string name)
        => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    private static double[] Flat(JsonElement element)
        => element.ValueKind == JsonValueKind.Array ? [.. element.EnumerateArray().SelectMany(Flat)] : [element.GetDouble()];

    private static void Close(double expected, double actual, string what)
        => Assert.True(Math.Abs(expected - actual) <= 1e-6 + 1e-5 * Math.Abs(expected), $"{what}: expected {expected:R}, got {actual:R}");
}
