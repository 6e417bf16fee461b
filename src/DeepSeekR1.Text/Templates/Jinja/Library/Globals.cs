using System.Globalization;
using System.Text;

namespace DeepSeekR1.Text.Templates;

/// <summary>What every template can call: jinja2's globals, and raise_exception and strftime_now of Hugging Face.</summary>
internal static class JinjaGlobals
{
    /// <summary>All globals by name.</summary>
    public static readonly IReadOnlyDictionary<string, object> All = new JinjaCallable[]
    {
        new JinjaFunction("range", "start, stop=, step=", (_, a) => a[1] is null
            ? JinjaRange.Create(0, JinjaTypes.ToInteger(a[0]!), 1)
            : JinjaRange.Create(JinjaTypes.ToInteger(a[0]!), JinjaTypes.ToInteger(a[1]!), a[2] is null ? 1 : JinjaTypes.ToInteger(a[2]!))),
        new JinjaVariadic("dict", Dict),
        new JinjaVariadic("namespace", Namespace),
        new JinjaVariadic("cycler", (_, arguments) => arguments.Positional.Length > 0
            ? new JinjaCycler(arguments.Positional)
            : throw new TemplateException("RuntimeError", "at least one item has to be provided")),
        new JinjaFunction("joiner", "sep=", (_, a) => Joiner(a[0] ?? JinjaString.Literal(", "))),
        new JinjaFunction(
            "raise_exception", "message", (run, a) => throw new TemplateException("TemplateError", JinjaPrinter.Str(run, a[0]!).Text)),
        new JinjaFunction("strftime_now", "format", (run, a) => JinjaTime.Format(run, JinjaTypes.ToText(a[0]!))),
        new JinjaVariadic("lipsum", (_, _) => throw new TemplateException("RuntimeError", "lipsum is not available in chat templates")),
    }.ToDictionary(function => function.Name, function => (object)function);

    /// <summary>A copy of a dict.</summary>
    public static JinjaDict CopyDict(JinjaRun run, JinjaDict source)
    {
        var copy = new JinjaDict();
        run.ChargeItems(source.Count);
        foreach (var (key, value) in source.Entries)
            copy.Set(key, value);
        return copy;
    }

    private static object Dict(JinjaRun run, JinjaArguments arguments)
    {
        if (arguments.Positional.Length > 1)
            throw JinjaErrors.Type($"dict expected at most 1 argument, got {arguments.Positional.Length}");
        var dict = arguments.Positional switch
        {
            [] => new JinjaDict(),
            [JinjaDict source] => CopyDict(run, source),
            [var pairs, ..] => FromPairs(run, pairs),
        };
        foreach (var (name, value) in arguments.Keyword)
            dict.Set(JinjaString.Literal(name), value);
        return dict;
    }

    private static JinjaDict FromPairs(JinjaRun run, object source)
    {
        var dict = new JinjaDict();
        foreach (var pair in JinjaTypes.ToList(run, source))
        {
            if (JinjaTypes.ToList(run, pair) is not [var key, var value])
                throw JinjaErrors.Value("dictionary update sequence element has the wrong length; 2 is required");
            dict.Set(key, value);
        }
        return dict;
    }

    private static object Namespace(JinjaRun run, JinjaArguments arguments)
    {
        var space = new JinjaNamespace();
        foreach (var (key, value) in ((JinjaDict)Dict(run, arguments)).Entries)
            space.Set(JinjaTypes.ToText(key).Text, value);
        return space;
    }

    private static JinjaVariadic Joiner(object separator)
    {
        var isUsed = false;
        return new JinjaVariadic("joiner", (_, _) =>
        {
            var result = isUsed ? separator : JinjaString.Empty;
            isUsed = true;
            return result;
        });
    }
}

/// <summary>strftime with English names, as in the C locale.</summary>
internal static class JinjaTime
{
    /// <summary>The current local time in a format.</summary>
    public static JinjaString Format(JinjaRun run, JinjaString format)
    {
        var now = run.Clock.GetLocalNow();
        var text = new StringBuilder();
        for (var position = 0; position < format.Text.Length; position++)
        {
            if (format.Text[position] != '%' || position + 1 == format.Text.Length)
            {
                text.Append(format.Text[position]);
                continue;
            }
            var isPlain = format.Text[++position] == '-' && position + 1 < format.Text.Length;
            var value = Field(now, format.Text[isPlain ? ++position : position]);
            text.Append(isPlain && value.Length > 1 ? value.TrimStart('0', ' ') is { Length: > 0 } trimmed ? trimmed : "0" : value);
        }
        return JinjaString.Of(text.ToString(), format.HasRequestText);
    }

    private static string Field(DateTimeOffset now, char field)
    {
        string With(string format) => now.ToString(format, CultureInfo.InvariantCulture);
        return field switch
        {
            'a' => With("ddd"),
            'A' => With("dddd"),
            'b' or 'h' => With("MMM"),
            'B' => With("MMMM"),
            'c' => $"{With("ddd MMM")} {now.Day,2} {With("HH:mm:ss yyyy")}",
            'C' => (now.Year / 100).ToString("00", CultureInfo.InvariantCulture),
            'd' => With("dd"),
            'D' or 'x' => With("MM/dd/yy"),
            'e' => $"{now.Day,2}",
            'f' => With("ffffff"),
            'F' => With("yyyy-MM-dd"),
            'G' => ISOWeek.GetYear(now.DateTime).ToString(CultureInfo.InvariantCulture),
            'H' => With("HH"),
            'I' => With("hh"),
            'j' => now.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
            'k' => $"{now.Hour,2}",
            'l' => $"{((now.Hour + 11) % 12) + 1,2}",
            'm' => With("MM"),
            'M' => With("mm"),
            'n' => "\n",
            'p' => now.Hour < 12 ? "AM" : "PM",
            'r' => With("hh:mm:ss ") + (now.Hour < 12 ? "AM" : "PM"),
            'R' => With("HH:mm"),
            's' => now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'S' => With("ss"),
            't' => "\t",
            'T' or 'X' => With("HH:mm:ss"),
            'u' => (((int)now.DayOfWeek + 6) % 7 + 1).ToString(CultureInfo.InvariantCulture),
            'U' => ((now.DayOfYear + 6 - (int)now.DayOfWeek) / 7).ToString("00", CultureInfo.InvariantCulture),
            'V' => ISOWeek.GetWeekOfYear(now.DateTime).ToString("00", CultureInfo.InvariantCulture),
            'w' => ((int)now.DayOfWeek).ToString(CultureInfo.InvariantCulture),
            'W' => ((now.DayOfYear + 6 - (((int)now.DayOfWeek + 6) % 7)) / 7).ToString("00", CultureInfo.InvariantCulture),
            'y' => With("yy"),
            'Y' => With("yyyy"),
            // datetime.now() has no zone: these print nothing.
            'z' or 'Z' => "",
            '%' => "%",
            _ => "%" + field,
        };
    }
}
