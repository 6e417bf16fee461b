using System.Globalization;
using System.Text;

namespace DeepSeekR1.Text.Templates;

/// <summary>The methods of Python's str. Offsets inside are UTF-16; what a template sees counts code points.</summary>
internal static class JinjaStringMethods
{
    /// <summary>All methods by name; the first argument is the string.</summary>
    public static readonly Dictionary<string, JinjaCallable> All = new JinjaCallable[]
    {
        Method("strip", "chars=", (run, s, a) => Strip(run, s, a[1], left: true, right: true)),
        Method("lstrip", "chars=", (run, s, a) => Strip(run, s, a[1], left: true, right: false)),
        Method("rstrip", "chars=", (run, s, a) => Strip(run, s, a[1], left: false, right: true)),
        Method("split", "sep=, maxsplit=", (run, s, a) => List(JinjaSplitting.Split(run, s, Separator(a[1]), Count(a[2])))),
        Method("rsplit", "sep=, maxsplit=", (run, s, a) => List(JinjaSplitting.SplitRight(run, s, Separator(a[1]), Count(a[2])))),
        Method("splitlines", "keepends=", (run, s, a) => List(JinjaSplitting.SplitLines(run, s, IsSet(a[1])))),
        Method("partition", "sep", (run, s, a) => Partition(run, s, Text(a[1]!), isRight: false)),
        Method("rpartition", "sep", (run, s, a) => Partition(run, s, Text(a[1]!), isRight: true)),
        Method("join", "iterable", (run, s, a) => Join(run, s, a[1]!)),
        Method("replace", "old, new, count=", (run, s, a) => Replace(run, s, Text(a[1]!), Text(a[2]!), Count(a[3]))),
        Method("removeprefix", "prefix", (_, s, a) => RemovePrefix(s, Text(a[1]!).Text)),
        Method("removesuffix", "suffix", (_, s, a) => RemoveSuffix(s, Text(a[1]!).Text)),
        Method("startswith", "prefix, start=, end=", (_, s, a) => HasAffix(s, a, StartsWith)),
        Method("endswith", "suffix, start=, end=", (_, s, a) => HasAffix(s, a, EndsWith)),
        Method("find", "sub, start=, end=", (run, s, a) => JinjaBox.Int(Find(run, s, a, isRight: false))),
        Method("rfind", "sub, start=, end=", (run, s, a) => JinjaBox.Int(Find(run, s, a, isRight: true))),
        Method("index", "sub, start=, end=", (run, s, a) => Found(Find(run, s, a, isRight: false))),
        Method("rindex", "sub, start=, end=", (run, s, a) => Found(Find(run, s, a, isRight: true))),
        Method("count", "sub, start=, end=", (run, s, a) => JinjaBox.Int(CountOf(run, s, a))),
        Method("upper", "", (run, s, _) => JinjaCasing.Upper(run, s)),
        Method("lower", "", (run, s, _) => JinjaCasing.Lower(run, s)),
        Method("casefold", "", (run, s, _) => JinjaCasing.Lower(run, s)),
        Method("title", "", (run, s, _) => JinjaCasing.Title(run, s)),
        Method("capitalize", "", (run, s, _) => JinjaCasing.Capitalize(run, s)),
        Method("swapcase", "", (run, s, _) => JinjaCasing.Swap(run, s)),
        Method("isupper", "", (_, s, _) => JinjaBox.Bool(JinjaCasing.IsAll(s, upper: true))),
        Method("islower", "", (_, s, _) => JinjaBox.Bool(JinjaCasing.IsAll(s, upper: false))),
        Method("istitle", "", (run, s, _) => JinjaBox.Bool(s.Text.Any(char.IsLetter) && JinjaCasing.Title(run, s).Text == s.Text)),
        Method("isdigit", "", (_, s, _) => AreAll(s, (text, offset) => CharUnicodeInfo.GetDigitValue(text, offset) >= 0)),
        Method("isdecimal", "", (_, s, _) => AreAll(s, (text, offset) => CharUnicodeInfo.GetDecimalDigitValue(text, offset) >= 0)),
        Method("isnumeric", "", (_, s, _) => AreAll(s, (text, offset) => CharUnicodeInfo.GetNumericValue(text, offset) >= 0)),
        Method("isalpha", "", (_, s, _) => AreAll(s, IsLetter)),
        Method("isalnum", "", (_, s, _) => AreAll(s, IsAlphanumeric)),
        Method("isspace", "", (_, s, _) => AreAll(s, (text, offset) => JinjaText.IsSpace(text[offset]))),
        Method("isascii", "", (_, s, _) => JinjaBox.Bool(Ascii.IsValid(s.Text))),
        Method("isprintable", "", (_, s, _) => JinjaBox.Bool(s.Text.Length == 0 || (bool)AreAll(s, IsPrintable))),
        Method("isidentifier", "", (_, s, _) => JinjaBox.Bool(IsIdentifier(s.Text))),
        Method("zfill", "width", (run, s, a) => FillZeros(run, s, JinjaTypes.Clamp(a[1]!))),
        Method("ljust", "width, fillchar=", (run, s, a) => Pad(run, s, a, padding => (0, padding))),
        Method("rjust", "width, fillchar=", (run, s, a) => Pad(run, s, a, padding => (padding, 0))),
        Method("center", "width, fillchar=", (run, s, a) => Center(run, s, a)),
        Method("expandtabs", "tabsize=", (run, s, a) => ExpandTabs(run, s, a[1] is null ? 8 : JinjaTypes.Clamp(a[1]!))),
        Method("encode", "encoding=, errors=", (_, s, _) => new JinjaBytes(Encoding.UTF8.GetBytes(s.Text), s.HasRequestText)),
        Variadic("format", JinjaFormat.Format),
        Method("format_map", "mapping", (run, s, a) => JinjaFormat.FormatMap(run, s, a[1]!)),
    }.ToDictionary(method => method.Name);

    /// <summary>str.isalnum of one code point.</summary>
    public static bool IsAlphanumeric(string text, int offset) =>
        IsLetter(text, offset) || CharUnicodeInfo.GetNumericValue(text, offset) >= 0;

    /// <summary>str.strip and its one-sided forms: white space, or any of the given characters.</summary>
    public static JinjaString Strip(JinjaRun run, JinjaString value, object? characters, bool left, bool right)
    {
        var text = value.Text;
        run.Charge(text.Length);
        var set = characters is null or JinjaNone ? null : Text(characters).CodePoints().Select(character => character.Text).ToHashSet();
        bool IsStripped(int offset, int width) =>
            set is null ? JinjaText.IsSpace(text[offset]) : set.Contains(text.Substring(offset, width));
        int start = 0, end = text.Length;
        while (left && start < end && JinjaString.WidthAt(text, start) is var width && IsStripped(start, width))
            start += width;
        while (right && start < end && WidthBefore(text, end) is var width && IsStripped(end - width, width))
            end -= width;
        return value.Slice(start, end);
    }

    /// <summary>str.replace; at most <paramref name="count"/> times, all when it is negative.</summary>
    public static JinjaString Replace(JinjaRun run, JinjaString value, JinjaString old, JinjaString replacement, int count)
    {
        run.Charge(JinjaOperators.SearchCost(value.Text, old.Text));
        var builder = new JinjaStringBuilder(run);
        var position = 0;
        for (var search = 0; count != 0 && search <= value.Text.Length; count--)
        {
            var found = value.Text.IndexOf(old.Text, search, StringComparison.Ordinal);
            if (found < 0)
                break;
            builder.Append(value, position, found).Append(replacement);
            position = found + old.Text.Length;
            // An empty pattern matches before every character and at the end.
            search = old.Text.Length > 0 ? position : found + (found < value.Text.Length ? JinjaString.WidthAt(value.Text, found) : 1);
        }
        return position == 0 && builder.Length == 0
            ? value
            : builder.Append(value, position, value.Text.Length).Build().AsMarkup(value.IsMarkup);
    }

    /// <summary>separator.join(parts) of things that are already text.</summary>
    public static JinjaString JoinTexts(JinjaRun run, JinjaString separator, IEnumerable<JinjaString> parts)
    {
        var builder = new JinjaStringBuilder(run);
        var isFirst = true;
        foreach (var part in parts)
        {
            if (!isFirst)
                builder.Append(separator);
            builder.Append(part);
            isFirst = false;
        }
        return builder.Build();
    }

    /// <summary>str.center as CPython does it: the odd blank goes left when the width is odd.</summary>
    public static JinjaString Center(JinjaRun run, JinjaString value, object?[] arguments) => Pad(run, value, arguments, padding =>
    {
        var left = (padding / 2) + (padding & JinjaTypes.Clamp(arguments[1]!) & 1);
        return (left, padding - left);
    });

    private static JinjaFunction Method(string name, string parameters, Func<JinjaRun, JinjaString, object?[], object> body) =>
        new(name, "self, " + parameters, (run, a) => body(run, (JinjaString)a[0]!, a));

    private static JinjaVariadic Variadic(string name, Func<JinjaRun, JinjaArguments, object> body) => new(name, body);

    private static JinjaString Text(object value) => JinjaTypes.ToText(value);

    private static JinjaString? Separator(object? value) => value is null or JinjaNone ? null : Text(value);

    private static int Count(object? value) => value is null or JinjaNone ? -1 : JinjaTypes.Clamp(value);

    private static JinjaList List(List<JinjaString> parts) => new(parts);

    private static object Found(int index) => index >= 0 ? JinjaBox.Int(index) : throw JinjaErrors.Value("substring not found");

    private static int WidthBefore(string text, int end) => end >= 2 && JinjaString.WidthAt(text, end - 2) == 2 ? 2 : 1;

    private static bool IsLetter(string text, int offset) => JinjaString.CategoryAt(text, offset) is <= UnicodeCategory.OtherLetter;

    private static bool IsPrintable(string text, int offset) =>
        text[offset] == ' ' || JinjaPrinter.IsPrintable(JinjaString.CategoryAt(text, offset));

    private static bool StartsWith(string text, string part) => text.StartsWith(part, StringComparison.Ordinal);

    private static bool EndsWith(string text, string part) => text.EndsWith(part, StringComparison.Ordinal);

    private static JinjaString RemovePrefix(JinjaString value, string prefix) =>
        StartsWith(value.Text, prefix) ? value.Slice(prefix.Length, value.Text.Length) : value;

    private static JinjaString RemoveSuffix(JinjaString value, string suffix) =>
        EndsWith(value.Text, suffix) ? value.Slice(0, value.Text.Length - suffix.Length) : value;

    private static bool IsSet(object? flag) => flag is not null && JinjaTypes.IsTrue(flag);

    private static bool IsIdentifier(string text) =>
        text.Length > 0 && !char.IsDigit(text[0]) && text.All(character => character == '_' || char.IsLetterOrDigit(character));

    private static object AreAll(JinjaString value, Func<string, int, bool> test)
    {
        for (var offset = 0; offset < value.Text.Length; offset += JinjaString.WidthAt(value.Text, offset))
            if (!test(value.Text, offset))
                return JinjaBox.False;
        return JinjaBox.Bool(value.Text.Length > 0);
    }

    private static JinjaString Join(JinjaRun run, JinjaString separator, object iterable)
    {
        var parts = JinjaTypes.Iterate(iterable).Select((item, index) => item as JinjaString
            ?? throw JinjaErrors.Type($"sequence item {index}: expected str instance, {JinjaTypes.Name(item)} found"));
        return JoinTexts(run, separator, parts).AsMarkup(separator.IsMarkup);
    }

    private static JinjaTuple Partition(JinjaRun run, JinjaString value, JinjaString separator, bool isRight)
    {
        if (separator.Text.Length == 0)
            throw JinjaErrors.Value("empty separator");
        run.Charge(JinjaOperators.SearchCost(value.Text, separator.Text));
        var found = isRight
            ? value.Text.LastIndexOf(separator.Text, StringComparison.Ordinal)
            : value.Text.IndexOf(separator.Text, StringComparison.Ordinal);
        if (found < 0)
            return new JinjaTuple(isRight ? [JinjaString.Empty, JinjaString.Empty, value] : [value, JinjaString.Empty, JinjaString.Empty]);
        return new JinjaTuple([value.Slice(0, found), separator, value.Slice(found + separator.Text.Length, value.Text.Length)]);
    }

    // The part of the string that the arguments start and end (at 2 and 3) select, with its first code point index.
    private static (JinjaString Part, int Start)? Window(JinjaString value, object?[] arguments)
    {
        if (arguments[2] is null && arguments[3] is null)
            return (value, 0);
        var (start, stop, _) = JinjaSlicing.Bounds(value.Length, arguments[2], arguments[3], null);
        // A start behind the end finds nothing, not even the empty string.
        if (start > stop || (arguments[2] is not (null or JinjaNone) && JinjaTypes.Clamp(arguments[2]!) > value.Length))
            return null;
        return (value.Slice(value.OffsetOf(start), value.OffsetOf(stop)), start);
    }

    private static object HasAffix(JinjaString value, object?[] arguments, Func<string, string, bool> matches)
    {
        var candidates = arguments[1] is JinjaTuple tuple ? tuple.Items : [arguments[1]!];
        return JinjaBox.Bool(candidates.Select(Text).ToList() is var parts
            && Window(value, arguments) is var (window, _) && parts.Exists(part => matches(window.Text, part.Text)));
    }

    private static int Find(JinjaRun run, JinjaString value, object?[] arguments, bool isRight)
    {
        var part = Text(arguments[1]!).Text;
        run.Charge(JinjaOperators.SearchCost(value.Text, part));
        if (Window(value, arguments) is not var (window, start))
            return -1;
        var found = isRight ? window.Text.LastIndexOf(part, StringComparison.Ordinal) : window.Text.IndexOf(part, StringComparison.Ordinal);
        return found < 0 ? -1 : start + window.IndexOf(found);
    }

    private static int CountOf(JinjaRun run, JinjaString value, object?[] arguments)
    {
        var part = Text(arguments[1]!).Text;
        run.Charge(JinjaOperators.SearchCost(value.Text, part));
        if (Window(value, arguments) is not var (window, _))
            return 0;
        return part.Length == 0 ? window.Length + 1 : window.Text.AsSpan().Count(part);
    }

    private static JinjaString FillZeros(JinjaRun run, JinjaString value, int width)
    {
        var sign = value.Text.Length > 0 && value.Text[0] is '+' or '-' ? 1 : 0;
        var padding = Repeat(run, JinjaString.Literal("0"), width - value.Length);
        return new JinjaStringBuilder(run).Append(value, 0, sign).Append(padding).Append(value, sign, value.Text.Length).Build();
    }

    private static JinjaString Pad(JinjaRun run, JinjaString value, object?[] arguments, Func<int, (int Left, int Right)> divide)
    {
        var fill = arguments[2] is null ? JinjaString.Literal(" ") : Text(arguments[2]!);
        if (fill.Length != 1)
            throw JinjaErrors.Type("The fill character must be exactly one character long");
        var padding = JinjaTypes.Clamp(arguments[1]!) - value.Length;
        if (padding <= 0)
            return value;
        var (left, right) = divide(padding);
        var builder = new JinjaStringBuilder(run).Append(Repeat(run, fill, left)).Append(value).Append(Repeat(run, fill, right));
        return builder.Build().AsMarkup(value.IsMarkup);
    }

    private static JinjaString Repeat(JinjaRun run, JinjaString text, int count) =>
        (JinjaString)JinjaArithmetic.Apply(run, "*", text, JinjaBox.Int(count));

    private static JinjaString ExpandTabs(JinjaRun run, JinjaString value, int size)
    {
        var builder = new JinjaStringBuilder(run);
        var column = 0;
        foreach (var character in value.CodePoints())
        {
            if (character.Text == "\t")
            {
                var blanks = size > 0 ? size - (column % size) : 0;
                run.ChargeText(builder.Length, blanks);
                builder.Append(new string(' ', blanks), character.HasRequestText);
                column += blanks;
                continue;
            }
            builder.Append(character);
            column = character.Text is "\n" or "\r" ? 0 : column + 1;
        }
        return builder.Build();
    }
}
