namespace DeepSeekR1.Engine;

/// <summary>
/// What may come next in one sequence. It follows the output token by token: the engine tells it every generated token, and may take
/// back the last ones, so a guide's state depends on the tokens that stand and on nothing else. Called on the engine's thread only; an
/// exception ends its own sequence with it and no other.
/// </summary>
public interface ITokenGuide
{
    /// <summary>Narrows the choice of the next token. Asked once for every token that is sampled.</summary>
    /// <param name="bits">
    /// Bit i % 32 of word i / 32 stands for id i. All are set, or as guides before this one left them; those that may not come next are
    /// cleared (<see cref="TokenMask"/>), none is set.
    /// </param>
    /// <returns>False when nothing is cleared.</returns>
    bool Mask(Span<uint> bits);

    /// <summary>A token was generated, or one of <see cref="Forced"/> was written.</summary>
    void Accept(int token);

    /// <summary>Takes the last accepted tokens back: afterwards the guide is as if it had never seen them.</summary>
    /// <param name="count">How many, at most all of them.</param>
    void Rollback(int count);

    /// <summary>Tokens that come next whatever the model says; usually none. Valid until the next call.</summary>
    ReadOnlySpan<int> Forced { get; }
}
