using System.Numerics;

namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>
/// What a request may do to its logits before temperature and filters, in the order of vLLM's sampler: masks, bias, repetition,
/// frequency and presence penalties. A row that asks for nothing is not copied.
/// </summary>
internal static class LogitEdits
{
    private const float Excluded = float.NegativeInfinity;

    /// <summary>Writes the edited logits; ids outside the vocabulary are ignored.</summary>
    /// <param name="logits">The model's logits [V].</param>
    /// <param name="row">What is asked for.</param>
    /// <param name="edited">Receives them [V].</param>
    public static void Apply(ReadOnlySpan<float> logits, SamplingRow row, Span<float> edited)
    {
        var settings = row.Settings;
        logits.CopyTo(edited);
        if (row.Mask is { } mask)
            Exclude(mask, edited);
        for (int i = 0; i < settings.BiasIds.Length; i++)
            if ((uint)settings.BiasIds[i] < (uint)edited.Length)
                edited[settings.BiasIds[i]] += settings.Biases[i];
        if (row.Counts is not { } counts)
            return;
        if (settings.RepetitionPenalty != 1)
            Repetition(counts.Ids, settings.RepetitionPenalty, edited);
        if (settings.FrequencyPenalty != 0 || settings.PresencePenalty != 0)
            Generated(counts, settings.FrequencyPenalty, settings.PresencePenalty, edited);
    }

    private static void Exclude(ReadOnlySpan<uint> mask, Span<float> edited)
    {
        for (int start = 0; start < edited.Length; start += SamplingBatch.WordBits)
        {
            uint excluded = ~mask[start / SamplingBatch.WordBits];
            if (excluded == 0)
                continue;
            var piece = edited[start..Math.Min(edited.Length, start + SamplingBatch.WordBits)];
            if (excluded == uint.MaxValue)
                piece.Fill(Excluded);
            for (; excluded != 0 && excluded != uint.MaxValue; excluded &= excluded - 1)
                if (BitOperations.TrailingZeroCount(excluded) is var bit && bit < piece.Length)
                    piece[bit] = Excluded;
        }
    }

    /// <summary>Once per id, however often it occurred.</summary>
    private static void Repetition(int[] ids, float penalty, Span<float> edited)
    {
        foreach (int id in ids)
            if ((uint)id < (uint)edited.Length)
                edited[id] = edited[id] > 0 ? edited[id] / penalty : edited[id] * penalty;
    }

    /// <summary>The frequency penalty is taken once for each time, as it is defined: a product would round otherwise.</summary>
    private static void Generated(TokenCounts counts, float frequency, float presence, Span<float> edited)
    {
        for (int i = 0; i < counts.Ids.Length; i++)
        {
            int id = counts.Ids[i], times = counts.Generated[i];
            if (times == 0 || (uint)id >= (uint)edited.Length)
                continue;
            float logit = edited[id];
            for (int time = 0; time < times; time++)
                logit -= frequency;
            edited[id] = logit - presence;
        }
    }
}
