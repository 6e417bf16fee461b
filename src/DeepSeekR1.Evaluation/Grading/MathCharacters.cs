using System.Text;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>Unicode spellings of mathematics as LaTeX: minus signs, full-width digits, roots, Greek letters, vulgar fractions, superscripts.</summary>
internal static class MathCharacters
{
    private const string Superscripts = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207f";
    private const string Subscripts = "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b";

    private static readonly Dictionary<char, string> Spellings = new()
    {
        ['\u2212'] = "-",
        ['\ufe63'] = "-",
        ['\u2013'] = "-",
        ['\u2014'] = "-",
        ['\u2010'] = "-",
        ['\u2011'] = "-",
        ['\u00d7'] = @"\times ",
        ['\u00b7'] = @"\cdot ",
        ['\u22c5'] = @"\cdot ",
        ['\u2219'] = @"\cdot ",
        ['\u2217'] = "*",
        ['\u00f7'] = "/",
        ['\u2044'] = "/",
        ['\u2215'] = "/",
        ['\u221a'] = @"\surd ",
        ['\u03c0'] = @"\pi ",
        ['\u221e'] = @"\infty ",
        ['\u2205'] = @"\emptyset ",
        ['\u00b1'] = @"\pm ",
        ['\u2213'] = @"\mp ",
        ['\u2264'] = @"\le ",
        ['\u2a7d'] = @"\le ",
        ['\u2265'] = @"\ge ",
        ['\u2a7e'] = @"\ge ",
        ['\u2260'] = @"\ne ",
        ['\u2248'] = @"\approx ",
        ['\u221b'] = @"\cbrt ",
        ['\u2026'] = @"\ldots ",
        ['\u2208'] = @"\in ",
        ['\u222a'] = @"\cup ",
        ['\u2229'] = @"\cap ",
        ['\u00b0'] = @"^\circ ",
        ['\u00ba'] = @"^\circ ",
        ['\u27e8'] = "(",
        ['\u27e9'] = ")",
        ['\u2032'] = "'",
        ['\u2216'] = @"\setminus ",
        ['\u211d'] = @"\mathbb{R}",
        ['\u2124'] = @"\mathbb{Z}",
        ['\u2115'] = @"\mathbb{N}",
        ['\u211a'] = @"\mathbb{Q}",
        ['\u03b1'] = @"\alpha ",
        ['\u03b2'] = @"\beta ",
        ['\u03b3'] = @"\gamma ",
        ['\u03b4'] = @"\delta ",
        ['\u03b5'] = @"\epsilon ",
        ['\u03b8'] = @"\theta ",
        ['\u03bb'] = @"\lambda ",
        ['\u03bc'] = @"\mu ",
        ['\u03c1'] = @"\rho ",
        ['\u03c3'] = @"\sigma ",
        ['\u03c4'] = @"\tau ",
        ['\u03c6'] = @"\phi ",
        ['\u03d5'] = @"\phi ",
        ['\u03c9'] = @"\omega ",
        ['\u0394'] = @"\Delta ",
        ['\u2220'] = @"\angle ",
        ['\u25b3'] = @"\triangle ",
        ['\u2223'] = "|",
        ['\u2236'] = ":",
        ['\u00bd'] = Fraction(1, 2),
        ['\u2153'] = Fraction(1, 3),
        ['\u2154'] = Fraction(2, 3),
        ['\u00bc'] = Fraction(1, 4),
        ['\u00be'] = Fraction(3, 4),
        ['\u2155'] = Fraction(1, 5),
        ['\u2156'] = Fraction(2, 5),
        ['\u2157'] = Fraction(3, 5),
        ['\u2158'] = Fraction(4, 5),
        ['\u2159'] = Fraction(1, 6),
        ['\u215a'] = Fraction(5, 6),
        ['\u2150'] = Fraction(1, 7),
        ['\u215b'] = Fraction(1, 8),
        ['\u215c'] = Fraction(3, 8),
        ['\u215d'] = Fraction(5, 8),
        ['\u215e'] = Fraction(7, 8),
        ['\u2151'] = Fraction(1, 9),
        ['\u2152'] = Fraction(1, 10),
        ['\u3001'] = ",",
        ['\u3002'] = ".",
        ['\u6216'] = @"\text{ or }",
        ['\u548c'] = @"\text{ and }",
        ['\u00a0'] = " ",
        ['\u2009'] = @"\,",
        ['\u202f'] = @"\,",
        ['\u3000'] = " ",
        ['\u20ac'] = "",
        ['\u00a3'] = "",
        ['\u00a5'] = "",
        ['\u20b9'] = "",
        ['\u20bd'] = "",
        ['\u00a2'] = @"\text{ cents}",
        ['|'] = "|",
        ['\u201c'] = "",
        ['\u201d'] = "",
    };

    /// <summary>The text in LaTeX with ASCII where there is a spelling; zero-width characters are gone.</summary>
    internal static string ToLatex(string text)
    {
        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c is >= '\uff01' and <= '\uff5e')
                c = (char)(c - 0xfee0);
            if (c is '\u200b' or '\u200c' or '\u200d' or '\u2060' or '\ufeff' or '\u00ad' or '\u2061' or '\u2062' or '\u2063')
                continue;
            if (Run(text, ref i, Superscripts, "0123456789+-n") is { } exponent)
                result.Append("^{").Append(exponent).Append('}');
            else if (Run(text, ref i, Subscripts, "0123456789+-") is { } index)
                result.Append("_{").Append(index).Append('}');
            else if (Spellings.TryGetValue(c, out string? spelling))
                result.Append(spelling);
            else
                result.Append(c);
        }

        return result.ToString();
    }

    /// <summary>The run of small digits that begins at <paramref name="i"/> as plain digits; i moves to its last character. Null when there is none.</summary>
    private static string? Run(string text, ref int i, string small, string plain)
    {
        int end = i;
        var run = new StringBuilder();
        for (int at; end < text.Length && (at = small.IndexOf(text[end])) >= 0; end++)
            run.Append(plain[at]);
        if (end == i)
            return null;
        i = end - 1;
        return run.ToString();
    }

    private static string Fraction(int top, int bottom) => $"\\frac{{{top}}}{{{bottom}}}";
}
