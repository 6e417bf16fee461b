namespace DeepSeekR1.Text.Tokenization;

/// <summary>What a <see cref="StopStringFilter"/> lets out.</summary>
/// <param name="Text">Text that may leave now; may be empty.</param>
/// <param name="StopString">The stop string that was hit; null while none was.</param>
public readonly record struct StopStringResult(string Text, string? StopString)
{
    /// <summary>True when a stop string was hit: the stream is over.</summary>
    public bool IsStopped => StopString is not null;
}

/// <summary>
/// Watches streamed text for stop strings, across token borders. Without <c>include</c> it holds back the longest suffix that may
/// still become a stop string, so no part of one ever leaves; with it, text leaves at once and ends with the stop string. One
/// instance per sequence, one thread.
/// </summary>
/// <remarks>
/// The occurrence that ends first wins, of several that end together the longest: so the result does not depend on how the text
/// was cut into tokens. Comparison is ordinal.
/// </remarks>
public sealed class StopStringFilter
{
    private readonly Automaton[] _automata;
    private readonly bool _include;
    private string _held = "";
    private string? _stop;

    /// <summary>Prepares the search.</summary>
    /// <param name="stops">Stop strings; none may be empty.</param>
    /// <param name="include">True when the stop string itself belongs to the text.</param>
    public StopStringFilter(IReadOnlyList<string> stops, bool include)
    {
        if (stops.Any(string.IsNullOrEmpty))
            throw new ArgumentException("A stop string is empty.", nameof(stops));
        _automata = [.. stops.Distinct(StringComparer.Ordinal).OrderByDescending(stop => stop.Length).Select(stop => new Automaton(stop))];
        _include = include;
    }

    /// <summary>Takes the next text. After a hit nothing leaves any more.</summary>
    public StopStringResult Append(string text)
    {
        if (_stop is not null)
            return new StopStringResult("", _stop);
        if (_automata.Length == 0)
            return new StopStringResult(text, null);
        for (var i = 0; i < text.Length; i++)
        {
            _stop = Advance(text[i]);
            if (_stop is not null)
                return new StopStringResult(UpToStop(text.AsSpan(0, i + 1), _stop.Length), _stop);
        }
        return new StopStringResult(_include ? text : Release(text), null);
    }

    /// <summary>The stream ends without a stop string: what was held back leaves.</summary>
    public string Flush()
    {
        var text = _stop is null ? _held : "";
        _held = "";
        return text;
    }

    // The automata are ordered by length, so the first that is complete is the longest.
    private string? Advance(char unit)
    {
        string? stop = null;
        foreach (var automaton in _automata)
            if (automaton.Advance(unit))
                stop ??= automaton.Stop;
        return stop;
    }

    private string UpToStop(ReadOnlySpan<char> text, int stopLength)
    {
        var all = string.Concat(_held, text);
        _held = "";
        return _include ? all : all[..^stopLength];
    }

    private string Release(string text)
    {
        var all = _held + text;
        var keep = _automata.Max(automaton => automaton.Matched);
        _held = all[^keep..];
        return all[..^keep];
    }

    /// <summary>Knuth, Morris and Pratt's search for one stop string, one character at a time.</summary>
    private sealed class Automaton
    {
        private readonly int[] _fallback; // [i]: longest proper prefix that is a suffix of the first i + 1 characters

        /// <summary>Builds the table.</summary>
        public Automaton(string stop)
        {
            Stop = stop;
            _fallback = new int[stop.Length];
            for (int i = 1, length = 0; i < stop.Length; i++)
            {
                while (length > 0 && stop[i] != stop[length])
                    length = _fallback[length - 1];
                if (stop[i] == stop[length])
                    length++;
                _fallback[i] = length;
            }
        }

        /// <summary>The string searched for.</summary>
        public string Stop { get; }

        /// <summary>Length of the longest prefix of the stop string that the text so far ends with.</summary>
        public int Matched { get; private set; }

        /// <summary>Takes a character; true when the stop string is complete.</summary>
        public bool Advance(char unit)
        {
            while (Matched > 0 && Stop[Matched] != unit)
                Matched = _fallback[Matched - 1];
            if (Stop[Matched] == unit)
                Matched++;
            return Matched == Stop.Length;
        }
    }
}
