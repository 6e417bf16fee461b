using DeepSeekR1.Evaluation.Grading;

namespace DeepSeekR1.Evaluation;

/// <summary>One sampled answer and its verdict, as it stands in the samples file.</summary>
public sealed record EvalSample
{
    /// <summary>Identifier of the problem.</summary>
    public required string Id { get; init; }

    /// <summary>Index among the samples of its problem.</summary>
    public required int Sample { get; init; }

    /// <summary>Category of the problem; null when it has none.</summary>
    public string? Category { get; init; }

    /// <summary>What the model wrote, its thought between think tags.</summary>
    public required string Response { get; init; }

    /// <summary>The extracted answer; null when there was none.</summary>
    public string? Answer { get; init; }

    /// <summary>The right answer.</summary>
    public required string Gold { get; init; }

    /// <summary>Verdict of the lenient grader.</summary>
    public required bool Correct { get; init; }

    /// <summary>Generated tokens.</summary>
    public required int Tokens { get; init; }

    /// <summary>The length limit ended it.</summary>
    public required bool Truncated { get; init; }
}

/// <summary>Figures over a set of problems with several samples each. Shares are 0 to 1; errors are of means over problems.</summary>
public sealed record EvalScore
{
    /// <summary>Number of problems.</summary>
    public required int Problems { get; init; }

    /// <summary>Samples of each problem.</summary>
    public required int Samples { get; init; }

    /// <summary>Mean over problems of the share of correct samples.</summary>
    public required double PassAt1 { get; init; }

    /// <summary>Its standard error: sd over problems (n - 1) / sqrt(problems); the samples of a problem are one cluster. Null for one problem.</summary>
    public required double? StandardError { get; init; }

    /// <summary>Unbiased pass@k for k = 1, 2, 4, ... and all samples.</summary>
    public required IReadOnlyDictionary<int, double> PassAtK { get; init; }

    /// <summary>Share of problems that the majority of samples gets right.</summary>
    public required double Consensus { get; init; }

    /// <summary>Share of the samples that the length limit ended.</summary>
    public required double Truncated { get; init; }

    /// <summary>Share of the samples without an answer.</summary>
    public required double Unparsed { get; init; }

    /// <summary>Mean number of generated tokens.</summary>
    public required double MeanTokens { get; init; }
}

/// <summary>The arithmetic of evaluations (reference: human-eval for pass@k, DeepSeek-R1 for cons@k).</summary>
public static class EvalStatistics
{
    /// <summary>Probability that at least one of k samples is right when c of n are: 1 - C(n-c, k) / C(n, k).</summary>
    /// <exception cref="ArgumentException">k is not between 1 and n, or c not between 0 and n.</exception>
    public static double PassAtK(int n, int c, int k)
    {
        if (k < 1 || k > n || c < 0 || c > n)
            throw new ArgumentException($"pass@{k} needs at least {Math.Max(k, 1)} samples and a count of right ones among them, not n = {n}, c = {c}.");
        if (n - c < k)
            return 1;
        double none = 1;
        for (int i = n - c + 1; i <= n; i++)
            none *= 1 - (double)k / i;
        return 1 - none;
    }

    /// <summary>
    /// cons@k: answers are grouped by equivalence and the largest group decides; samples without an answer do not vote; of tied groups the share that is right counts.
    /// </summary>
    public static double Consensus(IReadOnlyList<EvalSample> samples)
    {
        var groups = new List<(string Answer, bool Correct, int Votes)>();
        foreach (var sample in samples.Where(s => s.Answer is not null))
        {
            int at = groups.FindIndex(g => g.Correct == sample.Correct && (sample.Correct || MathGrader.IsEquivalent(g.Answer, sample.Answer!, GraderProfile.Lenient)));
            if (at < 0)
                groups.Add((sample.Answer!, sample.Correct, 1));
            else
                groups[at] = groups[at] with { Votes = groups[at].Votes + 1 };
        }

        if (groups.Count == 0)
            return 0;
        int most = groups.Max(g => g.Votes);
        var winners = groups.Where(g => g.Votes == most).ToList();
        return winners.Count(g => g.Correct) / (double)winners.Count;
    }

    /// <summary>All figures of a set of samples with equally many for each problem.</summary>
    public static EvalScore Score(IReadOnlyCollection<EvalSample> samples)
    {
        var problems = samples.GroupBy(s => s.Id).Select(g => g.ToList()).ToList();
        double[] shares = [.. problems.Select(p => p.Count(s => s.Correct) / (double)p.Count)];
        int n = problems.Min(p => p.Count);
        double mean = shares.Average();
        double? error = shares.Length < 2 ? null : Math.Sqrt(shares.Sum(s => (s - mean) * (s - mean)) / (shares.Length - 1) / shares.Length);
        var ks = Enumerable.Range(0, 16).Select(i => 1 << i).TakeWhile(k => k < n).Append(n);
        return new EvalScore
        {
            Problems = problems.Count,
            Samples = n,
            PassAt1 = mean,
            StandardError = error,
            PassAtK = ks.ToDictionary(k => k, k => problems.Average(p => PassAtK(p.Count, p.Count(s => s.Correct), k))),
            Consensus = problems.Average(Consensus),
            Truncated = samples.Count(s => s.Truncated) / (double)samples.Count,
            Unparsed = samples.Count(s => s.Answer is null) / (double)samples.Count,
            MeanTokens = samples.Average(s => s.Tokens),
        };
    }
}
