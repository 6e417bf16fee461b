using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>
/// <c>x.name</c> and <c>x[key]</c> in the sandbox: methods that change their object and Python's internals are hidden, everything that does
/// not exist is undefined.
/// </summary>
internal static class JinjaAttributes
{
    private static readonly HashSet<string> Internals =
    [
        "__class__", "__doc__", "__init__", "__new__", "__dir__", "__str__", "__repr__", "__hash__", "__eq__", "__ne__", "__lt__", "__le__",
        "__gt__", "__ge__", "__format__", "__reduce__", "__reduce_ex__", "__getattribute__", "__setattr__", "__delattr__", "__sizeof__",
        "__subclasshook__", "__init_subclass__", "__len__", "__iter__", "__contains__", "__getitem__", "__add__", "__mul__", "__rmul__",
        "__getnewargs__", "__mod__", "__rmod__", "__setitem__", "__delitem__", "__iadd__", "__imul__", "__reversed__", "__bool__",
        "__int__",
        "__float__", "__abs__", "__neg__", "__pos__", "__sub__", "__radd__", "__rsub__", "__truediv__", "__floordiv__", "__pow__", "__or__",
        "__and__", "__xor__", "__invert__", "__index__", "__round__", "__divmod__", "__call__", "__dict__", "__module__", "__self__",
        "__name__",
        "__qualname__", "__globals__", "__code__", "__closure__", "__defaults__", "__kwdefaults__", "__annotations__", "__func__",
        "__wrapped__",
    ];

    private static readonly HashSet<string> DictMutators = ["clear", "pop", "popitem", "setdefault", "update"];

    private static readonly HashSet<string> ListMutators = ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"];

    private static readonly Dictionary<string, JinjaCallable> DictMethods = Table(
        new JinjaFunction("get", "self, key, default=", (_, a) => ((JinjaDict)a[0]!).Find(a[1]!) ?? a[2] ?? JinjaNone.Value),
        new JinjaFunction("items", "self", (_, a) => new JinjaDictView((JinjaDict)a[0]!, "dict_items")),
        new JinjaFunction("keys", "self", (_, a) => new JinjaDictView((JinjaDict)a[0]!, "dict_keys")),
        new JinjaFunction("values", "self", (_, a) => new JinjaDictView((JinjaDict)a[0]!, "dict_values")),
        new JinjaFunction("copy", "self", (run, a) => JinjaGlobals.CopyDict(run, (JinjaDict)a[0]!)));

    private static readonly Dictionary<string, JinjaCallable> SequenceMethods = Table(
        new JinjaFunction("index", "self, value, start=, stop=", (_, a) => IndexOf(a)),
        new JinjaFunction("count", "self, value", (_, a) => JinjaBox.Int(CountOf(a[0]!, a[1]!))));

    private static readonly JinjaCallable ListCopy =
        new JinjaFunction("copy", "self", (run, a) => new JinjaList(JinjaTypes.ToList(run, a[0]!)));

    private static readonly JinjaCallable IsInteger =
        new JinjaFunction("is_integer", "self", (_, a) => JinjaBox.Bool(double.IsInteger((double)a[0]!)));

    private static readonly JinjaCallable BitLength =
        new JinjaFunction("bit_length", "self", (_, a) => JinjaBox.Int((long)BigInteger.Abs(JinjaTypes.ToInteger(a[0]!)).GetBitLength()));

    /// <summary><c>owner.name</c>.</summary>
    public static object GetAttribute(JinjaRun run, object owner, JinjaString name)
    {
        if (owner is JinjaUndefined undefined)
            return Internals.Contains(name.Text) ? JinjaUndefined.Unsafe(owner, name.Text) : throw undefined.Error();
        return OwnAttribute(owner, name.Text) ?? EntryOrNull(run, owner, name) ?? new JinjaUndefined(owner, name);
    }

    /// <summary><c>owner[key]</c>.</summary>
    public static object GetItem(JinjaRun run, object owner, object key)
    {
        if (owner is JinjaUndefined undefined)
            throw undefined.Error();
        return EntryOrNull(run, owner, key)
            ?? (key is JinjaString name ? OwnAttribute(owner, name.Text) : null)
            ?? new JinjaUndefined(owner, key);
    }

    /// <summary>True when <c>owner.name</c> is an attribute, not an entry.</summary>
    public static bool HasAttribute(object owner, string name) => OwnAttribute(owner, name) is not null;

    private static Dictionary<string, JinjaCallable> Table(params JinjaCallable[] functions) =>
        functions.ToDictionary(function => function.Name);

    // What Python's getattr finds, filtered by the sandbox; null when it finds nothing.
    private static object? OwnAttribute(object owner, string name)
    {
        if (name.StartsWith('_'))
            return Internals.Contains(name) && owner is not JinjaNamespace ? JinjaUndefined.Unsafe(owner, name) : null;
        return owner switch
        {
            JinjaString => Method(JinjaStringMethods.All, owner, name),
            JinjaDict => DictMutators.Contains(name) ? JinjaUndefined.Unsafe(owner, name) : Method(DictMethods, owner, name),
            JinjaList when ListMutators.Contains(name) => JinjaUndefined.Unsafe(owner, name),
            JinjaList when name == "copy" => new JinjaMethod(ListCopy, owner),
            JinjaTuple { IsGroup: true } group when name is "grouper" or "list" => group.Items[name == "list" ? 1 : 0],
            JinjaList or JinjaTuple => Method(SequenceMethods, owner, name),
            JinjaRange range => RangeAttribute(range, name) ?? Method(SequenceMethods, owner, name),
            BigInteger or bool or double => NumberAttribute(owner, name),
            JinjaNamespace space => space.Find(name),
            JinjaLoop loop => loop.Find(name),
            JinjaMacro macro => MacroAttribute(macro, name),
            JinjaCycler cycler => CyclerAttribute(cycler, name),
            _ => null,
        };
    }

    private static JinjaMethod? Method(Dictionary<string, JinjaCallable> table, object owner, string name) =>
        table.TryGetValue(name, out var function) ? new JinjaMethod(function, owner) : null;

    private static object? RangeAttribute(JinjaRange range, string name) => name switch
    {
        "start" => range.Start,
        "stop" => range.Stop,
        "step" => range.Step,
        _ => null,
    };

    private static object? NumberAttribute(object owner, string name) => name switch
    {
        "real" => owner is bool ? JinjaTypes.ToInteger(owner) : owner,
        "imag" => owner is double ? 0.0 : JinjaBox.Int(0),
        "numerator" when owner is not double => JinjaTypes.ToInteger(owner),
        "denominator" when owner is not double => JinjaBox.Int(1),
        "is_integer" when owner is double => new JinjaMethod(IsInteger, owner),
        "bit_length" when owner is not double => new JinjaMethod(BitLength, owner),
        _ => null,
    };

    private static object? MacroAttribute(JinjaMacro macro, string name) => name switch
    {
        "name" => macro.Name == "caller" ? JinjaNone.Value : JinjaString.Literal(macro.Name),
        "arguments" => new JinjaTuple([.. macro.Definition.Parameters.Select(JinjaString.Literal)]),
        "catch_kwargs" => JinjaBox.Bool(macro.Definition.Specials.Keyword),
        "catch_varargs" => JinjaBox.Bool(macro.Definition.Specials.Positional),
        "caller" => JinjaBox.Bool(macro.Definition.Specials.Caller),
        _ => null,
    };

    private static object? CyclerAttribute(JinjaCycler cycler, string name) => name switch
    {
        "current" => cycler.Current,
        "next" => new JinjaFunction("next", "", (_, _) => cycler.Next()),
        "reset" => new JinjaFunction("reset", "", (_, _) =>
        {
            cycler.Reset();
            return JinjaNone.Value;
        }),
        _ => null,
    };

    // What Python's owner[key] finds; null where that would be a TypeError, KeyError or IndexError.
    private static object? EntryOrNull(JinjaRun run, object owner, object key)
    {
        if (owner is JinjaDict dict)
            return key is JinjaList or JinjaDict ? null : dict.Find(key);
        if (key is not (BigInteger or bool) || JinjaTypes.LengthOrNull(owner) is not { } length || owner is JinjaDictView or JinjaLoop)
            return null;
        var index = JinjaTypes.ToInteger(key);
        index = index.Sign < 0 ? index + length : index;
        return index.Sign < 0 || index >= length ? null : ItemAt(run, owner, (int)index);
    }

    private static object? ItemAt(JinjaRun run, object owner, int index) => owner switch
    {
        JinjaString text => CharacterAt(run, text, index),
        JinjaList list => list.Items[index],
        JinjaTuple tuple => tuple.Items[index],
        JinjaRange range => range[index],
        JinjaBytes bytes => JinjaBox.Int(bytes.Bytes[index]),
        _ => null,
    };

    private static JinjaString CharacterAt(JinjaRun run, JinjaString text, int index)
    {
        run.Charge(text.SeekCost);
        var offset = text.OffsetOf(index);
        return text.Slice(offset, offset + JinjaString.WidthAt(text.Text, offset));
    }

    private static int CountOf(object sequence, object value) =>
        JinjaTypes.Iterate(sequence).Count(item => JinjaOperators.AreEqual(item, value));

    private static object IndexOf(object?[] arguments)
    {
        var items = JinjaTypes.Iterate(arguments[0]!).ToList();
        var (start, stop, _) = JinjaSlicing.Bounds(items.Count, arguments[2], arguments[3], null);
        for (var index = start; index < stop; index++)
            if (JinjaOperators.AreEqual(items[index], arguments[1]!))
                return JinjaBox.Int(index);
        throw JinjaErrors.Value($"{JinjaPrinter.ReprText(arguments[1]!)} is not in {JinjaTypes.Name(arguments[0]!)}");
    }
}
