using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Guides;

/// <summary>No stop token while fewer tokens than asked for are generated.</summary>
/// <param name="minTokens">How many come first.</param>
/// <param name="stopIds">What ends an answer.</param>
public sealed class MinTokensGuide(int minTokens, IReadOnlyList<int> stopIds) : ITokenGuide
{
    private int _count;

    /// <summary>How many come first.</summary>
    public int MinTokens => minTokens;

    /// <inheritdoc/>
    public ReadOnlySpan<int> Forced => [];

    /// <inheritdoc/>
    public bool Mask(Span<uint> bits)
    {
        if (_count >= minTokens)
            return false;
        foreach (int id in stopIds)
            TokenMask.Forbid(bits, id);
        return stopIds.Count > 0;
    }

    /// <inheritdoc/>
    public void Accept(int token) => _count++;

    /// <inheritdoc/>
    public void Rollback(int count) => _count -= count;
}
