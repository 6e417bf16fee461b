using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>What Python's built-in protocols say about a value: its type name, truth, length and items.</summary>
internal static class JinjaTypes
{
    /// <summary>Name of the Python type.</summary>
    public static string Name(object value) => value switch
    {
        JinjaNone => "NoneType",
        bool => "bool",
        BigInteger => "int",
        double => "float",
        JinjaString text => text.IsMarkup ? "Markup" : "str",
        JinjaList => "list",
        JinjaTuple => "tuple",
        JinjaDict => "dict",
        JinjaDictView view => view.Kind,
        JinjaRange => "range",
        JinjaIterator iterator => iterator.TypeName,
        JinjaBytes => "bytes",
        JinjaUndefined => "Undefined",
        JinjaNamespace => "Namespace",
        JinjaLoop => "LoopContext",
        JinjaCallable callable => callable.TypeName,
        JinjaCycler => "Cycler",
        _ => value.GetType().Name,
    };

    /// <summary>Python's bool(value).</summary>
    public static bool IsTrue(object value) => value switch
    {
        bool flag => flag,
        JinjaString text => text.Text.Length > 0,
        BigInteger number => !number.IsZero,
        double number => number != 0,
        JinjaNone or JinjaUndefined => false,
        _ => LengthOrNull(value) is not 0,
    };

    /// <summary>Python's len(value).</summary>
    public static int Length(object value) =>
        LengthOrNull(value) ?? throw JinjaErrors.Type($"object of type '{Name(value)}' has no len()");

    /// <summary>Python's len(value); null for types without a length.</summary>
    public static int? LengthOrNull(object value) => value switch
    {
        JinjaString text => text.Length,
        JinjaList list => list.Items.Count,
        JinjaTuple tuple => tuple.Items.Count,
        JinjaDict dict => dict.Count,
        JinjaDictView view => view.Dict.Count,
        JinjaRange range => range.Count,
        JinjaBytes bytes => bytes.Bytes.Length,
        JinjaLoop loop => loop.Length,
        JinjaUndefined => 0,
        _ => null,
    };

    /// <summary>True when <see cref="Iterate"/> would work.</summary>
    public static bool IsIterable(object value) => value is JinjaIterator or not JinjaLoop && LengthOrNull(value) is not null;

    /// <summary>Python's iter(value): strings give code points, dicts their keys.</summary>
    public static IEnumerable<object> Iterate(object value) => value switch
    {
        JinjaString text => text.CodePoints(),
        JinjaList list => list.Items,
        JinjaTuple tuple => tuple.Items,
        JinjaDict dict => dict.Keys,
        JinjaDictView view => view.Items,
        JinjaRange range => range.Items,
        JinjaIterator iterator => iterator.Remaining(),
        JinjaBytes bytes => bytes.Bytes.Select(item => JinjaBox.Int(item)),
        JinjaUndefined => [],
        _ => throw JinjaErrors.Type($"'{Name(value)}' object is not iterable"),
    };

    /// <summary>The items as a list of their own, paid for.</summary>
    public static List<object> ToList(JinjaRun run, object value)
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
        _ => throw JinjaErrors.Type($"'{Name(value)}' object cannot be interpreted as an integer"),
    };

    /// <summary>An int argument that must fit a machine word.</summary>
    public static int ToInt32(object value)
    {
        var number = ToInteger(value);
        return number >= int.MinValue && number <= int.MaxValue
            ? (int)number
            : throw JinjaErrors.Overflow("Python int too large to convert to C ssize_t");
    }

    /// <summary>An int argument limited to the range of int: counts and slice bounds, where "far" is all that matters.</summary>
    public static int Clamp(object value) => (int)BigInteger.Max(-int.MaxValue, BigInteger.Min(int.MaxValue, ToInteger(value)));

    /// <summary>A str argument.</summary>
    public static JinjaString ToText(object value) => value as JinjaString ?? throw JinjaErrors.Type($"must be str, not {Name(value)}");
}
