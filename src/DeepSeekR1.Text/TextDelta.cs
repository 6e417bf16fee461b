using DeepSeekR1.Engine;

namespace DeepSeekR1.Text;

/// <summary>Why an answer ended.</summary>
public enum AnswerEnd
{
    /// <summary>A stop token or a stop string.</summary>
    Stop,

    /// <summary>The token limit or the end of the context.</summary>
    Length,
}

/// <summary>One generated token as clients may see it.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Logprob">Natural-log probability; null unless asked for.</param>
/// <param name="TopLogprobs">Best alternatives; null unless asked for.</param>
public readonly record struct GeneratedToken(int Id, float? Logprob, IReadOnlyList<TokenLogprob>? TopLogprobs);

/// <summary>
/// What one step added to one answer. Every generated token appears in exactly one delta of its answer, in order, also when
/// its text is held back, hidden or empty.
/// </summary>
/// <param name="Choice">Index of the answer: prompt index times n plus sample index.</param>
/// <param name="Reasoning">New thought text; null when there is none.</param>
/// <param name="Content">New answer text; null when there is none.</param>
/// <param name="Tokens">Tokens that arrived since the last delta of this answer.</param>
/// <param name="End">Set in the last delta, which carries no text.</param>
public sealed record TextDelta(
    int Choice,
    string? Reasoning,
    string? Content,
    IReadOnlyList<GeneratedToken> Tokens,
    AnswerEnd? End = null);

/// <summary>Token counts of a request so far.</summary>
/// <param name="PromptTokens">Prompt tokens, each prompt counted once.</param>
/// <param name="CompletionTokens">Every generated token, EOS and tags included.</param>
/// <param name="ReasoningTokens">Generated tokens of thoughts, generated tags included.</param>
/// <param name="CachedTokens">Prompt tokens found in the cache.</param>
public readonly record struct TokenUsage(int PromptTokens, int CompletionTokens, int ReasoningTokens, int CachedTokens);
