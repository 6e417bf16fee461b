using System.Diagnostics;
using System.Text.Json;
using DeepSeekR1.Evaluation.Grading;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Evaluation.Grading;

/// <summary>The grader against goldens/grading.</summary>
public class GradingGoldenTests
{
    /// <summary>Pairs whose verdict differs from the golden, by id and profile; more than 1 % would fail the test as well.</summary>
    private static readonly string[] Misses = [];

    [GoldenFact]
    public void IsEquivalent_Pairs_HaveTheirVerdict()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Goldens.At("grading", "pairs.json")));
        var misses = new List<string>();
        int verdicts = 0;
        foreach (var pair in document.RootElement.EnumerateArray())
        {
            string gold = pair.GetProperty("gold").GetString()!, answer = pair.GetProperty("answer").GetString()!;
            bool? expected = Verdict(pair, "equivalent");
            bool? strict = pair.TryGetProperty("equivalent_strict", out _) ? Verdict(pair, "equivalent_strict") : expected;
            foreach (var (profile, wanted) in new[] { (GraderProfile.Lenient, expected), (GraderProfile.Strict, strict) })
            {
                bool actual = MathGrader.IsEquivalent(gold, answer, profile);
                if (wanted is null)
                    continue;
                verdicts++;
                if (actual != wanted)
                    misses.Add($"{pair.GetProperty("id")} {profile}: {Short(gold)} and {Short(answer)} should be {wanted}");
            }
        }

        Assert.Equal(Misses, misses);
        Assert.True(verdicts > 700);
    }

    [GoldenFact]
    public void Extract_Responses_FindTheAnswer()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Goldens.At("grading", "extraction.json")));
        var misses = new List<string>();
        foreach (var item in document.RootElement.EnumerateArray())
        {
            string response = item.GetProperty("response").GetString()!, name = item.GetProperty("name").GetString()!;
            var template = Enum.Parse<AnswerTemplate>(item.GetProperty("template").GetString()!, ignoreCase: true);
            string? strict = item.GetProperty("extracted").GetString();
            Check(name, strict, MathGrader.Extract(response, template, GraderProfile.Strict));
            if (item.TryGetProperty("extracted_eval", out var lenient))
                Check(name + " (lenient)", lenient.GetString(), MathGrader.Extract(response, template, GraderProfile.Lenient));
            else if (strict is not null)
                Check(name + " (lenient)", strict, MathGrader.Extract(response, template, GraderProfile.Lenient));
        }

        Assert.Empty(misses);

        void Check(string name, string? expected, string? actual)
        {
            if (expected?.Trim() != actual?.Trim())
                misses.Add($"{name}: '{expected}' expected, '{actual}' found");
        }
    }

    /// <summary>Towers, factorials, nesting: a verdict, soon, in little memory, on a thread with a small stack.</summary>
    [GoldenFact]
    public void IsEquivalent_HostilePairs_HaveAVerdictSoon()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Goldens.At("grading", "pairs.json")));
        foreach (var pair in document.RootElement.EnumerateArray().Where(p => p.GetProperty("kind").GetString() == "hostile"))
        {
            string gold = pair.GetProperty("gold").GetString()!, answer = pair.GetProperty("answer").GetString()!, name = pair.GetProperty("name").GetString()!;
            Hostile(name, gold, answer);
            Hostile(name + " reversed", answer, gold);
        }
    }

    /// <summary>Each verdict within 2 s and with less than 256 MB allocated, which bounds what is live.</summary>
    internal static void Hostile(string name, string gold, string answer)
    {
        foreach (var profile in Enum.GetValues<GraderProfile>())
        {
            var time = Stopwatch.StartNew();
            long allocated = 0;
            var thread = new Thread(() =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                MathGrader.IsEquivalent(gold, answer, profile);
                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            }, maxStackSize: 512 * 1024);
            thread.Start();
            Assert.True(thread.Join(TimeSpan.FromSeconds(20)), name);
            Assert.True(time.Elapsed < TimeSpan.FromSeconds(2), $"{name}: {profile} took {time.Elapsed}");
            Assert.True(allocated < 256_000_000, $"{name}: {profile} allocated {allocated / 1e6:0} MB");
        }
    }

    private static bool? Verdict(JsonElement pair, string name) => pair.GetProperty(name) is { ValueKind: not JsonValueKind.Null } value ? value.GetBoolean() : null;

    private static string Short(string text) => text.Length > 80 ? text[..80] + "..." : text;
}
