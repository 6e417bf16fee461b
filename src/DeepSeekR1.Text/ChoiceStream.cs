using System.Runtime.CompilerServices;
using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Guides;
using DeepSeekR1.Text.Parsing;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text;

/// <summary>What turns the tokens of one answer into text.</summary>
/// <param name="Choice">Index of the answer.</param>
/// <param name="Tokenizer">Tokenizer of the model.</param>
/// <param name="Settings">How the request wants its text.</param>
/// <param name="Parser">Thought splitter; null for plain completions.</param>
/// <param name="Format">Where the thought goes.</param>
/// <param name="Echo">What the answer begins with although the client sent it; null for nothing.</param>
internal sealed record ChoicePlan(
    int Choice, Tokenizer Tokenizer, GenerationSettings Settings, ReasoningParser? Parser, ReasoningFormat Format, Prefill? Echo = null);

/// <summary>
/// One answer: engine tokens through detokenizer, stop strings and thought splitter to deltas. A token reaches the splitter
/// together with its own whole text, however long the stop filter held that text back. One reader at a time.
/// </summary>
internal sealed class ChoiceStream(ChoicePlan plan, GenerationStream stream)
{
    private readonly IncrementalDetokenizer _detokenizer = new(plan.Tokenizer, plan.Settings.SkipSpecialTokens);
    private readonly StopStringFilter? _stops = plan.Settings.Stop.Count > 0
        ? new StopStringFilter(plan.Settings.Stop, plan.Settings.IncludeStopString)
        : null;
    private readonly Queue<(int Id, int Length)> _unparsed = new();
    private readonly StringBuilder _released = new();
    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _content = new();
    private List<GeneratedToken> _tokens = [];
    private bool _inlineThought;

    /// <summary>Tokens received from the engine up to the end of this answer.</summary>
    public int CompletionTokens { get; private set; }

    /// <summary>Prompt tokens found in the cache.</summary>
    public int CachedTokens { get; private set; }

    /// <summary>How probable the tokens of the prompt are; null unless asked for, and before the first token.</summary>
    public IReadOnlyList<PromptLogprob>? PromptLogprobs { get; private set; }

    /// <summary>Generated tokens that belong to the thought.</summary>
    public int ReasoningTokens => plan.Parser?.ReasoningTokens ?? 0;

    /// <summary>True when the answer has ended by itself; nothing more is generated for it.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Deltas in order; the last one carries the end and no text.</summary>
    /// <exception cref="CapacityException">The engine closed before the answer was complete.</exception>
    public async IAsyncEnumerable<TextDelta> ReadAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        Begin();
        if (_reasoning.Length > 0 || _content.Length > 0)
            yield return Take(null);
        await foreach (var output in stream.Outputs.ReadAllAsync(cancellation))
        {
            var end = Accept(output);
            if (end is not null)
                CloseInlineThought();
            if (_reasoning.Length > 0 || _content.Length > 0)
                yield return Take(null);
            if (end is null)
                continue;
            IsFinished = true;
            yield return Take(end);
            yield break;
        }
        throw new EngineFaultedException("The engine ended a token stream without a finish reason.");
    }

    /// <summary>Ends the sequence if it still runs, and counts what it generated after its reader had left.</summary>
    public async Task<int> AbandonAsync()
    {
        if (IsFinished)
            return 0;
        stream.Cancel();
        int wasted = 0;
        try
        {
            await foreach (var output in stream.Outputs.ReadAllAsync())
                wasted += output.TokenId >= 0 ? 1 : 0;
        }
        catch (Exception)
        {
            // Whoever read this stream was told of the failure there; here only the count matters.
        }
        return wasted;
    }

    /// <summary>Ends the thought as if its budget were spent; false when there is none to end.</summary>
    public Task<bool> EndThoughtAsync() => stream.AdjustAsync(guide => GuideChain.Find<ThoughtGuide>(guide) is { } thought && thought.End());

    /// <summary>What stands in the answer before the first token: the echo, and the tag of a thought that the prompt has opened.</summary>
    private void Begin()
    {
        if (plan.Echo?.Reasoning is { } thought)
            Write(OutputKind.Reasoning, thought);
        if (plan.Echo is { } echo && (echo.Closed || echo.Content.Length > 0))
            Write(OutputKind.Content, echo.Content);
        if (plan.Format == ReasoningFormat.Inline && plan.Parser is { InReasoning: true } && !_inlineThought)
            Write(OutputKind.Reasoning, "");
    }

    /// <summary>A thought that has not ended by itself: no reader of tags takes what follows for thought.</summary>
    private void CloseInlineThought()
    {
        if (_inlineThought)
            Write(OutputKind.Content, "");
    }

    private AnswerEnd? Accept(TokenOutput output)
    {
        if (output.CachedTokens > CachedTokens)
            CachedTokens = output.CachedTokens;
        if (output.FinishReason == FinishReason.Cancelled)
            throw new CapacityException("The server is shutting down; this answer is not complete.", closing: true);
        PromptLogprobs ??= output.PromptLogprobs;
        if (plan.Settings.PromptOnly)
            return AnswerEnd.Length;
        if (output.TokenId >= 0)
        {
            CompletionTokens++;
            _tokens.Add(new GeneratedToken(output.TokenId, output.Logprob, output.TopLogprobs));
            // A stop token is control, not text: neither shown nor counted as thought.
            if (output.FinishReason != FinishReason.Stop && AppendToken(output.TokenId))
                return StopHere();
        }
        return output.FinishReason is { } reason ? Finish(reason) : null;
    }

    /// <summary>Adds a token's text; true when a stop string is complete.</summary>
    private bool AppendToken(int id)
    {
        string text = _detokenizer.Append(id);
        _unparsed.Enqueue((id, text.Length));
        bool checkStops = _stops is not null && CompletionTokens > plan.Settings.MinTokens;
        var safe = checkStops ? _stops!.Append(text) : new StopStringResult(text, null);
        _released.Append(safe.Text);
        ParseReleased(partial: false);
        return safe.IsStopped;
    }

    private AnswerEnd StopHere()
    {
        stream.Complete();
        ParseReleased(partial: true);
        Flush("");
        return AnswerEnd.Stop;
    }

    private AnswerEnd Finish(FinishReason reason)
    {
        string tail = _detokenizer.Flush();
        bool stopped = false;
        if (_stops is not null)
        {
            var last = _stops.Append(tail);
            stopped = last.IsStopped;
            tail = last.Text + _stops.Flush();
        }
        _released.Append(tail);
        ParseReleased(partial: true);
        Flush(TakeReleased(_released.Length));
        return stopped || reason == FinishReason.Stop ? AnswerEnd.Stop : AnswerEnd.Length;
    }

    private void Flush(string tail)
    {
        if (plan.Parser is null)
        {
            _content.Append(tail);
            return;
        }
        foreach (var piece in plan.Parser.Finish(tail))
            Write(piece.Kind, piece.Text);
    }

    /// <summary>Hands released text to the splitter, token by token; at the end also tokens whose text is cut off.</summary>
    private void ParseReleased(bool partial)
    {
        while (_unparsed.TryPeek(out var token) && (token.Length <= _released.Length || partial))
        {
            _unparsed.Dequeue();
            bool whole = token.Length <= _released.Length;
            Parse(token.Id, TakeReleased(whole ? token.Length : _released.Length), whole);
        }
    }

    private void Parse(int id, string text, bool whole)
    {
        if (plan.Parser is null)
        {
            _content.Append(text);
            return;
        }
        foreach (var piece in plan.Parser.Append(id, text))
            Write(piece.Kind, piece.Text);
        // A tag of which a stop string cut something off is not shown.
        if (whole && plan.Format == ReasoningFormat.Inline && plan.Parser.InReasoning != _inlineThought)
            Write(plan.Parser.InReasoning ? OutputKind.Reasoning : OutputKind.Content, "");
    }

    private void Write(OutputKind kind, string text)
    {
        if (plan.Format == ReasoningFormat.Separate)
        {
            (kind == OutputKind.Reasoning ? _reasoning : _content).Append(text);
            return;
        }
        bool thought = kind == OutputKind.Reasoning;
        if (thought != _inlineThought)
            _content.Append(thought ? "<think>" : "</think>");
        _inlineThought = thought;
        _content.Append(text);
    }

    private string TakeReleased(int count)
    {
        string text = _released.ToString(0, count);
        _released.Remove(0, count);
        return text;
    }

    private TextDelta Take(AnswerEnd? end)
    {
        var delta = new TextDelta(plan.Choice, Text(_reasoning), Text(_content), _tokens, end);
        _tokens = [];
        _reasoning.Clear();
        _content.Clear();
        return delta;
    }

    private static string? Text(StringBuilder builder) => builder.Length > 0 ? builder.ToString() : null;
}
