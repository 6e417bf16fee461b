namespace DeepSeekR1.Engine.Scheduling;

/// <summary>How one row of logits becomes a token.</summary>
/// <param name="Params">The request's parameters.</param>
/// <param name="Position">Index of the token in the output, part of the random key.</param>
/// <param name="Allowed">The only ids that may be chosen; null allows all.</param>
/// <param name="Forbidden">Ids that may not be chosen (stop tokens before min_tokens); null forbids none.</param>
public sealed record SamplingRow(SamplingParams Params, int Position, IReadOnlyList<int>? Allowed = null, IReadOnlyList<int>? Forbidden = null)
{
    /// <summary>All known tokens before the one to choose: prompt, then output.</summary>
    public ReadOnlyMemory<int> Tokens { get; init; }

    /// <summary>How many of them are the prompt.</summary>
    public int PromptLength { get; init; }
}

/// <summary>One sequence's part of a step.</summary>
/// <param name="TokenIds">Tokens to compute.</param>
/// <param name="Computed">Tokens before them whose keys are in the cache.</param>
/// <param name="Blocks">Block table that covers all of them.</param>
/// <param name="Sampling">How to choose the next token; null when known tokens remain to be computed after this step.</param>
public sealed record ScheduledSequence(ReadOnlyMemory<int> TokenIds, int Computed, ReadOnlyMemory<int> Blocks, SamplingRow? Sampling)
{
    /// <summary>Known tokens that follow the first rows of this part and are to be scored; usually none.</summary>
    public ReadOnlyMemory<int> Scored { get; init; }

    /// <summary>Best alternatives to return for each scored token.</summary>
    public int ScoredTop { get; init; }
}

/// <summary>One step: plain data, no tensors, not changed after it was made. The same for all ranks.</summary>
/// <param name="Sequences">Parts in row order.</param>
public sealed record ScheduledBatch(IReadOnlyList<ScheduledSequence> Sequences)
{
    /// <summary>Rows of the step.</summary>
    public int TotalTokens { get; } = Sequences.Sum(s => s.TokenIds.Length);
}

/// <summary>What a step gives.</summary>
/// <param name="Sampled">One entry for every part with a sampling row, in order.</param>
/// <param name="Scores">One list for every part with scored tokens, in order.</param>
public sealed record StepOutput(IReadOnlyList<SampledToken> Sampled, IReadOnlyList<IReadOnlyList<SampledToken>> Scores)
{
    /// <summary>What ranks other than the first give.</summary>
    public static StepOutput Empty { get; } = new([], []);
}

/// <summary>What the sampler chose for one row.</summary>
/// <param name="TokenId">The id; -1 when there is an error.</param>
/// <param name="Logprob">Natural-log probability in the untouched distribution; NaN unless asked for.</param>
/// <param name="Rank">Number of tokens at least as probable; 0 unless asked for.</param>
/// <param name="Top">Best tokens of the untouched distribution, best first; null unless asked for.</param>
/// <param name="Error">Why no token could be chosen; null normally.</param>
/// <param name="IsModelFault">Whether the model is to blame for the error, not the request.</param>
public readonly record struct SampledToken(
    int TokenId, float Logprob, int Rank, IReadOnlyList<TokenLogprob>? Top, string? Error = null, bool IsModelFault = false);
