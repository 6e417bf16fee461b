using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Guides;
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
    private const int MostReserve = 1024;
    private readonly Tokenizer _tokenizer;
    private readonly Dialect _dialect;
    private readonly int? _openId;
    private readonly int? _closeId;
    private readonly int? _toolMarkerId;
    private readonly int[] _wrapUp = [];

    /// <summary>Takes the tags of the model's dialect.</summary>
    public ThoughtRules(Tokenizer tokenizer, Dialect dialect)
    {
        _tokenizer = tokenizer;
        _dialect = dialect;
        _openId = dialect.Open.Id;
        _closeId = dialect.Close.Id;
        _toolMarkerId = dialect.ToolCalls.Id;
        if (_closeId is { } close)
            _wrapUp = [.. tokenizer.Encode(dialect.WrapUp, parseAddedTokens: false), close, .. tokenizer.Encode("\n\n", parseAddedTokens: false)];
    }

    /// <summary>Puts an empty thought, or the beginning of one, behind the prompt where the request asks for it.</summary>
    /// <exception cref="InvalidRequestException">The model has no tags, or the request contradicts itself.</exception>
    public ThoughtStart Open(ChatRequest request, IReadOnlyList<TextSegment> prompt, bool continues)
    {
        bool thinking = _dialect.EndsInThought(prompt);
        bool isLimited = request.ThinkingBudget is not null || request.AnswerReserve is not null;
        if (isLimited && _closeId is null)
            throw new InvalidRequestException("thinking_token_budget", "invalid_value",
                $"This model has no token {_dialect.Close}, so its thought cannot be limited or left out. Leave thinking_token_budget, answer_reserve, reasoning_effort and thinking out.");
        if (request.EnforceThinking && _openId is null)
            throw new InvalidRequestException("enforce_thinking", "invalid_value", $"This model has no token {_dialect.Open}. Leave enforce_thinking out.");
        if (request.ThinkingBudget == 0)
        {
            // What is continued may have left its thought behind already.
            string end = thinking ? _dialect.EmptyThoughtEnd : continues ? "" : _dialect.Opening + _dialect.EmptyThoughtEnd;
            return new ThoughtStart(With(prompt, end), Inside: false, Behind: true);
        }

        bool opens = request.EnforceThinking && !thinking && !continues && request.AddGenerationPrompt;
        return opens ? new ThoughtStart(With(prompt, _dialect.Opening), Inside: true, Behind: false)
            : new ThoughtStart(prompt, thinking, !thinking && (continues || EndsBehind(prompt)));
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
    private bool EndsBehind(IReadOnlyList<TextSegment> prompt)
        => prompt.Count > 0 && !prompt[^1].FromMessage && prompt[^1].Text.AsSpan().TrimEnd().EndsWith(_dialect.Close.Text, StringComparison.Ordinal);

    private bool IsBlank(int token) => string.IsNullOrWhiteSpace(_tokenizer.Decode([token], skipSpecialTokens: true));

    private static IReadOnlyList<TextSegment> With(IReadOnlyList<TextSegment> prompt, string text)
        => text.Length == 0 ? prompt : [.. prompt, new TextSegment(text, FromMessage: false)];
}
