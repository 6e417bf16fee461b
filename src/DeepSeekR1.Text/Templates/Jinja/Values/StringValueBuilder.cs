using System.Text;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// Builds a <see cref="StringValue"/> from pieces of any origin. Refuses to grow past <see cref="Rendering.MaxTextChars"/>.
/// </summary>
internal sealed class StringValueBuilder(Rendering run)
{
    private readonly StringBuilder _text = new();
    private readonly List<int> _ends = [];
    private bool _first;

    /// <summary>UTF-16 units so far.</summary>
    public int Length => _text.Length;

    /// <summary>Adds text of one origin.</summary>
    public StringValueBuilder Append(ReadOnlySpan<char> text, bool fromRequest = false)
    {
        if (text.Length == 0)
            return this;
        Grow(text.Length, fromRequest);
        _text.Append(text);
        return this;
    }

    /// <summary>Adds a string with its origins.</summary>
    public StringValueBuilder Append(StringValue value) => Append(value, 0, value.Text.Length);

    /// <summary>Adds the part between two UTF-16 offsets with its origins.</summary>
    public StringValueBuilder Append(StringValue value, int start, int end)
    {
        while (start < end)
        {
            var stop = Math.Min(value.RunEnd(start), end);
            Append(value.Text.AsSpan(start, stop - start), value.IsRequestAt(start));
            start = stop;
        }
        return this;
    }

    /// <summary>The string so far.</summary>
    public StringValue Build() => StringValue.FromRuns(_text.ToString(), _first, _ends.Count > 1 ? [.. _ends] : null);

    /// <summary>The text so far as runs: what a rendered prompt is handed over as.</summary>
    public List<TextSegment> ToSegments()
    {
        var text = _text.ToString();
        var segments = new List<TextSegment>(_ends.Count);
        var start = 0;
        foreach (var end in _ends)
        {
            segments.Add(new TextSegment(text[start..end], _first ^ ((segments.Count & 1) == 1)));
            start = end;
        }
        return segments;
    }

    private void Grow(int count, bool fromRequest)
    {
        run.ChargeText(_text.Length, count);
        var end = _text.Length + count;
        if (_ends.Count == 0)
            _first = fromRequest;
        if (_ends.Count > 0 && fromRequest == (_first ^ ((_ends.Count & 1) == 0)))
            _ends[^1] = end;
        else
            _ends.Add(end);
    }
}
