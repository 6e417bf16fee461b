using System.Globalization;
using System.Text;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The methods of Python's str. Offsets inside are UTF-16; what a template sees counts code points.</summary>
internal static class StringMethods
{
    /// <summary>All methods by name; the first argument is the string.</summary>
    public static readonly IReadOnlyDictionary<string, Callable> All = new Callable[]
    {
        Method("strip", "chars=", (run, s, a) => Strip(run, s, a[1], left: true, right: true)),
        Method("lstrip", "chars=", (run, s, a) => Strip(run, s, a[1], left: true, right: false)),
        Method("rstrip", "chars=", (run, s, a) => Strip(run, s, a[1], left: false, right: true)),
        Method("split", "sep=, maxsplit=", (run, s, a) => List(Splitting.Split(run, s, Separator(a[1]), Count(a[2])))),
        Method("rsplit", "sep=, maxsplit=", (run, s, a) => List(Splitting.SplitRight(run, s, Separator(a[1]), Count(a[2])))),
        Method("splitlines", "keepends=", (run, s, a) => List(Splitting.SplitLines(run, s, IsSet(a[1])))),
        Method("partition", "sep", (run, s, a) => Partition(run, s, Text(a[1]!), isRight: false)),
        Method("rpartition", "sep", (run, s, a) => Partition(run, s, Text(a[1]!), isRight: true)),
        Method("join", "iterable", (run, s, a) => Join(run, s, a[1]!)),
        Method("replace", "old, new, count=", (run, s, a) => Replace(run, s, Text(a[1]!), Text(a[2]!), Count(a[3]))),
        Method("removeprefix", "prefix", (_, s, a) => RemovePrefix(s, Text(a[1]!).Text)),
        Method("removesuffix", "suffix", (_, s, a) => RemoveSuffix(s, Text(a[1]!).Text)),
        Method("startswith", "prefix, start=, end=", (_, s, a) => HasAffix(s, a, StartsWith)),
        Method("endswith", "suffix, start=, end=", (_, s, a) => HasAffix(s, a, EndsWith)),
        Method("find", "sub, start=, end=", (run, s, a) => Boxed.Int(Find(run, s, a, isRight: false))),
        Method("rfind", "sub, start=, end=", (run, s, a) => Boxed.Int(Find(run, s, a, isRight: true))),
        Method("index", "sub, start=, end=", (run, s, a) => Found(Find(run, s, a, isRight: false))),
        Method("rindex", "sub, start=, end=", (run, s, a) => Found(Find(run, s, a, isRight: true))),
        Method("count", "sub, start=, end=", (run, s, a) => Boxed.Int(CountOf(run, s, a))),
        Method("upper", "", (run, s, _) => Casing.Upper(run, s)),
        Method("lower", "", (run, s, _) => Casing.Lower(run, s)),
        Method("casefold", "", (run, s, _) => Casing.Lower(run, s)),
        Method("title", "", (run, s, _) => Casing.Title(run, s)),
        Method("capitalize", "", (run, s, _) => Casing.Capitalize(run, s)),
        Method("swapcase", "", (run, s, _) => Casing.Swap(run, s)),
        Method("isupper", "", (_, s, _) => Boxed.Bool(Casing.IsAll(s, upper: true))),
        Method("islower", "", (_, s, _) => Boxed.Bool(Casing.IsAll(s, upper: false))),
        Method("istitle", "", (run, s, _) => Boxed.Bool(s.Text.Any(char.IsLetter) && Casing.Title(run, s).Text == s.Text)),
        Method("isdigit", "", (_, s, _) => AreAll(s, (text, offset) => CharUnicodeInfo.GetDigitValue(text, offset) >= 0)),
        Method("isdecimal", "", (_, s, _) => AreAll(s, (text, offset) => CharUnicodeInfo.GetDecimalDigitValue(text, offset) >= 0)),
        Method("isnumeric", "", (_, s, _) => AreAll(s, (text, offset) => CharUnicodeInfo.GetNumericValue(text, offset) >= 0)),
        Method("isalpha", "", (_, s, _) => AreAll(s, IsLetter)),
        Method("isalnum", "", (_, s, _) => AreAll(s, IsAlphanumeric)),
        Method("isspace", "", (_, s, _) => AreAll(s, (text, offset) => WhiteSpace.IsSpace(text[offset]))),
        Method("isascii", "", (_, s, _) => Boxed.Bool(Ascii.IsValid(s.Text))),
        Method("isprintable", "", (_, s, _) => Boxed.Bool(s.Text.Length == 0 || (bool)AreAll(s, IsPrintable))),
        Method("isidentifier", "", (_, s, _) => Boxed.Bool(IsIdentifier(s.Text))),
        Method("zfill", "width", (run, s, a) => FillZeros(run, s, Protocols.Clamp(a[1]!))),
        Method("ljust", "width, fillchar=", (run, s, a) => Pad(run, s, a, padding => (0, padding))),
        Method("rjust", "width, fillchar=", (run, s, a) => Pad(run, s, a, padding => (padding, 0))),
        Method("center", "width, fillchar=", (run, s, a) => Center(run, s, a)),
        Method("expandtabs", "tabsize=", (run, s, a) => ExpandTabs(run, s, a[1] is null ? 8 : Protocols.Clamp(a[1]!))),
        Method("encode", "encoding=, errors=", (_, s, _) => new BytesValue(Encoding.UTF8.GetBytes(s.Text), s.HasRequestText)),
        Variadic("format", Formatting.Format),
        Method("__mod__", "values", (run, s, a) => Formatting.Percent(run, s, a[1]!)),
        Method("format_map", "mapping", (run, s, a) => Formatting.FormatMap(run, s, a[1]!)),
    }.ToDictionary(method => method.Name);

    /// <summary>str.isalnum of one code point.</summary>
    public static bool IsAlphanumeric(string text, int offset) =>
        IsLetter(text, offset) || CharUnicodeInfo.GetNumericValue(text, offset) >= 0;

    /// <summary>str.strip and its one-sided forms: white space, or any of the given characters.</summary>
    public static StringValue Strip(Rendering run, StringValue value, object? characters, bool left, bool right)
    {
        var text = value.Text;
        run.Charge(text.Length);
        var set = characters is null or NoneValue ? null : Text(characters).CodePoints().Select(character => character.Text).ToHashSet();
        bool IsStripped(int offset, int width) =>
            set is null ? WhiteSpace.IsSpace(text[offset]) : set.Contains(text.Substring(offset, width));
        int start = 0, end = text.Length;
        while (left && start < end && StringValue.WidthAt(text, start) is var width && IsStripped(start, width))
            start += width;
        while (right && start < end && WidthBefore(text, end) is var width && IsStripped(end - width, width))
            end -= width;
        return value.Slice(start, end);
    }

    /// <summary>str.replace; at most <paramref name="count"/> times, all when it is negative.</summary>
    public static StringValue Replace(Rendering run, StringValue value, StringValue old, StringValue replacement, int count)
    {
        run.Charge(Comparison.SearchCost(value.Text, old.Text));
        var builder = new StringValueBuilder(run);
        var position = 0;
        for (var search = 0; count != 0 && search <= value.Text.Length; count--)
        {
            var found = value.Text.IndexOf(old.Text, search, StringComparison.Ordinal);
            if (found < 0)
                break;
            builder.Append(value, position, found).Append(replacement);
            position = found + old.Text.Length;
            // An empty pattern matches before every character and at the end.
            search = old.Text.Length > 0 ? position : found + (found < value.Text.Length ? StringValue.WidthAt(value.Text, found) : 1);
        }
        return position == 0 && builder.Length == 0
            ? value
            : builder.Append(value, position, value.Text.Length).Build().AsMarkup(value.IsMarkup);
    }

    /// <summary>separator.join(parts) of things that are already text.</summary>
    public static StringValue JoinTexts(Rendering run, StringValue separator, IEnumerable<StringValue> parts)
    {
        var builder = new StringValueBuilder(run);
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
    public static StringValue Center(Rendering run, StringValue value, object?[] arguments) => Pad(run, value, arguments, padding =>
    {
        var left = (padding / 2) + (padding & Protocols.Clamp(arguments[1]!) & 1);
        return (left, padding - left);
    });

    private static Function Method(string name, string parameters, Func<Rendering, StringValue, object?[], object> body) =>
        new(name, "self, " + parameters, (run, a) => body(run, (StringValue)a[0]!, a));

    private static VariadicFunction Variadic(string name, Func<Rendering, Arguments, object> body) => new(name, body);

    private static StringValue Text(object value) => Protocols.ToText(value);

    private static StringValue? Separator(object? value) => value is null or NoneValue ? null : Text(value);

    private static int Count(object? value) => value is null or NoneValue ? -1 : Protocols.Clamp(value);

    private static ListValue List(List<StringValue> parts) => new(parts);

    private static object Found(int index) => index >= 0 ? Boxed.Int(index) : throw Errors.Value("substring not found");

    private static int WidthBefore(string text, int end) => end >= 2 && StringValue.WidthAt(text, end - 2) == 2 ? 2 : 1;

    private static bool IsLetter(string text, int offset) => StringValue.CategoryAt(text, offset) is <= UnicodeCategory.OtherLetter;

    private static bool IsPrintable(string text, int offset) =>
        text[offset] == ' ' || Printer.IsPrintable(StringValue.CategoryAt(text, offset));

    private static bool StartsWith(string text, string part) => text.StartsWith(part, StringComparison.Ordinal);

    private static bool EndsWith(string text, string part) => text.EndsWith(part, StringComparison.Ordinal);

    private static StringValue RemovePrefix(StringValue value, string prefix) =>
        StartsWith(value.Text, prefix) ? value.Slice(prefix.Length, value.Text.Length) : value;

    private static StringValue RemoveSuffix(StringValue value, string suffix) =>
        EndsWith(value.Text, suffix) ? value.Slice(0, value.Text.Length - suffix.Length) : value;

    private static bool IsSet(object? flag) => flag is not null && Protocols.IsTrue(flag);

    private static bool IsIdentifier(string text) =>
        text.Length > 0 && !char.IsDigit(text[0]) && text.All(character => character == '_' || char.IsLetterOrDigit(character));

    private static object AreAll(StringValue value, Func<string, int, bool> test)
    {
        for (var offset = 0; offset < value.Text.Length; offset += StringValue.WidthAt(value.Text, offset))
            if (!test(value.Text, offset))
                return Boxed.False;
        return Boxed.Bool(value.Text.Length > 0);
    }

    private static StringValue Join(Rendering run, StringValue separator, object iterable)
    {
        var parts = Protocols.Iterate(iterable).Select((item, index) => item as StringValue
            ?? throw Errors.Type($"sequence item {index}: expected str instance, {Protocols.TypeName(item)} found"));
        return JoinTexts(run, separator, parts).AsMarkup(separator.IsMarkup);
    }

    private static TupleValue Partition(Rendering run, StringValue value, StringValue separator, bool isRight)
    {
        if (separator.Text.Length == 0)
            throw Errors.Value("empty separator");
        run.Charge(Comparison.SearchCost(value.Text, separator.Text));
        var found = isRight
            ? value.Text.LastIndexOf(separator.Text, StringComparison.Ordinal)
            : value.Text.IndexOf(separator.Text, StringComparison.Ordinal);
        if (found < 0)
            return new TupleValue(isRight ? [StringValue.Empty, StringValue.Empty, value] : [value, StringValue.Empty, StringValue.Empty]);
        return new TupleValue([value.Slice(0, found), separator, value.Slice(found + separator.Text.Length, value.Text.Length)]);
    }

    // The part of the string that the arguments start and end (at 2 and 3) select, with its first code point index.
    private static (StringValue Part, int Start)? Window(StringValue value, object?[] arguments)
    {
        if (arguments[2] is null && arguments[3] is null)
            return (value, 0);
        var (start, stop, _) = Slicing.Bounds(value.Length, arguments[2], arguments[3], null);
        // A start behind the end finds nothing, not even the empty string.
        if (start > stop || (arguments[2] is not (null or NoneValue) && Protocols.Clamp(arguments[2]!) > value.Length))
            return null;
        return (value.Slice(value.OffsetOf(start), value.OffsetOf(stop)), start);
    }

    private static object HasAffix(StringValue value, object?[] arguments, Func<string, string, bool> matches)
    {
        var candidates = arguments[1] is TupleValue tuple ? tuple.Items : [arguments[1]!];
        return Boxed.Bool(candidates.Select(Text).ToList() is var parts
            && Window(value, arguments) is var (window, _) && parts.Exists(part => matches(window.Text, part.Text)));
    }

    private static int Find(Rendering run, StringValue value, object?[] arguments, bool isRight)
    {
        var part = Text(arguments[1]!).Text;
        run.Charge(Comparison.SearchCost(value.Text, part));
        if (Window(value, arguments) is not var (window, start))
            return -1;
        var found = isRight ? window.Text.LastIndexOf(part, StringComparison.Ordinal) : window.Text.IndexOf(part, StringComparison.Ordinal);
        return found < 0 ? -1 : start + window.IndexOf(found);
    }

    private static int CountOf(Rendering run, StringValue value, object?[] arguments)
    {
        var part = Text(arguments[1]!).Text;
        run.Charge(Comparison.SearchCost(value.Text, part));
        if (Window(value, arguments) is not var (window, _))
            return 0;
        return part.Length == 0 ? window.Length + 1 : window.Text.AsSpan().Count(part);
    }

    private static StringValue FillZeros(Rendering run, StringValue value, int width)
    {
        var sign = value.Text.Length > 0 && value.Text[0] is '+' or '-' ? 1 : 0;
        var padding = Repeat(run, StringValue.Literal("0"), width - value.Length);
        return new StringValueBuilder(run).Append(value, 0, sign).Append(padding).Append(value, sign, value.Text.Length).Build();
    }

    private static StringValue Pad(Rendering run, StringValue value, object?[] arguments, Func<int, (int Left, int Right)> divide)
    {
        var fill = arguments[2] is null ? StringValue.Literal(" ") : Text(arguments[2]!);
        if (fill.Length != 1)
            throw Errors.Type("The fill character must be exactly one character long");
        var padding = Protocols.Clamp(arguments[1]!) - value.Length;
        if (padding <= 0)
            return value;
        var (left, right) = divide(padding);
        var builder = new StringValueBuilder(run).Append(Repeat(run, fill, left)).Append(value).Append(Repeat(run, fill, right));
        return builder.Build().AsMarkup(value.IsMarkup);
    }

    private static StringValue Repeat(Rendering run, StringValue text, int count) =>
        (StringValue)Arithmetic.Apply(run, "*", text, Boxed.Int(count));

    private static StringValue ExpandTabs(Rendering run, StringValue value, int size)
    {
        var builder = new StringValueBuilder(run);
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
