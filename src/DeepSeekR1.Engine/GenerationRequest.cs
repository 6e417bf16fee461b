using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine;

/// <summary>One token stream to generate: ids in, ids out.</summary>
public sealed record GenerationRequest
{
    /// <summary>Name in logs and metrics.</summary>
    public required string Id { get; init; }

    /// <summary>Prompt token ids, at least one.</summary>
    public required IReadOnlyList<int> PromptIds { get; init; }

    /// <summary>How to choose tokens.</summary>
    public required SamplingParams Sampling { get; init; }

    /// <summary>Urgency: smaller numbers go first.</summary>
    public int Priority { get; init; }

    /// <summary>Whose request it is, for turns in the queue; null when nobody is told apart.</summary>
    public string? Tenant { get; init; }

    /// <summary>Only requests with the same salt share cached prefixes.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>Time from submission after which the request ends with what is there (<see cref="FinishReason.Length"/>); null for ever.</summary>
    public TimeSpan? TimeLimit { get; init; }

    /// <summary>What may come next, this one stream's own; null leaves it to the model.</summary>
    public ITokenGuide? Guide { get; init; }
}

/// <summary>Why a sequence ended.</summary>
public enum FinishReason
{
    /// <summary>A stop token was generated.</summary>
    Stop,

    /// <summary>The token limit, the end of the context or the time limit was reached.</summary>
    Length,

    /// <summary>The request was cancelled by its owner.</summary>
    Cancelled,
}

/// <summary>A token id and its natural-log probability under the model's untouched distribution.</summary>
public readonly record struct TokenLogprob(int TokenId, float Logprob)
{
    /// <summary>The best alternatives of a sampled token; null when none were asked for.</summary>
    internal static TokenLogprob[]? ListOf(SampledToken token)
    {
        if (token.TopIds is not { } ids)
            return null;
        var list = new TokenLogprob[ids.Length];
        for (int i = 0; i < list.Length; i++)
            list[i] = new TokenLogprob(ids[i], token.TopLogprobs![i]);
        return list;
    }
}

/// <summary>How probable a token of the prompt was, given what is before it.</summary>
/// <param name="Logprob">Natural-log probability in the untouched distribution.</param>
/// <param name="Rank">Number of tokens at least as probable.</param>
/// <param name="Top">Best alternatives, best first.</param>
public sealed record PromptLogprob(float Logprob, int Rank, IReadOnlyList<TokenLogprob> Top);

/// <summary>One event of a token stream.</summary>
/// <param name="TokenId">The generated id; -1 in a last event without a token (cancellation, time limit).</param>
/// <param name="Logprob">Natural-log probability of the id in the untouched distribution; null unless asked for.</param>
/// <param name="TopLogprobs">The best alternatives, best first; null unless asked for.</param>
/// <param name="FinishReason">Set in the last event.</param>
/// <param name="CachedTokens">Prompt tokens whose KV entries were found in the cache.</param>
/// <param name="PromptLogprobs">In the first event, when asked for: one entry for every prompt token but the first.</param>
public sealed record TokenOutput(
    int TokenId,
    float? Logprob = null,
    IReadOnlyList<TokenLogprob>? TopLogprobs = null,
    FinishReason? FinishReason = null,
    int CachedTokens = 0,
    IReadOnlyList<PromptLogprob>? PromptLogprobs = null);
