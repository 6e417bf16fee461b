using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Kernels.Sampling;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Scheduling;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Guides;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Compute;

/// <summary>One case of sampling/cases.json.</summary>
internal sealed record SamplingCase(string Name, float[] Logits, SamplingRow Row, int Sampled, JsonElement Expected)
{
    /// <summary>All cases.</summary>
    public static IReadOnlyList<SamplingCase> All { get; } = Read();

    private static List<SamplingCase> Read()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Goldens.At("sampling", "cases.json")));
        return [.. document.RootElement.GetProperty("cases").EnumerateArray().Select(c => Parse(c.Clone()))];
    }

    private static SamplingCase Parse(JsonElement element)
    {
        var p = element.GetProperty("params");
        var bias = p.GetProperty("logit_bias").EnumerateObject().ToList();
        var settings = new SamplingSettings
        {
            Temperature = p.GetProperty("temperature").GetSingle(),
            TopK = p.GetProperty("top_k").GetInt32(),
            TopP = p.GetProperty("top_p").GetSingle(),
            MinP = p.GetProperty("min_p").GetSingle(),
            TopLogprobs = element.GetProperty("top_logprobs").GetInt32(),
            RepetitionPenalty = p.GetProperty("repetition_penalty").GetSingle(),
            PresencePenalty = p.GetProperty("presence_penalty").GetSingle(),
            FrequencyPenalty = p.GetProperty("frequency_penalty").GetSingle(),
            BiasIds = [.. bias.Select(b => int.Parse(b.Name, CultureInfo.InvariantCulture))],
            Biases = [.. bias.Select(b => (float)Number(b.Value))],
        };
        int[] output = Ints(element.GetProperty("output_ids"));
        float[] logits = [.. element.GetProperty("logits").EnumerateArray().Select(e => (float)Number(e))];
        var tally = new TokenTally(Ints(element.GetProperty("prompt_ids")));
        foreach (int id in output)
            tally.Add(id);
        var row = new SamplingRow(settings, output.Length, Mask(GuideOf(p), output, logits.Length), settings.HasPenalties ? tally.Snapshot() : null);
        return new SamplingCase(element.GetProperty("name").GetString()!, logits, row, element.GetProperty("sampled").GetInt32(), element.GetProperty("expected"));
    }

    /// <summary>Masks are the guides' part: they are made as the text side makes them for a request.</summary>
    private static ITokenGuide? GuideOf(JsonElement p) => GuideChain.Of(
        p.GetProperty("allowed_token_ids") is { ValueKind: JsonValueKind.Array } allowed ? new AllowedTokensGuide(Ints(allowed)) : null,
        p.GetProperty("bad_words") is var words && words.GetArrayLength() > 0 ? new BadWordsGuide([.. words.EnumerateArray().Select(Ints)]) : null,
        p.GetProperty("min_tokens").GetInt32() is var least and > 0 ? new MinTokensGuide(least, Ints(p.GetProperty("stop_token_ids"))) : null);

    private static uint[]? Mask(ITokenGuide? guide, int[] output, int vocabulary)
    {
        foreach (int id in output)
            guide?.Accept(id);
        uint[] mask = [.. Enumerable.Repeat(uint.MaxValue, TokenMask.Words(vocabulary))];
        return guide?.Mask(mask) ?? false ? mask : null;
    }

    public static int[] Ints(JsonElement element) => [.. element.EnumerateArray().Select(e => e.GetInt32())];

    public static double Number(JsonElement element)
        => element.ValueKind == JsonValueKind.String ? double.Parse(element.GetString()!, CultureInfo.InvariantCulture) : element.GetDouble();
}

/// <summary>The sampler against the reference distributions (sampling/README.md has order and tolerances), and its draws against chi-square.</summary>
public class SamplerTests
{
    private static readonly SamplingSettings Plain = new();

    private static SampledToken SampleRow(ReadOnlySpan<float> logits, SamplingRow row) => Sampler.SampleRow(logits, row);

    private static (int[] Ids, double[] Probabilities) Distribution(ReadOnlySpan<float> logits, SamplingRow row) => Sampler.Distribution(logits, row);

    private static SampledToken[] Sample(Tensor logits, params SamplingRow[] rows) => new TorchKernels().Sample(logits, new SamplingBatch(rows));

    /// <summary>A mask of what is allowed (null: everything) without what is forbidden.</summary>
    private static uint[] Mask(int[]? allowed, params int[] forbidden)
    {
        uint[] mask = [.. Enumerable.Repeat(uint.MaxValue, 80)];
        if (allowed is not null)
            TokenMask.KeepOnly(mask, allowed.AsSpan());
        foreach (int id in forbidden)
            TokenMask.Forbid(mask, id);
        return mask;
    }

    [GoldenFact]
    public void Cases_OfTheGoldens_AreAllFound()
    {
        Assert.Equal(121, SamplingCase.All.Count);
        Assert.Equal(6, SamplingCase.All.Count(c => c.Expected.GetProperty("tie").ValueKind == JsonValueKind.Object));
    }

    [GoldenFact]
    public void Apply_OfEveryCase_GivesTheReferenceLogits()
    {
        int compared = 0;
        foreach (var item in SamplingCase.All)
        {
            var expected = item.Expected.GetProperty("edited_logits");
            if (expected.ValueKind != JsonValueKind.Object)
                continue;
            var edited = new float[item.Logits.Length];
            LogitEdits.Apply(item.Logits, item.Row, edited);
            var wanted = item.Logits.Select(l => (double)l).ToArray();
            foreach (var change in expected.EnumerateObject())
                wanted[int.Parse(change.Name, CultureInfo.InvariantCulture)] = SamplingCase.Number(change.Value);
            for (int id = 0; id < edited.Length; id++)
                Assert.True(
                    edited[id] == wanted[id] || Math.Abs(edited[id] - wanted[id]) <= 1e-5 * Math.Abs(wanted[id]), $"{item.Name}: token {id} has {edited[id]}, expected {wanted[id]}");
            Assert.Equal(expected.EnumerateObject().Any() || item.Row.IsEdited, item.Row.IsEdited);
            compared++;
        }

        Assert.InRange(compared, 90, SamplingCase.All.Count);
    }

    [GoldenFact]
    public void Distribution_OfEveryCase_EqualsReference()
    {
        foreach (var item in SamplingCase.All)
        {
            var (ids, probabilities) = Distribution(item.Logits, item.Row);
            Assert.Equal(item.Expected.GetProperty("all_masked").GetBoolean(), ids.Length == 0);
            CheckKept(item, ids);
            var expected = item.Expected.GetProperty("probs").EnumerateArray().Select(e => e.GetDouble()).ToArray();
            for (int i = 0; i < ids.Length; i++)
                Assert.True(
                    Math.Abs(expected[i] - probabilities[i]) <= 1e-5 * expected[i] + 1e-7,
                    $"{item.Name}: token {ids[i]} has probability {probabilities[i]}, expected is {expected[i]}");
        }
    }

    private static void CheckKept(SamplingCase item, int[] ids)
    {
        var kept = SamplingCase.Ints(item.Expected.GetProperty("kept"));
        if (item.Expected.GetProperty("tie") is { ValueKind: JsonValueKind.Object } tie)
        {
            var free = SamplingCase.Ints(tie.GetProperty("ids"));
            Assert.True(ids.Intersect(free).Count() == tie.GetProperty("keep").GetInt32(), $"{item.Name}: of the tied ids {string.Join(", ", ids)} are kept");
            ids = [.. ids.Except(free)];
            kept = [.. kept.Except(free)];
        }

        Assert.True(kept.SequenceEqual(ids), $"{item.Name}: kept are {string.Join(", ", ids)}, expected {string.Join(", ", kept)}");
    }

    [GoldenFact]
    public void SampleRow_Greedy_TakesTheLowestOfEqualMaxima()
    {
        foreach (var item in SamplingCase.All)
        {
            var greedy = item.Row with { Settings = item.Row.Settings with { Temperature = 0 } };
            int token = SampleRow(item.Logits, greedy).TokenId;
            if (item.Expected.GetProperty("all_masked").GetBoolean())
            {
                Assert.Equal(-1, token);
                continue;
            }

            Assert.True(item.Expected.GetProperty("greedy").GetInt32() == token, $"{item.Name}: greedy is {token}");
            Assert.Equal(SamplingCase.Ints(item.Expected.GetProperty("greedy_ties"))[0], token);
        }
    }

    [GoldenFact]
    public void SampleRow_Logprobs_AreThoseOfTheRawLogits()
    {
        foreach (var item in SamplingCase.All)
        {
            // A mask of one id makes the sampler choose it; raw log-probabilities do not see masks.
            var plain = Plain with { TopLogprobs = item.Row.Settings.TopLogprobs };
            var forced = SampleRow(item.Logits, new SamplingRow(plain, 0, Mask([item.Sampled])));
            var raw = item.Expected.GetProperty("raw_sampled");
            double expected = SamplingCase.Number(raw.GetProperty("logprob"));
            if (double.IsNegativeInfinity(expected))
            {
                Assert.True(forced.Fault == SampleFault.NothingLeft, $"{item.Name}: a token of probability 0 was chosen");
                forced = SampleRow(item.Logits, new SamplingRow(plain with { Temperature = 0 }, 0));
            }
            else
            {
                Assert.Equal(item.Sampled, forced.TokenId);
                Assert.Equal(expected, forced.Logprob, 1e-5);
                Assert.True(raw.GetProperty("rank").GetInt32() == forced.Rank, $"{item.Name}: rank {forced.Rank}");
            }

            CheckTop(item, [.. forced.TopIds!.Zip(forced.TopLogprobs!, (id, logprob) => new TokenLogprob(id, logprob))]);
        }
    }

    private static void CheckTop(SamplingCase item, IReadOnlyList<TokenLogprob> top)
    {
        var expected = item.Expected.GetProperty("raw_top_logprobs").EnumerateArray()
            .Select(e => (Id: e.GetProperty("id").GetInt32(), Logprob: SamplingCase.Number(e.GetProperty("logprob")))).ToList();
        Assert.Equal(expected.Count, top.Count);
        Assert.Equal(top.Count, top.Select(t => t.TokenId).Distinct().Count());
        for (int i = 0; i < top.Count; i++)
        {
            var (actual, wanted) = (top[i], expected[i].Logprob);
            Assert.True(actual.Logprob == wanted || Math.Abs(actual.Logprob - wanted) <= 1e-5, $"{item.Name}: place {i} has {actual.Logprob}, expected {wanted}");

            // Equal values may come in any order, and any of them may be the last.
            Assert.True(
                item.Logits[actual.TokenId] == item.Logits[expected[i].Id], $"{item.Name}: place {i} is token {actual.TokenId}, expected {expected[i].Id}");
        }
    }

    [GoldenFact]
    public void SampleRow_SeededDraws_HaveTheReferenceFrequencies()
    {
        const int Draws = 6000;
        int tested = 0;
        foreach (var item in SamplingCase.All)
        {
            var (ids, probabilities) = Distribution(item.Logits, item.Row);
            if (item.Expected.GetProperty("tie").ValueKind == JsonValueKind.Null)
                (ids, probabilities) = (SamplingCase.Ints(item.Expected.GetProperty("kept")), [.. item.Expected.GetProperty("probs").EnumerateArray().Select(e => e.GetDouble())]);
            if (ids.Length <= 1)
                continue;
            tested++;
            var bare = item.Row.Settings with { TopLogprobs = null };
            foreach (var (axis, row) in new (string, Func<int, SamplingRow>)[]
            {
                ("position", i => item.Row with { Settings = bare with { Seed = 42 }, Position = i }),
                ("sample", i => item.Row with { Settings = bare with { Seed = 42, SampleIndex = i } }),
                ("seed", i => item.Row with { Settings = bare with { Seed = (ulong)i } }),
            })
            {
                var counts = ids.ToDictionary(id => id, _ => 0);
                for (int i = 0; i < Draws; i++)
                {
                    int token = SampleRow(item.Logits, row(i)).TokenId;
                    Assert.True(counts.ContainsKey(token), $"{item.Name}: drew token {token}, which is not kept");
                    counts[token]++;
                }

                var (statistic, limit) = ChiSquare([.. ids.Select(id => (double)counts[id])], [.. probabilities.Select(p => p * Draws)]);
                Assert.True(statistic <= limit, $"{item.Name} over {axis}: chi-square {statistic:0.0}, limit {limit:0.0}");
            }
        }

        Assert.Equal(87, tested);
    }

    /// <summary>Pearson's statistic with cells below 5 joined, and its limit at p = 1e-5 (Wilson and Hilferty 1931).</summary>
    private static (double Statistic, double Limit) ChiSquare(double[] observed, double[] expected)
    {
        const double Quantile = 4.265;
        var cells = observed.Zip(expected).OrderByDescending(c => c.Second).ToList();
        double statistic = 0, rareObserved = 0, rareExpected = 0;
        int used = 0;
        foreach (var (seen, wanted) in cells)
        {
            rareObserved += seen;
            rareExpected += wanted;
            if (rareExpected < 5)
                continue;
            statistic += (rareObserved - rareExpected) * (rareObserved - rareExpected) / rareExpected;
            used++;
            rareObserved = rareExpected = 0;
        }

        if (rareExpected > 0)
            statistic += (rareObserved - rareExpected) * (rareObserved - rareExpected) / Math.Max(rareExpected, 1);
        double freedom = Math.Max(1, used);
        double root = 1 - 2 / (9 * freedom) + Quantile * Math.Sqrt(2 / (9 * freedom));
        return (statistic, freedom * root * root * root);
    }

    [Fact]
    public void Uniform_OfNeighbouringKeys_IsIndependent()
    {
        const int Side = 16, Draws = 40000;
        foreach (var (axis, key) in new (string, Func<int, double>)[]
        {
            ("position", i => Sampler.Uniform(7, 0, i)),
            ("sample", i => Sampler.Uniform(7, i, 3)),
            ("seed", i => Sampler.Uniform((ulong)i, 0, 0)),
        })
            foreach (int distance in new[] { 1, 2, 16 })
            {
                var cells = new double[Side * Side];
                for (int i = 0; i < Draws; i++)
                    cells[(int)(key(i) * Side) * Side + (int)(key(i + distance) * Side)]++;
                var (statistic, limit) = ChiSquare(cells, [.. cells.Select(_ => Draws / (double)(Side * Side))]);
                Assert.True(statistic <= limit, $"{axis} at distance {distance}: chi-square {statistic:0}, limit {limit:0}");
            }

        // The two indices do not mix: (1, 0) and (0, 1) are other keys, as are (a, b) and (b, a) in general.
        var all = new HashSet<double>();
        for (int sample = 0; sample < 50; sample++)
            for (int position = 0; position < 50; position++)
                Assert.True(all.Add(Sampler.Uniform(7, sample, position)), $"sample {sample}, position {position} repeats another key's number");
    }

    [Fact]
    public void Distribution_OfRandomLogits_EqualsSortedReference()
    {
        var random = new Random(11);
        for (int round = 0; round < 60; round++)
        {
            double spread = new[] { 0.01, 1, 5, 30 }[round % 4];
            float[] logits = [.. Enumerable.Range(0, 9000).Select(_ => (float)(spread * (random.NextDouble() + random.NextDouble() + random.NextDouble())))];
            var parameters = Plain with
            {
                Temperature = new[] { 0.3f, 1, 2 }[round % 3],
                TopK = new[] { 0, 50, 4097, 8999 }[random.Next(4)],
                TopP = new[] { 1, 0.99f, 0.95f, 0.5f, 0.01f }[random.Next(5)],
                MinP = new[] { 0, 0.001f, 0.2f }[random.Next(3)],
            };
            var (ids, probabilities) = Distribution(logits, new SamplingRow(parameters, 0));
            var (sorted, expected, doubtful) = Reference(logits, parameters);

            // A token whose place relative to a cut float32 cannot decide may go either way.
            Assert.True(ids.Except(sorted).Concat(sorted.Except(ids)).All(doubtful.Contains), $"{parameters}: {ids.Length} kept, expected {sorted.Length}");
            if (!ids.SequenceEqual(sorted))
                continue;
            for (int i = 0; i < ids.Length; i++)
                Assert.True(Math.Abs(expected[i] - probabilities[i]) <= 1e-5 * expected[i] + 1e-7, $"{parameters}: token {ids[i]}");
        }
    }

    /// <summary>min_p, top_k and top_p in double precision by sorting everything; also the ids within 1e-5 of a cut.</summary>
    private static (int[] Ids, double[] Probabilities, HashSet<int> Doubtful) Reference(float[] logits, SamplingSettings parameters)
    {
        double max = logits.Max();
        var all = logits.Select((l, id) => (Id: id, Logit: l, Weight: Math.Exp((l - max) / parameters.Temperature))).OrderBy(t => t.Weight).ToList();
        var doubtful = all.Where(t => Math.Abs(t.Weight - parameters.MinP) <= 1e-5 * parameters.MinP).Select(t => t.Id).ToHashSet();
        var kept = all.Where(t => t.Weight >= parameters.MinP).ToList();
        if (parameters.TopK > 0 && parameters.TopK < kept.Count)
            kept = kept.Where(t => t.Logit >= kept[^parameters.TopK].Logit).ToList();
        if (parameters.TopP < 1)
        {
            double total = kept.Sum(t => t.Weight), sum = 0, budget = 1 - parameters.TopP;
            int cut = 0;
            for (int i = 0; i < kept.Count - 1; i++)
            {
                sum += kept[i].Weight / total;
                if (Math.Abs(sum - budget) < 1e-5)
                    doubtful.Add(kept[i].Id);
                if (sum <= budget)
                    cut = i + 1;
            }

            kept = kept[cut..];
        }

        double rest = kept.Sum(t => t.Weight);
        var ordered = kept.OrderBy(t => t.Id).ToList();
        return ([.. ordered.Select(t => t.Id)], [.. ordered.Select(t => t.Weight / rest)], doubtful);
    }

    [GoldenFact]
    public void Sample_WhateverTheNeighbours_GivesTheSameToken()
    {
        var cases = SamplingCase.All.Where(c => c.Logits.Length == 64).ToList();
        Assert.Equal(26, cases.Count);
        var alone = cases.ConvertAll(c => SampleRow(c.Logits, c.Row));
        var random = new Random(5);
        for (int round = 0; round < 50; round++)
        {
            var order = Enumerable.Range(0, cases.Count).OrderBy(_ => random.Next()).Take(1 + random.Next(cases.Count)).ToArray();
            using var logits = tensor(order.SelectMany(i => cases[i].Logits).ToArray(), [order.Length, 64]);
            var sampled = Sample(logits, [.. order.Select(i => cases[i].Row)]);
            for (int i = 0; i < order.Length; i++)
            {
                Assert.True(alone[order[i]].TokenId == sampled[i].TokenId, $"{cases[order[i]].Name} in row {i} of {order.Length}");
                Assert.Equal(alone[order[i]].Logprob, sampled[i].Logprob);
            }
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Sample_RowThatIsNotNumbers_EndsThatRowOnly(float bad)
    {
        float[] good = [1, 3, 2, 0];
        foreach (int place in Enumerable.Range(0, good.Length))
            foreach (float temperature in new[] { 0f, 1f })
                foreach (var filter in new[] { Plain, Plain with { TopK = 2 }, Plain with { TopP = 0.5f }, Plain with { MinP = 0.1f, TopLogprobs = 2 } })
                {
                    var parameters = filter with { Temperature = temperature };
                    float[] broken = [.. good];
                    broken[place] = bad;
                    using var logits = tensor(good.Concat(broken).Concat(good).ToArray(), [3, good.Length]);
                    var sampled = Sample(logits, [.. Enumerable.Range(0, 3).Select(i => new SamplingRow(parameters, i))]);
                    Assert.Equal(-1, sampled[1].TokenId);
                    Assert.Equal(SampleFault.NotNumbers, sampled[1].Fault);
                    foreach (int i in new[] { 0, 2 })
                    {
                        Assert.Equal(SampleFault.None, sampled[i].Fault);
                        Assert.Equal(SampleRow(good, new SamplingRow(parameters, i)).TokenId, sampled[i].TokenId);
                    }
                }
    }

    [Fact]
    public void Sample_WithNoTokenLeft_EndsThatRowOnly()
    {
        float[] row = [1, 3, 2, 0];
        using var logits = tensor(row.Concat(row).Concat(row).Concat(row).ToArray(), [4, 4]);
        foreach (float temperature in new[] { 0f, 1f })
        {
            var parameters = Plain with { Temperature = temperature, TopLogprobs = 1 };
            var sampled = Sample(
                logits,
                new SamplingRow(parameters, 0, Mask([])),
                new SamplingRow(parameters, 0, Mask([2])),
                new SamplingRow(parameters, 0, Mask([2], 2)),
                new SamplingRow(parameters, 0, Mask(null, 0, 1, 3)));
            Assert.Equal([-1, 2, -1, 2], sampled.Select(s => s.TokenId));
            foreach (int i in new[] { 0, 2 })
                Assert.Equal(SampleFault.NothingLeft, sampled[i].Fault);
        }
    }

    [Fact]
    public void Sample_IdsOutsideTheVocabularyInMasks_AreIgnored()
    {
        float[] row = [1, 3, 2, 0];
        var sampled = SampleRow(row, new SamplingRow(Plain with { Temperature = 0 }, 0, Mask([-1, 0, 2, 4, int.MaxValue], -5, 2, 99)));
        Assert.Equal(0, sampled.TokenId);
    }

    [Fact]
    public void Sample_RowsThatDoNotFitTheLogits_AreRefused()
    {
        using var logits = tensor(new float[80], [2, 40]);
        var row = new SamplingRow(Plain, 0);
        Assert.Contains("descriptions", Assert.Throws<ArgumentException>(() => Sample(logits, row)).Message, StringComparison.Ordinal);
        Assert.Contains("mask of row 1", Assert.Throws<ArgumentException>(() => Sample(logits, row, row with { Mask = [1] })).Message, StringComparison.Ordinal);
        Assert.Contains("Row 0", Assert.Throws<ArgumentException>(() => Sample(logits, row with { Counts = new TokenCounts([1], []) }, row)).Message, StringComparison.Ordinal);
    }
}
