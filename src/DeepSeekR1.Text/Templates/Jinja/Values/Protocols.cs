using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>What Python's built-in protocols say about a value: its type name, truth, length and items.</summary>
/// <remarks>
/// Values are plain objects: <see cref="NoneValue"/>, bool, BigInteger (Python's int), double, <see cref="StringValue"/> and the other
/// classes of this folder. C#'s null is never a value; it means "not assigned" or "not given". Nothing that a template can reach changes,
/// except namespaces, iterators and cyclers.
/// </remarks>
internal static class Protocols
{
    /// <summary>Name of the Python type.</summary>
    public static string TypeName(object value) => value switch
    {
        NoneValue => "NoneType",
        bool => "bool",
        BigInteger => "int",
        double => "float",
        StringValue text => text.IsMarkup ? "Markup" : "str",
        ListValue => "list",
        TupleValue => "tuple",
        DictValue => "dict",
        DictView view => view.Kind,
        RangeValue => "range",
        IteratorValue iterator => iterator.TypeName,
        BytesValue => "bytes",
        UndefinedValue => "Undefined",
        NamespaceValue => "Namespace",
        LoopContext => "LoopContext",
        Callable callable => callable.TypeName,
        Cycler => "Cycler",
        _ => value.GetType().Name,
    };

    /// <summary>Python's bool(value).</summary>
    public static bool IsTrue(object value) => value switch
    {
        bool flag => flag,
        StringValue text => text.Text.Length > 0,
        BigInteger number => !number.IsZero,
        double number => number != 0,
        NoneValue or UndefinedValue => false,
        _ => LengthOrNull(value) is not 0,
    };

    /// <summary>Python's len(value).</summary>
    public static int Length(object value) =>
        LengthOrNull(value) ?? throw Errors.Type($"object of type '{TypeName(value)}' has no len()");

    /// <summary>Python's len(value); null for types without a length.</summary>
    public static int? LengthOrNull(object value) => value switch
    {
        StringValue text => text.Length,
        ListValue list => list.Items.Count,
        TupleValue tuple => tuple.Items.Count,
        DictValue dict => dict.Count,
        DictView view => view.Dict.Count,
        RangeValue range => range.Count,
        BytesValue bytes => bytes.Bytes.Length,
        LoopContext loop => loop.Length,
        UndefinedValue => 0,
        _ => null,
    };

    /// <summary>True when <see cref="Iterate"/> would work.</summary>
    public static bool IsIterable(object value) => value is IteratorValue or not LoopContext && LengthOrNull(value) is not null;

    /// <summary>Python's iter(value): strings give code points, dicts their keys.</summary>
    public static IEnumerable<object> Iterate(object value) => value switch
    {
        StringValue text => text.CodePoints(),
        ListValue list => list.Items,
        TupleValue tuple => tuple.Items,
        DictValue dict => dict.Keys,
        DictView view => view.Items,
        RangeValue range => range.Items,
        IteratorValue iterator => iterator.Remaining(),
        BytesValue bytes => bytes.Bytes.Select(item => Boxed.Int(item)),
        UndefinedValue => [],
        _ => throw Errors.Type($"'{TypeName(value)}' object is not iterable"),
    };

    /// <summary>The items as a list of their own, paid for.</summary>
    public static List<object> ToList(Rendering run, object value)
    {
        var items = new List<object>(LengthOrNull(value) ?? 0);
        foreach (var item in Iterate(value))
        {
            run.ChargeItems(1);
            items.Add(item);
        }
        return items;
    }

    /// <summary>An int argument; bool counts, everything else is a TypeError.</summary>
    public static BigInteger ToInteger(object value) => value switch
    {
        BigInteger number => number,
        bool flag => flag ? BigInteger.One : BigInteger.Zero,
        _ => throw Errors.Type($"'{TypeName(value)}' object cannot be interpreted as an integer"),
    };

    /// <summary>An int argument that must fit a machine word.</summary>
    public static int ToInt32(object value)
    {
        var number = ToInteger(value);
        return number >= int.MinValue && number <= int.MaxValue
            ? (int)number
            : throw Errors.Overflow("Python int too large to convert to C ssize_t");
    }

    /// <summary>An int argument limited to the range of int: counts and slice bounds, where "far" is all that matters.</summary>
    public static int Clamp(object value) => (int)BigInteger.Max(-int.MaxValue, BigInteger.Min(int.MaxValue, ToInteger(value)));

    /// <summary>A str argument.</summary>
    public static StringValue ToText(object value) => value as StringValue ?? throw Errors.Type($"must be str, not {TypeName(value)}");
}
