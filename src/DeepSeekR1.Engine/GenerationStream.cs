using System.Threading.Channels;

namespace DeepSeekR1.Engine;

/// <summary>A running request: its events, and the ways to end it or its thought early.</summary>
public sealed class GenerationStream(ChannelReader<TokenOutput> outputs, Action cancel, Action complete, Func<Task<bool>> endThought)
{
    /// <summary>
    /// Events in order. Completes after the event with a finish reason, or with an <see cref="EngineFaultedException"/>
    /// (engine fault) or <see cref="InvalidRequestException"/> (this request alone cannot go on).
    /// </summary>
    public ChannelReader<TokenOutput> Outputs { get; } = outputs;

    /// <summary>Ends the request before the next step; its blocks are free by then. Harmless when it has ended.</summary>
    public void Cancel() => cancel();

    /// <summary>The same for a request whose reader has all it wants: it counts as finished, not as cancelled.</summary>
    public void Complete() => complete();

    /// <summary>
    /// Wraps the thought up as if its budget were spent; the answer follows. False when there is no thought to end: it is over, the request
    /// has ended, or it has no <see cref="ThoughtLimit"/>.
    /// </summary>
    public Task<bool> EndThoughtAsync() => endThought();
}
