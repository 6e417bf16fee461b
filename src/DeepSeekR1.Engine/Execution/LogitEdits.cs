using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// What a request may do to its logits before temperature and filters, in the order of vLLM's sampler: allowed ids, bad words,
/// minimum length, bias, repetition, frequency and presence penalties. A row that asks for nothing is not copied.
/// </summary>
internal static class LogitEdits
{
    private const float Excluded = float.NegativeInfinity;

    /// <summary>Whether the row asks for any edit.</summary>
    public static bool IsNeeded(SamplingRow row)
    {
        var p = row.Params;
        return row.Allowed is not null || row.Forbidden is not null || p.AllowedTokenIds is not null || p.BadWords.Count > 0
            || p.LogitBias is { Count: > 0 } || p.RepetitionPenalty != 1 || p.FrequencyPenalty != 0 || p.PresencePenalty != 0;
    }

    /// <summary>Writes the edited logits; ids outside the vocabulary are ignored.</summary>
    /// <param name="logits">The model's logits [V].</param>
    /// <param name="row">What is asked for.</param>
    /// <param name="edited">Receives them [V].</param>
    public static void Apply(ReadOnlySpan<float> logits, SamplingRow row, Span<float> edited)
    {
        var p = row.Params;
        logits.CopyTo(edited);
        foreach (var allowed in (ReadOnlySpan<IReadOnlyList<int>?>)[p.AllowedTokenIds, row.Allowed])
            if (allowed is not null)
                KeepOnly(allowed, edited);
        var output = row.Tokens.Span[Math.Min(row.PromptLength, row.Tokens.Length)..];
        foreach (var word in p.BadWords)
            if (Completes(word, output))
                Set(edited, word[^1], Excluded);
        foreach (int id in row.Forbidden ?? [])
            Set(edited, id, Excluded);
        foreach (var (id, bias) in p.LogitBias ?? new Dictionary<int, float>())
            if ((uint)id < (uint)edited.Length)
                edited[id] += bias;
        if (p.RepetitionPenalty != 1)
            Repetition(row.Tokens.Span, p.RepetitionPenalty, edited);
        if (p.FrequencyPenalty != 0 || p.PresencePenalty != 0)
            Counts(output, p.FrequencyPenalty, p.PresencePenalty, edited);
    }

    private static void KeepOnly(IReadOnlyList<int> allowed, Span<float> edited)
    {
        var kept = new (int Id, float Logit)[allowed.Count];
        for (int i = 0; i < kept.Length; i++)
            kept[i] = (uint)allowed[i] < (uint)edited.Length ? (allowed[i], edited[allowed[i]]) : (-1, 0);
        edited.Fill(Excluded);
        foreach (var (id, logit) in kept)
            if (id >= 0)
                edited[id] = logit;
    }

    /// <summary>Whether the last id of the word would complete it: the ids before it are the end of the output.</summary>
    private static bool Completes(IReadOnlyList<int> word, ReadOnlySpan<int> output)
    {
        int before = word.Count - 1;
        if (before < 0 || before > output.Length)
            return false;
        for (int i = 0; i < before; i++)
            if (output[output.Length - before + i] != word[i])
                return false;
        return true;
    }

    /// <summary>Once per id, however often it occurred.</summary>
    private static void Repetition(ReadOnlySpan<int> tokens, float penalty, Span<float> edited)
    {
        foreach (int id in Distinct(tokens))
            if ((uint)id < (uint)edited.Length)
                edited[id] = edited[id] > 0 ? edited[id] / penalty : edited[id] * penalty;
    }

    private static void Counts(ReadOnlySpan<int> output, float frequency, float presence, Span<float> edited)
    {
        foreach (int id in output)
            if ((uint)id < (uint)edited.Length)
                edited[id] -= frequency;
        foreach (int id in Distinct(output))
            if ((uint)id < (uint)edited.Length)
                edited[id] -= presence;
    }

    private static HashSet<int> Distinct(ReadOnlySpan<int> tokens)
    {
        var ids = new HashSet<int>();
        foreach (int id in tokens)
            ids.Add(id);
        return ids;
    }

    private static void Set(Span<float> edited, int id, float value)
    {
        if ((uint)id < (uint)edited.Length)
            edited[id] = value;
    }
}
