using System.Runtime.CompilerServices;
using System.Threading.Channels;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Text;

/// <summary>
/// A running request of one or more prompts with n answers each. Everything a client can do wrong has been found before this
/// object exists. Read it once; <see cref="AbandonAsync"/> must be called when the reader leaves early.
/// </summary>
public sealed class TextGeneration
{
    private readonly IReadOnlyList<ChoiceStream> _choices;
    private readonly bool _firstLeads;

    /// <param name="prompts">Token ids of the prompts.</param>
    /// <param name="choices">The answers, prompt by prompt.</param>
    /// <param name="firstLeads">No answer begins before the first of its prompt, which alone brings what is said about the prompt.</param>
    internal TextGeneration(IReadOnlyList<IReadOnlyList<int>> prompts, IReadOnlyList<ChoiceStream> choices, bool firstLeads = false)
    {
        Prompts = prompts;
        _choices = choices;
        _firstLeads = firstLeads;
    }

    /// <summary>Token ids of the prompts.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Prompts { get; }

    /// <summary>Number of answers: prompts times n, prompt by prompt.</summary>
    public int ChoiceCount => _choices.Count;

    /// <summary>Token counts so far; final once every answer has ended.</summary>
    public TokenUsage Usage => new(
        Prompts.Sum(p => p.Count),
        _choices.Sum(c => c.CompletionTokens),
        _choices.Sum(c => c.ReasoningTokens),
        CachedTokens);

    /// <summary>Tokens of the longest answer so far.</summary>
    public int LongestAnswer => _choices.Max(c => c.CompletionTokens);

    /// <summary>The answers of one prompt share its tokens, so the first answer's cache hit is the prompt's.</summary>
    private int CachedTokens
    {
        get
        {
            int perPrompt = _choices.Count / Prompts.Count;
            return Enumerable.Range(0, Prompts.Count).Sum(p => _choices[p * perPrompt].CachedTokens);
        }
    }

    /// <summary>How probable the tokens of a prompt are, all but the first; null unless asked for.</summary>
    public IReadOnlyList<PromptLogprob>? PromptLogprobs(int prompt) => _choices[prompt * (_choices.Count / Prompts.Count)].PromptLogprobs;

    /// <summary>Ends all thoughts that are under way as if their budgets were spent; the answers follow.</summary>
    /// <returns>Indices of the answers whose thought it was.</returns>
    public async Task<IReadOnlyList<int>> EndThoughtsAsync()
    {
        bool[] ended = await Task.WhenAll(_choices.Select(c => c.EndThoughtAsync()));
        return [.. Enumerable.Range(0, ended.Length).Where(i => ended[i])];
    }

    /// <summary>Steps of all answers as they come; each answer ends with a step that has an end.</summary>
    /// <exception cref="EngineFaultedException">The engine failed.</exception>
    /// <exception cref="CapacityException">The engine closed.</exception>
    public IAsyncEnumerable<OutputStep> ReadAsync(CancellationToken cancellation = default)
        => _choices.Count == 1 ? _choices[0].ReadAsync(cancellation) : MergeAsync(cancellation);

    /// <summary>Ends what still runs.</summary>
    /// <returns>Tokens that were generated after the reader had left.</returns>
    public async Task<int> AbandonAsync()
    {
        int[] wasted = await Task.WhenAll(_choices.Select(c => c.AbandonAsync()));
        return wasted.Sum();
    }

    private async IAsyncEnumerable<OutputStep> MergeAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var merged = Channel.CreateUnbounded<OutputStep>(new UnboundedChannelOptions { SingleReader = true });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        int perPrompt = _choices.Count / Prompts.Count;
        var begun = Prompts.Select(_ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).ToArray();
        var pumps = Task.WhenAll(_choices.Select((c, i) => PumpAsync(c, begun[i / perPrompt], leads: !_firstLeads || i % perPrompt == 0, merged.Writer, stop.Token)));
        var closing = pumps.ContinueWith(t => merged.Writer.TryComplete(t.Exception?.InnerException), TaskScheduler.Default);
        try
        {
            await foreach (var step in merged.Reader.ReadAllAsync(cancellation))
                yield return step;
        }
        finally
        {
            await stop.CancelAsync();
            await closing;
        }
    }

    private static async Task PumpAsync(
        ChoiceStream choice, TaskCompletionSource begun, bool leads, ChannelWriter<OutputStep> writer, CancellationToken cancellation)
    {
        try
        {
            await foreach (var step in choice.ReadAsync(cancellation))
            {
                if (!leads)
                    await begun.Task.WaitAsync(cancellation);
                writer.TryWrite(step);
                begun.TrySetResult();
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // The first failure ends the whole answer at once; the other answers' pumps end with the reader.
            writer.TryComplete(e);
            throw;
        }
    }
}
