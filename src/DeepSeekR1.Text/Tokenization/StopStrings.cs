namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// Cuts a text stream at the first of several strings and holds back what may become one. One instance per sequence.
/// </summary>
public sealed class StopStringFilter(IReadOnlyList<string> stops, bool include)
{
    private string _held = "";

    /// <summary>True once a stop string was found; nothing may be appended then.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Takes text and returns what is safe to show.</summary>
    public string Append(string text)
    {
        _held += text;
        int best = -1, length = 0;
        foreach (string stop in stops)
        {
            int at = _held.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (best < 0 || at < best))
                (best, length) = (at, stop.Length);
        }
        if (best >= 0)
        {
            Stopped = true;
            return Take(best + (include ? length : 0), drop: true);
        }
        int keep = stops.Max(stop => Overlap(_held, stop));
        return Take(_held.Length - keep, drop: false);
    }

    /// <summary>Ends the stream: held-back text leaves.</summary>
    public string Flush() => Take(_held.Length, drop: true);

    private string Take(int count, bool drop)
    {
        string taken = _held[..count];
        _held = drop ? "" : _held[count..];
        return taken;
    }

    private static int Overlap(string text, string stop)
    {
        for (int n = Math.Min(text.Length, stop.Length - 1); n > 0; n--)
            if (text.AsSpan(text.Length - n).SequenceEqual(stop.AsSpan(0, n)))
                return n;
        return 0;
    }
}
