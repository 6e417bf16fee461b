namespace DeepSeekR1.Training;

/// <summary>One training text.</summary>
/// <param name="Ids">Token ids, prompt and completion.</param>
/// <param name="Learned">For every token whether it is learned, that is, whether predicting it counts in the loss; the first never is.</param>
public sealed record TrainingSample(int[] Ids, bool[] Learned)
{
    /// <summary>Number of learned tokens.</summary>
    public int TargetCount => Learned.AsSpan(1).Count(true);

    /// <summary>Everything after a prompt of so many tokens is learned.</summary>
    public static TrainingSample Completion(IReadOnlyList<int> prompt, IReadOnlyList<int> completion)
        => new([.. prompt, .. completion], [.. Enumerable.Repeat(false, prompt.Count), .. Enumerable.Repeat(true, completion.Count)]);
}

/// <summary>Samples that one forward computes: their rows lie one after the other and do not see each other.</summary>
public sealed class MicroBatch
{
    /// <summary>Joins samples.</summary>
    public MicroBatch(IReadOnlyList<TrainingSample> samples)
    {
        Samples = samples;
        Lengths = [.. samples.Select(s => s.Ids.Length)];
        int total = Lengths.Sum(), row = 0;
        Ids = new long[total];
        Positions = new long[total];
        var rows = new List<long>();
        var targets = new List<long>();
        foreach (var sample in samples)
            for (int i = 0; i < sample.Ids.Length; i++, row++)
            {
                Ids[row] = sample.Ids[i];
                Positions[row] = i;
                if (i + 1 < sample.Ids.Length && sample.Learned[i + 1])
                {
                    rows.Add(row);
                    targets.Add(sample.Ids[i + 1]);
                }
            }

        (TargetRows, Targets) = ([.. rows], [.. targets]);
    }

    /// <summary>The samples.</summary>
    public IReadOnlyList<TrainingSample> Samples { get; }

    /// <summary>Tokens of each sample.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>All token ids.</summary>
    public long[] Ids { get; }

    /// <summary>Position of each in its sample.</summary>
    public long[] Positions { get; }

    /// <summary>Rows whose next token is learned.</summary>
    public long[] TargetRows { get; }

    /// <summary>That token.</summary>
    public long[] Targets { get; }
}
