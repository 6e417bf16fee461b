using System.Globalization;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// A string of a template: UTF-16 text in which every character knows whether it came from a string of the request. Immutable. The
/// origin is kept as runs; a string of one origin, the usual case, has none. Python's view (length, index, slice) counts code points.
/// </summary>
internal sealed class StringValue
{
    public static readonly StringValue Empty = Literal("");

    // Where runs end, ascending, the last one at Text.Length; origins alternate. Null: one run.
    private readonly int[]? _ends;
    private readonly bool _first;
    private int _codePoints = -1;

    private StringValue(string text, bool first, int[]? ends, bool isMarkup)
    {
        Text = text;
        _first = first;
        _ends = ends;
        IsMarkup = isMarkup;
    }

    /// <summary>The characters.</summary>
    public string Text { get; }

    /// <summary>Marked as safe HTML: joining it with a plain string escapes that one.</summary>
    public bool IsMarkup { get; }

    /// <summary>True when at least one character came from the request.</summary>
    public bool HasRequestText => Text.Length > 0 && (_first || _ends is not null);

    /// <summary>Number of code points; a lone surrogate counts as one.</summary>
    public int Length => _codePoints >= 0 ? _codePoints : _codePoints = CountCodePoints(Text);

    /// <summary>Work of finding a code point: the whole text where code points and UTF-16 units differ.</summary>
    public int SeekCost => Length == Text.Length ? 1 : Text.Length;

    /// <summary>Text of the template.</summary>
    public static StringValue Literal(string text) => new(text, first: false, ends: null, isMarkup: false);

    /// <summary>Text of the request.</summary>
    public static StringValue Request(string text) => new(text, first: true, ends: null, isMarkup: false);

    /// <summary>Text of one origin.</summary>
    public static StringValue Of(string text, bool fromRequest) => new(text, fromRequest, ends: null, isMarkup: false);

    /// <summary>Text with runs as the builder collected them.</summary>
    internal static StringValue FromRuns(string text, bool first, int[]? ends) => new(text, first, ends, isMarkup: false);

    /// <summary>The same text with or without the HTML mark.</summary>
    public StringValue AsMarkup(bool isMarkup) =>
        isMarkup == IsMarkup ? this : new StringValue(Text, _first, _ends, isMarkup) { _codePoints = _codePoints };

    /// <summary>Whether the character at a UTF-16 offset came from the request.</summary>
    public bool IsRequestAt(int offset) => _ends is null ? _first : _first ^ ((RunAt(offset) & 1) == 1);

    /// <summary>The part between two UTF-16 offsets.</summary>
    public StringValue Slice(int start, int end)
    {
        if (start == 0 && end == Text.Length)
            return this;
        if (start >= end)
            return Empty.AsMarkup(IsMarkup);
        var text = Text[start..end];
        if (_ends is null)
            return new StringValue(text, _first, null, IsMarkup);
        int from = RunAt(start), to = RunAt(end - 1);
        var ends = from == to ? null : new int[to - from + 1];
        for (var run = from; ends is not null && run <= to; run++)
            ends[run - from] = Math.Min(_ends[run], end) - start;
        return new StringValue(text, _first ^ ((from & 1) == 1), ends, IsMarkup);
    }

    /// <summary>End of the run of one origin that holds the character at a UTF-16 offset.</summary>
    public int RunEnd(int offset) => _ends is null ? Text.Length : _ends[RunAt(offset)];

    /// <summary>UTF-16 offset of a code point index in [0, Length].</summary>
    public int OffsetOf(int index)
    {
        if (Length == Text.Length)
            return index;
        var offset = 0;
        for (; index > 0; index--)
            offset += WidthAt(Text, offset);
        return offset;
    }

    /// <summary>Code point index of a UTF-16 offset.</summary>
    public int IndexOf(int offset) => Length == Text.Length ? offset : CountCodePoints(Text.AsSpan(0, offset));

    /// <summary>The strings of one code point each, in order, without the HTML mark.</summary>
    public IEnumerable<StringValue> CodePoints()
    {
        for (var offset = 0; offset < Text.Length;)
        {
            var width = WidthAt(Text, offset);
            yield return Slice(offset, offset + width).AsMarkup(false);
            offset += width;
        }
    }

    /// <summary>UTF-16 units of the code point at an offset: 1, or 2 for a surrogate pair.</summary>
    public static int WidthAt(ReadOnlySpan<char> text, int offset) =>
        char.IsHighSurrogate(text[offset]) && offset + 1 < text.Length && char.IsLowSurrogate(text[offset + 1]) ? 2 : 1;

    /// <summary>Value of the code point at an offset; a lone surrogate is its own value.</summary>
    public static int CodePointAt(string text, int offset) =>
        WidthAt(text, offset) == 2 ? char.ConvertToUtf32(text[offset], text[offset + 1]) : text[offset];

    /// <summary>Unicode category of the code point at an offset.</summary>
    public static UnicodeCategory CategoryAt(string text, int offset) => CharUnicodeInfo.GetUnicodeCategory(CodePointAt(text, offset));

    /// <inheritdoc/>
    public override string ToString() => Text;

    private static int CountCodePoints(ReadOnlySpan<char> text)
    {
        if (!text.ContainsAnyInRange('\ud800', '\udbff'))
            return text.Length;
        var count = 0;
        for (var offset = 0; offset < text.Length; offset += WidthAt(text, offset))
            count++;
        return count;
    }

    // Index of the run that holds the character at the offset.
    private int RunAt(int offset)
    {
        var found = Array.BinarySearch(_ends!, offset + 1);
        return found >= 0 ? found : ~found;
    }
}
