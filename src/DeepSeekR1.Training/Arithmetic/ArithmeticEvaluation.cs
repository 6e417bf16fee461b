using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;
using DeepSeekR1.Training.Grpo;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Result on one held-out set.</summary>
/// <param name="Split">Name of the set.</param>
/// <param name="Count">Problems.</param>
/// <param name="Correct">Share whose box holds exactly the answer; of the refusals, the share that was refused.</param>
/// <param name="Format">Share with one closed thought, one box (none in a refusal) and an end.</param>
/// <param name="MeanTokens">Mean length of completions.</param>
/// <param name="Misses">Some wrong ones: question and completion.</param>
public sealed record SplitResult(string Split, int Count, double Correct, double Format, double MeanTokens, IReadOnlyList<(string Question, string Completion)> Misses)
{
    /// <summary>Standard error of <see cref="Correct"/>.</summary>
    public double StandardError => Math.Sqrt(Correct * (1 - Correct) / Count);
}

/// <summary>Runs the held-out sets through the serving engine and grades by the generator's own answers.</summary>
public static partial class ArithmeticEvaluation
{
    private const string Close = Dialect.ThinkClose;

    /// <summary>Runs sets, greedy or sampled.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="encoder">Tokenizer and template of its checkpoint.</param>
    /// <param name="splits">Names of <see cref="ArithmeticData.SplitNames"/>.</param>
    /// <param name="count">Problems of each.</param>
    /// <param name="seed">Seed of the problems.</param>
    /// <param name="temperature">0 is greedy.</param>
    /// <param name="report">Receives each set as it is done.</param>
    public static async Task<IReadOnlyList<SplitResult>> RunAsync(
        LlmEngine engine, SampleEncoder encoder, IReadOnlyList<string> splits, int count, long seed, double temperature = 0, Action<SplitResult>? report = null)
    {
        var results = new List<SplitResult>();
        foreach (var split in splits)
        {
            var problems = ArithmeticData.HeldOut(seed, split, count).ToList();
            var plan = new SamplingPlan(1, 640, (float)temperature, temperature > 0 ? 0.95f : 1, (ulong)seed);
            var groups = await Rollout.SampleAsync(engine, [.. problems.Select(p => encoder.Prompt(p.Turns))], [encoder.EndId], plan).ConfigureAwait(false);
            results.Add(Grade(split, problems, groups, encoder));
            report?.Invoke(results[^1]);
        }

        return results;
    }

    /// <summary>Results as a Markdown table.</summary>
    public static string Table(IReadOnlyList<SplitResult> results)
    {
        var text = new StringBuilder("| set | problems | correct | format | tokens |\n|---|---|---|---|---|\n");
        foreach (var r in results)
            text.Append(CultureInfo.InvariantCulture, $"| {r.Split} | {r.Count} | {100 * r.Correct:0.0} % ± {100 * r.StandardError:0.0} | {100 * r.Format:0.0} % | {r.MeanTokens:0} |\n");
        return text.ToString();
    }

    [GeneratedRegex(@"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")]
    private static partial Regex Box();

    private static SplitResult Grade(string split, List<Conversation> problems, IReadOnlyList<IReadOnlyList<Sample>> groups, SampleEncoder encoder)
    {
        int correct = 0, format = 0;
        var misses = new List<(string, string)>();
        for (int i = 0; i < problems.Count; i++)
        {
            string text = encoder.Tokenizer.Decode(groups[i][0].CompletionIds, skipSpecialTokens: true);
            var parts = text.Split(Close);
            var boxes = parts.Length == 2 ? Box().Matches(parts[1]) : Box().Matches("");
            bool formed = parts.Length == 2 && !groups[i][0].IsTruncated && boxes.Count == (problems[i].Answer is null ? 0 : 1);
            bool right = formed && (problems[i].Answer is { } answer ? boxes[0].Groups[1].Value == answer : SmallTalk.Refusals.Contains(parts[1].Trim()));
            correct += right ? 1 : 0;
            format += formed ? 1 : 0;
            if (!right && misses.Count < 5)
                misses.Add((problems[i].Turns[^1].Content, text));
        }

        return new SplitResult(split, problems.Count, (double)correct / problems.Count, (double)format / problems.Count, groups.Average(g => g[0].CompletionIds.Length), misses);
    }
}
