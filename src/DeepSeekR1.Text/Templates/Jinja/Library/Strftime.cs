using System.Globalization;
using System.Text;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>strftime with English names, as in the C locale.</summary>
internal static class Strftime
{
    /// <summary>The current local time in a format.</summary>
    public static StringValue Format(Rendering run, StringValue format)
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
        return StringValue.Of(text.ToString(), format.HasRequestText);
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
