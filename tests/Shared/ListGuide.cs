using DeepSeekR1.Engine;

namespace DeepSeekR1.Testing;

/// <summary>A guide that is a function from the output so far to the ids that may come next.</summary>
internal abstract class ListGuide : ITokenGuide
{
    private readonly List<int> _output = [];

    /// <inheritdoc/>
    public ReadOnlySpan<int> Forced => [];

    /// <inheritdoc/>
    public bool Mask(Span<uint> bits)
    {
        var allowed = new List<int>();
        if (!TryGetAllowed(_output.ToArray(), allowed))
            return false;
        TokenMask.KeepOnly(bits, allowed.ToArray());
        return true;
    }

    /// <inheritdoc/>
    public void Accept(int token) => _output.Add(token);

    /// <inheritdoc/>
    public void Rollback(int count) => _output.RemoveRange(_output.Count - count, count);

    /// <summary>Writes the allowed ids of the next token; false when every id is allowed.</summary>
    /// <param name="outputIds">Ids generated so far.</param>
    /// <param name="allowed">Receives the allowed ids.</param>
    protected abstract bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed);
}
