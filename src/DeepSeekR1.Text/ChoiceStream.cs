using System.Runtime.CompilerServices;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Guides;
using DeepSeekR1.Text.Parsing;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text;

/// <summary>What makes events of the tokens of one answer.</summary>
/// <param name="Choice">Index of the answer.</param>
/// <param name="Tokenizer">Tokenizer of the model.</param>
/// <param name="Settings">How the request wants its text.</param>
/// <param name="Dialect">Tells thought and tool calls from the answer; null for plain completions, where all is answer.</param>
/// <param name="StartsInThought">The prompt ends inside a thought.</param>
/// <param name="Format">Where the thought goes.</param>
/// <param name="Echo">What the answer begins with although the client sent it; null for nothing.</param>
internal sealed record ChoicePlan(
    int Choice,
    Tokenizer Tokenizer,
    GenerationSettings Settings,
    Dialect? Dialect = null,
    bool StartsInThought = false,
    ReasoningFormat Format = ReasoningFormat.Separate,
    Prefill? Echo = null);

/// <summary>One answer: engine tokens through the chain of parsers to events, and how it ends. One reader at a time.</summary>
internal sealed class ChoiceStream(ChoicePlan plan, GenerationStream stream)
{
    private readonly OutputChain _chain = new(plan);
    private List<GeneratedToken> _tokens = [];

    /// <summary>Tokens received from the engine up to the end of this answer.</summary>
    public int CompletionTokens { get; private set; }

    /// <summary>Prompt tokens found in the cache.</summary>
    public int CachedTokens { get; private set; }

    /// <summary>How probable the tokens of the prompt are; null unless asked for, and before the first token.</summary>
    public IReadOnlyList<PromptLogprob>? PromptLogprobs { get; private set; }

    /// <summary>Generated tokens that belong to the thought.</summary>
    public int ReasoningTokens => _chain.ThoughtTokens;

    /// <summary>True when the answer has ended by itself; nothing more is generated for it.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Steps in order; the last one carries the end and no text.</summary>
    /// <exception cref="CapacityException">The engine closed before the answer was complete.</exception>
    public async IAsyncEnumerable<OutputStep> ReadAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        _chain.Begin();
        if (_chain.HasOutput)
            yield return Take();
        await foreach (var output in stream.Outputs.ReadAllAsync(cancellation))
        {
            var end = Accept(output);
            if (_chain.HasOutput)
                yield return Take();
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

    private AnswerEnded? Accept(TokenOutput output)
    {
        if (output.CachedTokens > CachedTokens)
            CachedTokens = output.CachedTokens;
        if (output.FinishReason == FinishReason.Cancelled)
            throw new CapacityException("The server is shutting down; this answer is not complete.", closing: true);
        PromptLogprobs ??= output.PromptLogprobs;
        if (output.TokenId >= 0 && !plan.Settings.PromptOnly)
            Accept(output.TokenId, output);
        return _chain.StopString is not null || output.FinishReason is not null || plan.Settings.PromptOnly ? End(output) : null;
    }

    private void Accept(int token, TokenOutput output)
    {
        CompletionTokens++;
        _tokens.Add(new GeneratedToken(token, output.Logprob, output.TopLogprobs));

        // A stop token is control, not text: neither shown nor counted as thought.
        if (output.FinishReason != FinishReason.Stop)
            _chain.Append(token);
        if (_chain.StopString is not null)
            stream.Complete();
    }

    /// <summary>Ends the chain and says why; a stop string counts also where the last of its text came with the end.</summary>
    private AnswerEnded End(TokenOutput last)
    {
        _chain.Finish();
        if (_chain.StopString is { } found)
            return new AnswerEnded(EndReason.Stop, StopString: found);
        return last.FinishReason == FinishReason.Stop && !plan.Settings.PromptOnly
            ? new AnswerEnded(EndReason.Stop, StopToken: last.TokenId >= 0 ? last.TokenId : null)
            : new AnswerEnded(EndReason.Length);
    }

    private OutputStep Take(AnswerEnded? end = null)
    {
        var events = _chain.Take();
        var step = new OutputStep(plan.Choice, end is null ? events : [.. events, end], _tokens);
        _tokens = [];
        return step;
    }
}
