using System.Text.Json;
using DeepSeekR1.Testing;
using DeepSeekR1.Training.Grpo;
using Xunit;

namespace DeepSeekR1.Tests.Training;

/// <summary>Advantages against goldens/grpo.</summary>
public class AdvantagesTests
{
    [GoldenFact]
    public void Of_GoldenVectors_AreEqual()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Goldens.At("grpo", "vectors.json")));
        var vectors = document.RootElement.GetProperty("advantages").EnumerateArray().ToArray();
        Assert.Equal(16, vectors.Length);
        foreach (var vector in vectors)
        {
            var actual = Compute(vector);
            var expected = vector.GetProperty("advantages").EnumerateArray().Select(v => v.GetDouble()).ToArray();
            Assert.Equal(expected.Length, actual.Values.Length);
            for (int i = 0; i < expected.Length; i++)
                Assert.True(Math.Abs(expected[i] - actual.Values[i]) < 1e-12, $"{vector.GetProperty("name")} {i}: {expected[i]} and {actual.Values[i]}");
            if (vector.TryGetProperty("frac_reward_zero_std", out var flat))
                Assert.Equal(flat.GetDouble(), actual.FracRewardZeroStd, 1e-12);
        }
    }

    [Fact]
    public void Of_ExcludedReward_StaysOutOfMeanAndSum()
    {
        var known = Advantages.Of([1, 0, 1], 3);
        var withNull = Advantages.Of([1, 0, null, 1], 4);
        Assert.Equal(known.Values, new[] { withNull.Values[0], withNull.Values[1], withNull.Values[3] });
        Assert.Equal(0, withNull.Values[2]);
        Assert.Equal(known.RewardMean, withNull.RewardMean);
    }

    [Fact]
    public void WeightedSum_FunctionThatKnowsNothing_HasNoSay()
    {
        double?[] sums = Advantages.WeightedSum([[1, null, null], [0.5, 0.5, null]], [2, 1]);
        Assert.Equal(new double?[] { 2.5, 0.5, null }, sums);
    }

    [Theory]
    [InlineData(5, 2, 1)]
    [InlineData(4, 0, 1)]
    [InlineData(4, 2, 2)]
    public void Of_NoWholeGroups_IsRefused(int count, int group, int ddof)
        => Assert.Throws<ArgumentException>(() => Advantages.Of(new double?[count], group, ddof: ddof));

    private static Advantages Compute(JsonElement vector)
    {
        int group = vector.GetProperty("group_size").GetInt32(), ddof = vector.GetProperty("ddof").GetInt32();
        double eps = vector.GetProperty("eps").GetDouble();
        string scale = vector.GetProperty("scale").GetString()!;
        if (scale == "gdpo")
            return Advantages.NormalizeThenSum([.. vector.GetProperty("reward_table").EnumerateArray().Select(Row)],
                [.. vector.GetProperty("weights").EnumerateArray().Select(w => w.GetDouble())], group, ddof, eps);
        return Advantages.Of(Row(vector.GetProperty("rewards")), group, JsonSerializer.Deserialize<RewardScale>($"\"{scale}\""), ddof, eps);
    }

    private static IReadOnlyList<double?> Row(JsonElement row)
        => [.. row.EnumerateArray().Select(v => v.ValueKind == JsonValueKind.Null ? (double?)null : v.GetDouble())];
}
