using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Guides;

/// <summary>Nothing but the tokens of a list. Has no state, so that one serves any number of sequences.</summary>
public sealed class AllowedTokensGuide : ITokenGuide
{
    private readonly uint[] _allowed;

    /// <summary>Turns the list into bits.</summary>
    /// <param name="ids">What may come.</param>
    public AllowedTokensGuide(IReadOnlyList<int> ids)
    {
        int[] known = [.. ids.Where(id => id >= 0)];
        _allowed = new uint[known.Length == 0 ? 0 : known.Max() / 32 + 1];
        foreach (int id in known)
            _allowed[id / 32] |= 1u << (id % 32);
    }

    /// <inheritdoc/>
    public ReadOnlySpan<int> Forced => [];

    /// <inheritdoc/>
    public bool Mask(Span<uint> bits)
    {
        TokenMask.KeepOnly(bits, _allowed);
        return true;
    }

    /// <inheritdoc/>
    public void Accept(int token)
    {
    }

    /// <inheritdoc/>
    public void Rollback(int count)
    {
    }
}
