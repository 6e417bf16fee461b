using System.Globalization;

namespace DeepSeekR1.Engine.Options;

/// <summary>Type and range of an option's values: reads them from text, says which are allowed, and says so in words.</summary>
/// <param name="Placeholder">What stands behind the flag in the help, for example <c>N</c>; null for a switch.</param>
/// <param name="Parse">Reads a text.</param>
/// <param name="Allows">Whether a value is in the range.</param>
/// <param name="Wanted">"must be ..." for a value that came as text: "an integer from 1 to 256".</param>
/// <param name="Limits">"it must be ..." for a value that is in a record: "between 1 and 256".</param>
/// <param name="Span">What the help adds about the range, for example ", 1 to 256"; may be empty.</param>
public sealed record OptionType<T>(string? Placeholder, OptionType.Reader<T> Parse, Func<T, bool> Allows, string Wanted, string Limits, string Span);

/// <summary>The kinds of values that options have.</summary>
public static class OptionType
{
    /// <summary>Reads a value; false when the text is not of the type. A refusal of its own replaces the usual sentence; {0} in it is the option.</summary>
    public delegate bool Reader<T>(string text, out T value, out string? refusal);

    /// <summary>A 32-bit integer; <see cref="int.MaxValue"/> as largest value is no limit.</summary>
    public static OptionType<int> Integer(int min, int max = int.MaxValue, string placeholder = "N")
    {
        bool Parse(string text, out int value, out string? refusal)
        {
            refusal = null;
            return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
        }

        return new OptionType<int>(placeholder, Parse,
            value => value >= min && value <= max, Wanted(min, max, max == int.MaxValue), Limits(min, max, max == int.MaxValue), max == int.MaxValue ? "" : $", {min} to {max}");
    }

    /// <summary>A 64-bit integer of at least some value.</summary>
    public static OptionType<long> LongInteger(long min, string placeholder = "N")
    {
        bool Parse(string text, out long value, out string? refusal)
        {
            refusal = null;
            return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
        }

        bool any = min == long.MinValue;
        return new OptionType<long>(placeholder, Parse, value => value >= min, any ? "an integer" : Wanted(min, 0, true), any ? "an integer" : Limits(min, 0, true), "");
    }

    /// <summary>A number from a least to a largest value; the least one itself may be excluded.</summary>
    public static OptionType<double> Number(double min, double max, bool above = false, string placeholder = "X", string? wanted = null)
    {
        static bool Parse(string text, out double value, out string? refusal)
        {
            refusal = null;
            return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
        }

        string limits = above ? $"above {min} and at most {max}" : double.IsInfinity(max) ? $"at least {min}" : $"between {min} and {max}";
        return new OptionType<double>(
            placeholder, Parse, value => (above ? value > min : value >= min) && value <= max, wanted ?? (above ? "a number " + limits : limits), limits,
            above ? $", above {min} to {max}" : double.IsInfinity(max) ? "" : $", {min} to {max}");
    }

    /// <summary>true or false; alone it is true.</summary>
    public static OptionType<bool> Switch()
    {
        static bool Parse(string text, out bool value, out string? refusal)
        {
            refusal = null;
            string lower = text.ToLowerInvariant();
            value = lower is "true" or "1" or "";
            return value || lower is "false" or "0";
        }

        return new OptionType<bool>(null, Parse, _ => true, "true or false", "true or false", "");
    }

    /// <summary>One of some words.</summary>
    public static OptionType<string> Choice(string placeholder, params string[] choices) => new(
        placeholder, Any, choices.Contains, "one of " + string.Join(", ", choices), InWords(choices), ": " + InWords(choices));

    /// <summary>One of some words, or nothing.</summary>
    public static OptionType<string> OptionalChoice(string placeholder, params string[] choices)
        => Choice(placeholder, choices) with { Limits = "one of " + string.Join(", ", choices) };

    /// <summary>One of some words, each of which means a value.</summary>
    public static OptionType<T> Meaning<T>(string placeholder, params (string Word, T Value)[] meanings)
    {
        bool Parse(string text, out T value, out string? refusal)
        {
            refusal = null;
            int at = Array.FindIndex(meanings, m => m.Word == text);
            value = at < 0 ? meanings[0].Value : meanings[at].Value;
            return at >= 0;
        }

        string[] words = [.. meanings.Select(m => m.Word)];
        return new OptionType<T>(placeholder, Parse, _ => true, "one of " + string.Join(", ", words), InWords(words), ": " + InWords(words));
    }

    /// <summary>Any text.</summary>
    public static OptionType<string> Text(string placeholder) => new(placeholder, Any, _ => true, "a text", "a text", "");

    /// <summary>One or more texts between commas. An empty list is a variable that was not set: nobody asks for a server without keys by naming none.</summary>
    public static OptionType<IReadOnlyList<string>> List(string placeholder)
    {
        static bool Parse(string text, out IReadOnlyList<string> value, out string? refusal)
        {
            value = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            refusal = value.Count > 0 ? null : "{0} is empty (" + $"'{text}'). Give at least one value, or leave the option out.";
            return refusal is null;
        }

        return new OptionType<IReadOnlyList<string>>(placeholder, Parse, _ => true, "a list", "a list", "; several separated by commas");
    }

    /// <summary>Path of a file that exists.</summary>
    /// <param name="placeholder">What stands behind the flag.</param>
    /// <param name="nothing">A word that stands for no file; null when there is none.</param>
    public static OptionType<string?> ExistingFile(string placeholder, string? nothing = null)
    {
        bool Parse(string text, out string? value, out string? refusal)
        {
            value = text == nothing ? null : text;
            refusal = value is null || File.Exists(text) ? null : "{0}: there is no file " + $"'{text}'.";
            return refusal is null;
        }

        return new OptionType<string?>(placeholder, Parse, _ => true, "a file", "a file", "");
    }

    /// <summary>An http or https address.</summary>
    public static OptionType<Uri> Address(string placeholder)
    {
        static bool Parse(string text, out Uri value, out string? refusal)
        {
            refusal = null;
            bool good = Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is "http" or "https";
            value = address!;
            return good;
        }

        return new OptionType<Uri>(placeholder, Parse, _ => true, "an http or https address", "an http or https address", "");
    }

    /// <summary>An option that is known and refused, unless it has its neutral value.</summary>
    public static OptionType<bool> Refused(string? placeholder, string neutral, string reason)
    {
        bool Parse(string text, out bool value, out string? refusal)
        {
            bool isSwitch = placeholder is null;
            value = false;
            refusal = text == neutral || (isSwitch && text.ToLowerInvariant() is "false" or "0") ? null
                : isSwitch ? "{0}: " + $"{reason}." : "{0} " + $"{text}: {reason}.";
            return refusal is null;
        }

        return new OptionType<bool>(placeholder, Parse, _ => true, neutral, neutral, "");
    }

    private static bool Any(string text, out string value, out string? refusal)
    {
        (value, refusal) = (text, null);
        return true;
    }

    private static string Wanted(long min, long max, bool open) => open ? $"an integer of at least {min}" : $"an integer from {min} to {max}";

    private static string Limits(long min, long max, bool open) => open ? $"at least {min}" : $"between {min} and {max}";

    private static string InWords(string[] words) => string.Join(", ", words[..^1]) + (words.Length > 1 ? " or " : "") + words[^1];
}
