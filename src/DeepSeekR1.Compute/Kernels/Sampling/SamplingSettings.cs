namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>How the tokens of a request are chosen: numbers only, the same for all of its rows, not changed after they were made.</summary>
public sealed record SamplingSettings
{
    /// <summary>Divides the logits; below 1e-5 the best token is taken (greedy).</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Keep the k best tokens; 0 or less keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the smallest set of tokens whose probabilities reach this sum; 1 keeps all.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Drop tokens below this fraction of the best probability; 0 keeps all.</summary>
    public float MinP { get; init; }

    /// <summary>Keep tokens whose logit is at most this many standard deviations of the row below the best; 0 or less keeps all.</summary>
    public float TopNSigma { get; init; }

    /// <summary>First part of the random key.</summary>
    public ulong Seed { get; init; }

    /// <summary>Second part of the random key; the row's position is the third.</summary>
    public int SampleIndex { get; init; }

    /// <summary>Number of best log-probabilities to return; null returns none, 0 only the chosen token's.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>Divides (or multiplies, below 0) the logits of every token that has occurred; 1 does nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken from the logits of every token that was generated before; 0 does nothing.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>The same, once for every time that it was generated.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Ids whose logits are shifted, each once.</summary>
    public int[] BiasIds { get; init; } = [];

    /// <summary>What is added to each of them.</summary>
    public float[] Biases { get; init; } = [];

    /// <summary>Whether the choice depends on the tokens before it.</summary>
    public bool HasPenalties => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;

    /// <summary>
    /// The smallest logit of a row that stays, whatever the temperature: filters that compare each token with its row stand here.
    /// </summary>
    /// <param name="logits">Edited logits [V]; excluded tokens have minus infinity.</param>
    public float Floor(ReadOnlySpan<float> logits) => TopNSigma > 0 ? Best(logits, out double deviation) - (float)(TopNSigma * deviation) : float.NegativeInfinity;

    /// <summary>Largest logit of a row and the standard deviation of those that are not excluded, in two passes.</summary>
    private static float Best(ReadOnlySpan<float> logits, out double deviation)
    {
        var (best, sum, count) = (float.NegativeInfinity, 0.0, 0);
        foreach (float logit in logits)
            if (logit > float.NegativeInfinity)
                (best, sum, count) = (Math.Max(best, logit), sum + logit, count + 1);
        double squares = 0;
        foreach (float logit in logits)
            if (logit > float.NegativeInfinity)
                squares += (logit - sum / count) * (logit - sum / count);
        deviation = Math.Sqrt(squares / Math.Max(1, count));
        return best;
    }
}

/// <summary>How one row of logits becomes a token.</summary>
/// <param name="Settings">What the request asks for.</param>
/// <param name="Position">Index of the token in the output, last part of the random key.</param>
/// <param name="Mask">Bit i % 32 of word i / 32 says whether id i may be chosen, for the whole vocabulary; null allows all.</param>
/// <param name="Counts">Tokens before the row, wanted when there are penalties.</param>
public readonly record struct SamplingRow(SamplingSettings Settings, int Position, uint[]? Mask = null, TokenCounts? Counts = null)
{
    /// <summary>Whether the row's logits are changed before temperature and filters.</summary>
    public bool IsEdited => Mask is not null || Settings.BiasIds.Length > 0 || Settings.HasPenalties;
}

/// <summary>The tokens before a row, as penalties see them.</summary>
/// <param name="Ids">Ids that have occurred in prompt or output, each once.</param>
/// <param name="Generated">How often each stands in the output; 0 for those of the prompt alone.</param>
public sealed record TokenCounts(int[] Ids, int[] Generated);
