namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Escaping for HTML, which the filters safe and escape bring in even though prompts are not HTML.</summary>
internal static class Html
{
    /// <summary>The string as Markup: as it is when it is marked already, else with &amp; &lt; &gt; and quotes escaped.</summary>
    public static StringValue Escape(Rendering run, StringValue value)
    {
        if (value.IsMarkup || value.Text.AsSpan().IndexOfAny("&<>'\"") < 0)
            return value.AsMarkup(true);
        var builder = new StringValueBuilder(run);
        for (var offset = 0; offset < value.Text.Length; offset++)
            if (EscapeOf(value.Text[offset]) is { } escape)
                builder.Append(escape, value.IsRequestAt(offset));
            else
                builder.Append(value, offset, offset + 1);
        return builder.Build().AsMarkup(true);
    }

    private static string? EscapeOf(char character) => character switch
    {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '\'' => "&#39;",
        '"' => "&#34;",
        _ => null,
    };
}
