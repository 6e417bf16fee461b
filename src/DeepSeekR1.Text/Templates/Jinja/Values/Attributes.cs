using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>
/// <c>x.name</c> and <c>x[key]</c> in the sandbox: methods that change their object and Python's internals are hidden, everything that does
/// not exist is undefined.
/// </summary>
internal static class Attributes
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

    /// <summary><c>owner.name</c>.</summary>
    public static object GetAttribute(Rendering run, object owner, StringValue name)
    {
        if (owner is UndefinedValue undefined)
            return Internals.Contains(name.Text) ? UndefinedValue.Unsafe(owner, name.Text) : throw undefined.Error();
        return OwnAttribute(run, owner, name.Text) ?? EntryOrNull(run, owner, name) ?? new UndefinedValue(owner, name);
    }

    /// <summary><c>owner[key]</c>.</summary>
    public static object GetItem(Rendering run, object owner, object key)
    {
        if (owner is UndefinedValue undefined)
            throw undefined.Error();
        return EntryOrNull(run, owner, key)
            ?? (key is StringValue name ? OwnAttribute(run, owner, name.Text) : null)
            ?? new UndefinedValue(owner, key);
    }

    /// <summary>True when <c>owner.name</c> is an attribute, not an entry.</summary>
    public static bool HasAttribute(Rendering run, object owner, string name) => OwnAttribute(run, owner, name) is not null;

    // What Python's getattr finds, filtered by the sandbox; null when it finds nothing.
    private static object? OwnAttribute(Rendering run, object owner, string name)
    {
        if (name.StartsWith('_'))
            return Internals.Contains(name) && owner is not NamespaceValue ? UndefinedValue.Unsafe(owner, name) : null;
        return owner switch
        {
            DictValue when DictMutators.Contains(name) => UndefinedValue.Unsafe(owner, name),
            ListValue when ListMutators.Contains(name) => UndefinedValue.Unsafe(owner, name),
            TupleValue { IsGroup: true } group when name is "grouper" or "list" => group.Items[name == "list" ? 1 : 0],
            RangeValue range => RangeAttribute(range, name),
            BigInteger or bool or double => NumberAttribute(owner, name),
            IHasAttributes attributes => attributes.Find(name),
            _ => null,
        } ?? run.BuiltIns.Method(owner, name);
    }

    private static object? RangeAttribute(RangeValue range, string name) => name switch
    {
        "start" => range.Start,
        "stop" => range.Stop,
        "step" => range.Step,
        _ => null,
    };

    private static object? NumberAttribute(object owner, string name) => name switch
    {
        "real" => owner is bool ? Protocols.ToInteger(owner) : owner,
        "imag" => owner is double ? 0.0 : Boxed.Int(0),
        "numerator" when owner is not double => Protocols.ToInteger(owner),
        "denominator" when owner is not double => Boxed.Int(1),
        _ => null,
    };

    // What Python's owner[key] finds; null where that would be a TypeError, KeyError or IndexError.
    private static object? EntryOrNull(Rendering run, object owner, object key)
    {
        if (owner is DictValue dict)
            return key is ListValue or DictValue ? null : dict.Find(key);
        if (key is not (BigInteger or bool) || Protocols.LengthOrNull(owner) is not { } length || owner is DictView or LoopContext)
            return null;
        var index = Protocols.ToInteger(key);
        index = index.Sign < 0 ? index + length : index;
        return index.Sign < 0 || index >= length ? null : ItemAt(run, owner, (int)index);
    }

    private static object? ItemAt(Rendering run, object owner, int index) => owner switch
    {
        StringValue text => CharacterAt(run, text, index),
        ListValue list => list.Items[index],
        TupleValue tuple => tuple.Items[index],
        RangeValue range => range[index],
        BytesValue bytes => Boxed.Int(bytes.Bytes[index]),
        _ => null,
    };

    private static StringValue CharacterAt(Rendering run, StringValue text, int index)
    {
        run.Charge(text.SeekCost);
        var offset = text.OffsetOf(index);
        return text.Slice(offset, offset + StringValue.WidthAt(text.Text, offset));
    }
}
