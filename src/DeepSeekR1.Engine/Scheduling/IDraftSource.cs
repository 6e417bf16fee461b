namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// Where guesses at the next tokens come from. A wrong guess costs time and nothing else: what the model would choose comes out in any
/// case. Engine thread only; an exception ends the sequence that was asked for.
/// </summary>
public interface IDraftSource
{
    /// <summary>
    /// Tokens that may follow a sequence's known ones, most likely several or none. The scheduler takes as many from the front as budget,
    /// room, length and guides allow.
    /// </summary>
    ReadOnlySpan<int> Propose(Sequence sequence);
}

/// <summary>Guesses nothing: every token has a step of its own.</summary>
public sealed class NoDrafts : IDraftSource
{
    /// <inheritdoc/>
    public ReadOnlySpan<int> Propose(Sequence sequence) => [];
}
