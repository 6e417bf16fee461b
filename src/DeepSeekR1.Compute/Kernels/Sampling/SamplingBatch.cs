namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>
/// How the rows of a step are sampled, as plain arrays with one entry for each of R rows, so that a device can take them as they are.
/// Nothing here is changed after it was made.
/// </summary>
public sealed class SamplingBatch
{
    /// <summary>Ids in a word of a mask.</summary>
    public const int WordBits = 32;

    /// <summary>Takes rows apart.</summary>
    public SamplingBatch(IReadOnlyList<SamplingRow> rows)
    {
        Count = rows.Count;
        Temperatures = Column(rows, static r => r.Settings.Temperature);
        TopK = Column(rows, static r => r.Settings.TopK);
        TopP = Column(rows, static r => r.Settings.TopP);
        MinP = Column(rows, static r => r.Settings.MinP);
        Seeds = Column(rows, static r => r.Settings.Seed);
        Samples = Column(rows, static r => r.Settings.SampleIndex);
        Positions = Column(rows, static r => r.Position);
        TopLogprobs = Column(rows, static r => r.Settings.TopLogprobs ?? -1);
        RepetitionPenalties = Column(rows, static r => r.Settings.RepetitionPenalty);
        PresencePenalties = Column(rows, static r => r.Settings.PresencePenalty);
        FrequencyPenalties = Column(rows, static r => r.Settings.FrequencyPenalty);
        BiasIds = Column(rows, static r => r.Settings.BiasIds);
        Biases = Column(rows, static r => r.Settings.Biases);
        Masks = Column(rows, static r => r.Mask);
        Counts = Column(rows, static r => r.Counts);
    }

    /// <summary>Number of rows R.</summary>
    public int Count { get; }

    /// <summary>[R] Divisors of the logits; below 1e-5 the best token is taken.</summary>
    public float[] Temperatures { get; }

    /// <summary>[R] Number of best tokens that stay; 0 or less keeps all.</summary>
    public int[] TopK { get; }

    /// <summary>[R] Sum of probabilities that stays; 1 keeps all.</summary>
    public float[] TopP { get; }

    /// <summary>[R] Fraction of the best probability below which tokens go; 0 keeps all.</summary>
    public float[] MinP { get; }

    /// <summary>[R] First part of the random keys.</summary>
    public ulong[] Seeds { get; }

    /// <summary>[R] Second part.</summary>
    public int[] Samples { get; }

    /// <summary>[R] Third part: index of the token in its output.</summary>
    public int[] Positions { get; }

    /// <summary>[R] Number of best log-probabilities to return; 0 returns the chosen token's alone, -1 none.</summary>
    public int[] TopLogprobs { get; }

    /// <summary>[R] Divisors for tokens that have occurred; 1 does nothing.</summary>
    public float[] RepetitionPenalties { get; }

    /// <summary>[R] Taken from tokens that were generated; 0 does nothing.</summary>
    public float[] PresencePenalties { get; }

    /// <summary>[R] The same, for every time.</summary>
    public float[] FrequencyPenalties { get; }

    /// <summary>[R] Ids whose logits are shifted.</summary>
    public int[][] BiasIds { get; }

    /// <summary>[R] By how much.</summary>
    public float[][] Biases { get; }

    /// <summary>[R] Bits of the ids that may be chosen, at least one for each logit; null allows all.</summary>
    public uint[]?[] Masks { get; }

    /// <summary>[R] Tokens before the row; null when there are no penalties.</summary>
    public TokenCounts?[] Counts { get; }

    /// <summary>Whether a row's logits are changed before temperature and filters.</summary>
    public bool IsEdited(int row)
        => Masks[row] is not null || BiasIds[row].Length > 0 || RepetitionPenalties[row] != 1 || PresencePenalties[row] != 0 || FrequencyPenalties[row] != 0;

    /// <summary>Checks that every row has its entries for logits [rows, vocabulary]: rows are sampled where nothing may throw.</summary>
    /// <exception cref="ArgumentException">One does not; the message says which.</exception>
    public void Check(int rows, int vocabulary)
    {
        if (Count != rows)
            throw new ArgumentException($"There are {rows} rows of logits and {Count} descriptions.");
        for (int row = 0; row < Count; row++)
        {
            if (Masks[row] is { } mask && WordBits * (long)mask.Length < vocabulary)
                throw new ArgumentException($"The mask of row {row} has {mask.Length} words, too few for {vocabulary} logits.");
            if (BiasIds[row].Length != Biases[row].Length || Counts[row] is { } counts && counts.Ids.Length != counts.Generated.Length)
                throw new ArgumentException($"Row {row} has ids without their numbers.");
        }
    }

    private static T[] Column<T>(IReadOnlyList<SamplingRow> rows, Func<SamplingRow, T> value)
    {
        var column = new T[rows.Count];
        for (int i = 0; i < column.Length; i++)
            column[i] = value(rows[i]);
        return column;
    }
}
