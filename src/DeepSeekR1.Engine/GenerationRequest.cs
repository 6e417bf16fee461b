using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine;

/// <summary>How tokens are chosen. Immutable; every value has been validated by whoever made it.</summary>
public sealed record SamplingParams
{
    /// <summary>Divides the logits; below 1e-5 the best token is taken (greedy).</summary>
    public float Temperature { get; init; } = 1f;

    /// <summary>Keep the k best tokens; 0 or -1 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the smallest set of tokens whose probabilities reach this sum; 1 keeps all.</summary>
    public float TopP { get; init; } = 1f;

    /// <summary>Drop tokens below this fraction of the best probability; 0 keeps all.</summary>
    public float MinP { get; init; }

    /// <summary>Seed of the draw. The same seed, sample index and position always draw the same token.</summary>
    public ulong Seed { get; init; }

    /// <summary>Index of this sample among the <c>n</c> of one request; part of the random key.</summary>
    public int SampleIndex { get; init; }

    /// <summary>Largest number of tokens to generate, at least 1.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>Generation ends with any of these ids (EOS included unless it is ignored).</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Number of best log-probabilities to return per token; null returns none, 0 only the chosen token's.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>The same for the tokens of the prompt, given what is before each; null returns none.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>Divides (or multiplies, below 0) the logits of every token that has occurred, prompt included; 1 does nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken from the logits of every token that was generated before; 0 does nothing.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>The same, once for every time that it was generated.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>The numbers that the sampler reads.</summary>
    internal SamplingSettings ToSettings() => new()
    {
        Temperature = Temperature,
        TopK = TopK,
        TopP = TopP,
        MinP = MinP,
        Seed = Seed,
        SampleIndex = SampleIndex,
        TopLogprobs = TopLogprobs,
        RepetitionPenalty = RepetitionPenalty,
        PresencePenalty = PresencePenalty,
        FrequencyPenalty = FrequencyPenalty,
        BiasIds = [.. LogitBias?.Keys ?? []],
        Biases = [.. LogitBias?.Values ?? []],
    };
}

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
