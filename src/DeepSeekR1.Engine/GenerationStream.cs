using System.Threading.Channels;

namespace DeepSeekR1.Engine;

/// <summary>A running request: its events, and the ways to end it early or to change its course.</summary>
public sealed class GenerationStream(ChannelReader<TokenOutput> outputs, Action cancel, Action complete, Func<Func<ITokenGuide, bool>, Task<bool>> adjust)
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
    /// Changes the request's guide between two steps, on the engine's thread; what the change throws, the task throws. False when there is
    /// nothing to change: the request has ended, or it has no guide; else what the change says.
    /// </summary>
    public Task<bool> AdjustAsync(Func<ITokenGuide, bool> change) => adjust(change);
}
