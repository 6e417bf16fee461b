using DeepSeekR1.Compute.Kernels.Sampling;
using Xunit;

namespace DeepSeekR1.Tests.Compute;

/// <summary>top_n_sigma against its formula: a token stays when its logit is at least max - n * sigma of the row's logits.</summary>
public sealed class TopNSigmaTests
{
    private const int Vocabulary = 1003;

    [Theory]
    [InlineData(0.5f, 1f)]
    [InlineData(1f, 0.3f)]
    [InlineData(1f, 2f)]
    [InlineData(2.5f, 1f)]
    [InlineData(100f, 1f)]
    public void Distribution_KeepsWhatTheFormulaKeeps(float n, float temperature)
    {
        float[] logits = Logits(seed: 7);
        logits[5] = logits[900] = float.NegativeInfinity;
        double[] counted = [.. logits.Where(l => !float.IsNegativeInfinity(l)).Select(l => (double)l)];
        double mean = counted.Average(), sigma = Math.Sqrt(counted.Average(l => (l - mean) * (l - mean))), least = counted.Max() - n * sigma;
        int[] kept = [.. Enumerable.Range(0, Vocabulary).Where(id => logits[id] >= least)];
        double[] weights = [.. kept.Select(id => Math.Exp((logits[id] - counted.Max()) / temperature))];

        var (ids, probabilities) = Sampler.Distribution(logits, Row(new SamplingSettings { TopNSigma = n, Temperature = temperature }));

        Assert.Equal(kept, ids);
        Assert.All(probabilities.Zip(weights), pair => Assert.Equal(pair.Second / weights.Sum(), pair.First, 1e-6));
    }

    [Fact]
    public void Distribution_WithTopP_CutsTheMassOfWhatIsKept()
    {
        float[] logits = Logits(seed: 8);
        var (all, before) = Sampler.Distribution(logits, Row(new SamplingSettings { TopNSigma = 1 }));
        var (ids, _) = Sampler.Distribution(logits, Row(new SamplingSettings { TopNSigma = 1, TopP = 0.5f }));

        // In ascending order of probability the tokens go whose running sum is at most 1 - p.
        double sum = 0;
        int[] dropped = [.. Enumerable.Range(0, all.Length).OrderBy(i => before[i]).TakeWhile(i => (sum += before[i]) <= 0.5).Select(i => all[i])];
        Assert.Equal(all.Except(dropped), ids);
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(-1f)]
    public void Distribution_ZeroOrLess_KeepsAll(float n)
        => Assert.Equal(Vocabulary, Sampler.Distribution(Logits(seed: 9), Row(new SamplingSettings { TopNSigma = n })).Ids.Length);

    /// <summary>Normal numbers times 2, by Box and Muller.</summary>
    private static float[] Logits(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Vocabulary).Select(_ => (float)(2 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    private static SamplingRow Row(SamplingSettings settings) => new(settings, 0);
}
