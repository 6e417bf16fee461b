namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>What Python calls white space.</summary>
internal static class WhiteSpace
{
    /// <summary>str.isspace: Unicode white space and the separators 1C to 1F.</summary>
    public static bool IsSpace(char character) => character is >= '\t' and <= '\r' or >= '\u001c' and <= ' '
        || (character >= '\u0085' && char.IsWhiteSpace(character));

    /// <summary>First offset at or after <paramref name="position"/> that is not white space.</summary>
    public static int SkipSpace(string text, int position)
    {
        while (position < text.Length && IsSpace(text[position]))
            position++;
        return position;
    }

    /// <summary>Offset behind the last character that is not white space.</summary>
    public static int TrimmedEnd(string text)
    {
        var end = text.Length;
        while (end > 0 && IsSpace(text[end - 1]))
            end--;
        return end;
    }
}
