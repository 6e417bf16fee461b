namespace DeepSeekR1.Training;

/// <summary>How far apart two names are, for messages that suggest what was meant. Stateless.</summary>
public static class EditDistance
{
    /// <summary>Insertions, deletions and replacements that turn one name into the other (Levenshtein).</summary>
    public static int Between(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int corner = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
                (corner, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }

        return row[^1];
    }
}
