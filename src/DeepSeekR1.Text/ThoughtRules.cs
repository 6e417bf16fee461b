using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Guides;
using DeepSeekR1.Text.Parsing;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text;

/// <summary>A prompt, and where it leaves the model.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="Inside">It ends inside a thought.</param>
/// <param name="Behind">It ends behind a thought, or the request wants none.</param>
internal readonly record struct ThoughtStart(IReadOnlyList<TextSegment> Prompt, bool Inside, bool Behind);

/// <summary>
/// How long a model may think and how a thought is ended: the engine writes a sentence and the closing tag, and the model answers with
/// what is left of its tokens. Immutable and safe for many threads.
/// <para>
/// A part of the token limit is kept for the answer when a budget is set: as many tokens as the request or the server says, else a quarter
/// of the limit, at most 1,024. Without a budget nothing is kept unless the request says so.
/// </para>
/// </summary>
internal sealed class ThoughtRules
{
    /// <summary>How DeepSeek models begin tool calls: it ends a thought that was never closed.</summary>
    private const string ToolMarker = "<\uff5ctool\u2581calls\u2581begin\uff5c>";

    /// <summary>The engine's own words at the end of a thought that was cut.</summary>
    private const string WrapUpText = "\n\nTime is limited, so the answer follows from what is known now.\n";

    /// <summary>What closes a thought that has not begun.</summary>
    private const string EmptyThoughtEnd = "\n</think>\n\n";

    private const string Opening = ReasoningParser.OpenTag + "\n";
    private const int MostReserve = 1024;
    private readonly Tokenizer _tokenizer;
    private readonly int? _openId;
    private readonly int? _closeId;
    private readonly int? _toolMarkerId;
    private readonly int[] _wrapUp = [];

    /// <summary>Finds the tags in the vocabulary.</summary>
    public ThoughtRules(Tokenizer tokenizer)
    {
        _tokenizer = tokenizer;
        _openId = tokenizer.FindToken(ReasoningParser.OpenTag);
        _closeId = tokenizer.FindToken(ReasoningParser.CloseTag);
        _toolMarkerId = tokenizer.FindToken(ToolMarker);
        if (_closeId is { } close)
            _wrapUp = [.. tokenizer.Encode(WrapUpText, parseAddedTokens: false), close, .. tokenizer.Encode("\n\n", parseAddedTokens: false)];
    }

    /// <summary>A splitter of thought and answer.</summary>
    public ReasoningParser Parser(bool thinking) => new(thinking, _openId, _closeId, ToolMarker, _toolMarkerId);

    /// <summary>Puts an empty thought, or the beginning of one, behind the prompt where the request asks for it.</summary>
    /// <exception cref="InvalidRequestException">The model has no tags, or the request contradicts itself.</exception>
    public ThoughtStart Open(ChatRequest request, IReadOnlyList<TextSegment> prompt, bool continues)
    {
        bool thinking = ReasoningParser.StartsInReasoning(prompt);
        bool isLimited = request.ThinkingBudget is not null || request.AnswerReserve is not null;
        if (isLimited && _closeId is null)
            throw new InvalidRequestException("thinking_token_budget", "invalid_value",
                "This model has no token </think>, so its thought cannot be limited or left out. Leave thinking_token_budget, answer_reserve, reasoning_effort and thinking out.");
        if (request.EnforceThinking && _openId is null)
            throw new InvalidRequestException("enforce_thinking", "invalid_value", "This model has no token <think>. Leave enforce_thinking out.");
        if (request.ThinkingBudget == 0)
        {
            // What is continued may have left its thought behind already.
            string end = thinking ? EmptyThoughtEnd : continues ? "" : Opening + EmptyThoughtEnd;
            return new ThoughtStart(With(prompt, end), Inside: false, Behind: true);
        }

        bool opens = request.EnforceThinking && !thinking && !continues && request.AddGenerationPrompt;
        return opens ? new ThoughtStart(With(prompt, Opening), Inside: true, Behind: false) : new ThoughtStart(prompt, thinking, !thinking && (continues || EndsBehind(prompt)));
    }

    /// <summary>How the engine ends the thought of an answer; null when it cannot.</summary>
    /// <exception cref="InvalidRequestException">The limit leaves nothing for the thought.</exception>
    public ThoughtLimit? Limit(ChatRequest request, ThoughtStart start, int maxTokens)
    {
        if (_closeId is not { } close)
            return null;
        int budget = int.MaxValue;
        int[] wrapUp = _wrapUp;
        if (request.ThinkingBudget is not null || request.AnswerReserve is not null)
        {
            int reserve = request.AnswerReserve ?? Math.Min(maxTokens / 4, MostReserve);
            if (maxTokens <= reserve)
                throw new InvalidRequestException("max_tokens", "invalid_value", string.Create(CultureInfo.InvariantCulture,
                    $"max_tokens is {maxTokens} and {reserve} tokens are kept for the answer (answer_reserve), so nothing is left for the thought. Raise max_tokens above {reserve} or lower answer_reserve."));
            int room = maxTokens - reserve;
            budget = request.ThinkingBudget ?? int.MaxValue;

            // A sentence that would eat the thought is left out; the tag has to do. So it has for a thought that was turned off and is opened all the same.
            if (budget == 0 || room - _wrapUp.Length < Math.Min(budget, room / 2))
                wrapUp = [close];
            budget = Math.Min(budget, room - wrapUp.Length);
        }

        return new ThoughtLimit(budget, wrapUp, _openId, _toolMarkerId is { } tool ? [close, tool] : [close], start.Inside, IsBlank, start.Behind);
    }

    /// <summary>Whether the template itself has closed the thought of the answer that is to come.</summary>
    private static bool EndsBehind(IReadOnlyList<TextSegment> prompt)
        => prompt.Count > 0 && !prompt[^1].FromMessage && prompt[^1].Text.AsSpan().TrimEnd().EndsWith(ReasoningParser.CloseTag, StringComparison.Ordinal);

    private bool IsBlank(int token) => string.IsNullOrWhiteSpace(_tokenizer.Decode([token], skipSpecialTokens: true));

    private static IReadOnlyList<TextSegment> With(IReadOnlyList<TextSegment> prompt, string text)
        => text.Length == 0 ? prompt : [.. prompt, new TextSegment(text, FromMessage: false)];
}
