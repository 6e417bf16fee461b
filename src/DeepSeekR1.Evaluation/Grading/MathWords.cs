namespace DeepSeekR1.Evaluation.Grading;

/// <summary>Letters that are words, units, functions or separators, not products of variables.</summary>
internal static class MathWords
{
    internal static readonly HashSet<string> Functions =
    [
        "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "ln", "log", "lg", "exp", "sqrt",
        "gcd", "lcm", "max", "min", "det",
    ];

    private static readonly HashSet<string> Units =
    [
        "cm", "mm", "km", "dm", "nm", "kg", "mg", "ml", "mL", "kw", "kW", "kwh", "kWh", "hz", "Hz", "khz", "kHz", "mhz", "MHz", "pa", "kPa", "ft", "in", "yd", "mi", "lb", "lbs", "oz", "mph", "kph", "kmh",
        "hr", "hrs", "min", "mins", "sec", "secs", "ms", "rpm", "pm", "am", "gal", "qt", "pt", "usd", "USD", "eur", "EUR", "rad", "deg", "sq", "cu", "mol", "day", "days", "year", "years", "week", "weeks",
        "hour", "hours", "cent", "cents", "unit", "units", "inch", "feet", "foot", "mile", "miles", "gram", "grams", "ways", "men", "pens", "cats", "dogs", "eggs", "cups", "cup", "toys", "per", "and", "girls", "boys",
    ];

    private static readonly HashSet<string> ShortWords =
    [
        "no", "yes", "odd", "nan", "one", "two", "six", "ten", "all", "any", "not", "on", "it", "if", "is", "up", "so", "to", "of", "the", "for", "ans", "end", "neither", "none", "old", "many", "true", "false", "dne", "inf",
    ];

    /// <summary>Words after a number that are no unit: with them the number is not the answer.</summary>
    internal static readonly HashSet<string> NoUnits =
        ["not", "no", "is", "more", "less", "than", "least", "most", "dozen", "if", "but", "isn", "wrong", "false", "incorrect", "minus", "plus", "times", "mod", "where", "when", "for"];

    internal static readonly Dictionary<string, long> Multipliers = new() { ["hundred"] = 100, ["thousand"] = 1_000, ["million"] = 1_000_000, ["billion"] = 1_000_000_000, ["trillion"] = 1_000_000_000_000 };

    internal static IEnumerable<(MathTokenKind Kind, string Text)> Classify(string run, bool isText, bool afterValue, char next)
    {
        string lower = run.ToLowerInvariant();
        if (lower is "and" or "or")
            return [(MathTokenKind.Symbol, ",")];
        if (lower is "percent" or "percents")
            return [(MathTokenKind.Symbol, "%")];
        if (afterValue && run.Length > 1 && Units.Contains(run) && (isText || next is not ('(' or '^') || run is not ("sec" or "min")))
            return [(MathTokenKind.Word, lower)];
        if (Functions.Contains(run))
            return [(MathTokenKind.Command, run)];
        if (lower is "pi" or "infty" or "infinity" or "oo" or "inf")
            return [(MathTokenKind.Command, lower == "pi" ? "pi" : "infty")];
        if (isText)
            return [(MathTokenKind.Word, run.Length == 1 ? run : lower)];
        if (run.Length == 1)
            return [(MathTokenKind.Letter, run)];
        bool isName = run.Length >= 3 && char.IsAsciiLetterUpper(run[0]) && run.AsSpan(1).IndexOfAnyExceptInRange('a', 'z') < 0;
        if (isName || ShortWords.Contains(lower) || run.Length >= 4 && lower.AsSpan().IndexOfAny("eiou") >= 0 && PrefixFunction(run) is null)
            return [(MathTokenKind.Word, lower)];
        var letters = (PrefixFunction(run) is { } name ? run[name.Length..] : run).Select(c => (MathTokenKind.Letter, c.ToString()));
        return PrefixFunction(run) is { } function ? letters.Prepend((MathTokenKind.Command, function)) : letters;
    }

    /// <summary>sinx, cos2x, lnx: a function written against its argument.</summary>
    private static string? PrefixFunction(string run)
    {
        foreach (string name in (ReadOnlySpan<string>)["sin", "cos", "tan", "log", "ln", "sqrt", "exp"])
            if (run.StartsWith(name, StringComparison.Ordinal) && run.Length <= name.Length + 1)
                return name;
        return null;
    }
}
