using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Tests.Engine;

/// <summary>Proposes what followed the last token where it stood before: right now and then.</summary>
internal sealed class LookupDrafts : IDraftSource
{
    private const int Most = 4;

    public ReadOnlySpan<int> Propose(Sequence sequence)
    {
        var known = sequence.Tokens(0, sequence.Length);
        int before = known[..^1].LastIndexOf(known[^1]);
        return before < 0 ? [] : known.Slice(before + 1, Math.Min(Most, known.Length - before - 1));
    }
}
