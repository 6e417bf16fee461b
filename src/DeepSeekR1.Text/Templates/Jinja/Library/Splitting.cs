using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The ways Python's str is cut.</summary>
internal static class Splitting
{
    /// <summary>str.split: at a separator, or at runs of white space when it is null. A negative limit is none.</summary>
    public static List<StringValue> Split(Rendering run, StringValue value, StringValue? separator, int limit)
    {
        if (separator is null)
            return SplitSpace(run, value, limit);
        var parts = new List<StringValue>();
        var start = 0;
        CheckSeparator(run, value, separator);
        while (limit-- != 0 && value.Text.IndexOf(separator.Text, start, StringComparison.Ordinal) is var found and >= 0)
        {
            Add(run, parts, value, start, found);
            start = found + separator.Text.Length;
        }
        Add(run, parts, value, start, value.Text.Length);
        return parts;
    }

    /// <summary>str.rsplit: like split, counting the limit from the right.</summary>
    public static List<StringValue> SplitRight(Rendering run, StringValue value, StringValue? separator, int limit)
    {
        var parts = new List<StringValue>();
        var end = value.Text.Length;
        if (separator is null)
            return SplitSpaceRight(run, value, limit);
        CheckSeparator(run, value, separator);
        while (limit-- != 0 && end >= separator.Text.Length && value.Text.AsSpan(0, end).LastIndexOf(separator.Text) is var found and >= 0)
        {
            Add(run, parts, value, found + separator.Text.Length, end);
            end = found;
        }
        Add(run, parts, value, 0, end);
        parts.Reverse();
        return parts;
    }

    /// <summary>str.splitlines: at LF, CR, CR LF, VT, FF, 1C to 1E, 85, 2028 and 2029.</summary>
    public static List<StringValue> SplitLines(Rendering run, StringValue value, bool keepEnds)
    {
        var parts = new List<StringValue>();
        var text = value.Text;
        for (var start = 0; start < text.Length;)
        {
            var end = start;
            while (end < text.Length && !IsLineEnd(text[end]))
                end++;
            var next = end + (end + 1 < text.Length && text[end] == '\r' && text[end + 1] == '\n' ? 2 : end < text.Length ? 1 : 0);
            Add(run, parts, value, start, keepEnds ? next : end);
            start = next;
        }
        return parts;
    }

    private static void CheckSeparator(Rendering run, StringValue value, StringValue separator)
    {
        if (separator.Text.Length == 0)
            throw Errors.Value("empty separator");
        run.Charge(Comparison.SearchCost(value.Text, separator.Text));
    }

    private static void Add(Rendering run, List<StringValue> parts, StringValue value, int start, int end)
    {
        run.ChargeItems(1);
        run.Charge(end - start);
        parts.Add(value.Slice(start, end));
    }

    private static List<StringValue> SplitSpace(Rendering run, StringValue value, int limit)
    {
        var parts = new List<StringValue>();
        var text = value.Text;
        for (var start = WhiteSpace.SkipSpace(text, 0); start < text.Length;)
        {
            var end = start;
            while (end < text.Length && !WhiteSpace.IsSpace(text[end]))
                end++;
            if (limit-- == 0)
                end = WhiteSpace.TrimmedEnd(text);
            Add(run, parts, value, start, end);
            start = WhiteSpace.SkipSpace(text, end);
        }
        return parts;
    }

    private static List<StringValue> SplitSpaceRight(Rendering run, StringValue value, int limit)
    {
        var parts = new List<StringValue>();
        var text = value.Text;
        for (var end = WhiteSpace.TrimmedEnd(text); end > 0;)
        {
            var start = end;
            while (start > 0 && !WhiteSpace.IsSpace(text[start - 1]))
                start--;
            if (limit-- == 0)
                start = WhiteSpace.SkipSpace(text, 0);
            Add(run, parts, value, start, end);
            end = start;
            while (end > 0 && WhiteSpace.IsSpace(text[end - 1]))
                end--;
        }
        parts.Reverse();
        return parts;
    }

    private static bool IsLineEnd(char character) =>
        character is >= '\n' and <= '\r' or >= '\u001c' and <= '\u001e' or '\u0085' or '\u2028' or '\u2029';
}
