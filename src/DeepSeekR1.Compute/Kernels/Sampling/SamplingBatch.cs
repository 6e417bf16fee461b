namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>
/// How the rows of a step are sampled: numbers and bit masks, nothing that changes after it was made. A device takes them as arrays with one entry for each of R rows
/// (<see cref="Column"/>), the reference row by row.
/// </summary>
/// <param name="rows">R rows, in the order of the logits'.</param>
public sealed class SamplingBatch(IReadOnlyList<SamplingRow> rows)
{
    /// <summary>Ids in a word of a mask.</summary>
    public const int WordBits = 32;

    /// <summary>Number of rows R.</summary>
    public int Count => rows.Count;

    /// <summary>A row.</summary>
    public SamplingRow this[int row] => rows[row];

    /// <summary>[R] One number, or one array, of every row.</summary>
    public T[] Column<T>(Func<SamplingRow, T> value)
    {
        var column = new T[rows.Count];
        for (int i = 0; i < column.Length; i++)
            column[i] = value(rows[i]);
        return column;
    }

    /// <summary>Checks that every row has its entries for logits [rows, vocabulary]: rows are sampled where nothing may throw.</summary>
    /// <exception cref="ArgumentException">One does not; the message says which.</exception>
    public void Check(int rowsOfLogits, int vocabulary)
    {
        if (Count != rowsOfLogits)
            throw new ArgumentException($"There are {rowsOfLogits} rows of logits and {Count} descriptions.");
        for (int row = 0; row < Count; row++)
        {
            var (settings, _, mask, counts) = rows[row];
            if (mask is not null && WordBits * (long)mask.Length < vocabulary)
                throw new ArgumentException($"The mask of row {row} has {mask.Length} words, too few for {vocabulary} logits.");
            if (settings.BiasIds.Length != settings.Biases.Length || counts is not null && counts.Ids.Length != counts.Generated.Length)
                throw new ArgumentException($"Row {row} has ids without their numbers.");
        }
    }
}
