using DeepSeekR1.Engine;

namespace DeepSeekR1.Text;

/// <summary>One generated token as clients may see it.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Logprob">Natural-log probability; null unless asked for.</param>
/// <param name="TopLogprobs">Best alternatives; null unless asked for.</param>
public readonly record struct GeneratedToken(int Id, float? Logprob, IReadOnlyList<TokenLogprob>? TopLogprobs);

/// <summary>
/// What one step added to one answer. Every generated token appears in exactly one step of its answer, in order, also when
/// its text is held back, hidden or empty.
/// </summary>
/// <param name="Choice">Index of the answer: prompt index times n plus sample index.</param>
/// <param name="Events">What came, in order; texts of one kind are one event. The end comes in a step without text.</param>
/// <param name="Tokens">Tokens that arrived since the last step of this answer.</param>
public sealed record OutputStep(int Choice, IReadOnlyList<OutputEvent> Events, IReadOnlyList<GeneratedToken> Tokens)
{
    /// <summary>How the answer ended; null while it runs.</summary>
    public AnswerEnded? End => Events.Count > 0 ? Events[^1] as AnswerEnded : null;
}

/// <summary>Token counts of a request so far.</summary>
/// <param name="PromptTokens">Prompt tokens, each prompt counted once.</param>
/// <param name="CompletionTokens">Every generated token, EOS and tags included.</param>
/// <param name="ReasoningTokens">Generated tokens of thoughts, generated tags included.</param>
/// <param name="CachedTokens">Prompt tokens found in the cache.</param>
public readonly record struct TokenUsage(int PromptTokens, int CompletionTokens, int ReasoningTokens, int CachedTokens);
