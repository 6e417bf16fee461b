using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Guides;

/// <summary>Words that are never completed: the last token of one is forbidden while those before it are the end of the output.</summary>
/// <param name="words">Token sequences; each counts from the beginning of the output.</param>
public sealed class BadWordsGuide(IReadOnlyList<IReadOnlyList<int>> words) : ITokenGuide
{
    private readonly List<int> _output = [];

    /// <inheritdoc/>
    public ReadOnlySpan<int> Forced => [];

    /// <inheritdoc/>
    public bool Mask(Span<uint> bits)
    {
        bool any = false;
        foreach (var word in words)
            if (IsNearlyWritten(word))
            {
                TokenMask.Forbid(bits, word[^1]);
                any = true;
            }

        return any;
    }

    /// <inheritdoc/>
    public void Accept(int token) => _output.Add(token);

    /// <inheritdoc/>
    public void Rollback(int count) => _output.RemoveRange(_output.Count - count, count);

    private bool IsNearlyWritten(IReadOnlyList<int> word)
    {
        int before = word.Count - 1;
        if (before < 0 || before > _output.Count)
            return false;
        for (int i = 0; i < before; i++)
            if (_output[_output.Count - before + i] != word[i])
                return false;
        return true;
    }
}
