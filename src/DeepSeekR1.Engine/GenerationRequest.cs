namespace DeepSeekR1.Engine;

/// <summary>
/// Narrows what may be sampled: a mask over token ids, asked before every token. Called on the engine thread, one
/// sequence at a time; implementations hold their own state per sequence.
/// </summary>
public interface ITokenConstraint
{
    /// <summary>
    /// Writes the allowed ids of the next token. Returns false when every id is allowed (<paramref name="allowed"/> is ignored then).
    /// </summary>
    /// <param name="outputIds">Ids generated so far.</param>
    /// <param name="allowed">Receives the allowed ids; cleared by the caller.</param>
    bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed);
}

/// <summary>
/// What the engine must know of a reasoning model's thought to end it: when the budget is spent, or on demand, the engine writes the
/// wrap-up, and the model goes on with the answer. A stream has one thought, and it comes first.
/// </summary>
/// <param name="Budget">Most tokens of the thought, its tags not counted; <see cref="int.MaxValue"/> sets no limit.</param>
/// <param name="WrapUpIds">What is written then, the closing token included.</param>
/// <param name="OpenId">Token that opens a thought; null when there is none.</param>
/// <param name="EndIds">Tokens that end it: the closing token, the beginning of a tool call.</param>
/// <param name="StartsInside">Whether the prompt ends inside a thought.</param>
/// <param name="MayPrecede">Whether a generated token can stand before the opening one: it is white space.</param>
/// <param name="StartsBehind">Whether the prompt ends behind a thought, or without one that was turned off: none is to be expected, and none can be ended before the model opens it.</param>
public sealed record ThoughtLimit(
    int Budget, IReadOnlyList<int> WrapUpIds, int? OpenId, IReadOnlyList<int> EndIds, bool StartsInside, Func<int, bool> MayPrecede, bool StartsBehind = false);

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

    /// <summary>How the thought ends; null when it cannot be ended.</summary>
    public ThoughtLimit? ThoughtLimit { get; init; }

    /// <summary>Time from submission after which the request ends with what is there (<see cref="FinishReason.Length"/>); null for ever.</summary>
    public TimeSpan? TimeLimit { get; init; }

    /// <summary>Optional mask over token ids.</summary>
    public ITokenConstraint? Constraint { get; init; }
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
public readonly record struct TokenLogprob(int TokenId, float Logprob);

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
