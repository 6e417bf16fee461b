using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The methods of Python's types that do not change their object.</summary>
internal static class Methods
{
    private static readonly Dictionary<string, Callable> OfDict = Table(
        new Function("get", "self, key, default=", (_, a) => ((DictValue)a[0]!).Find(a[1]!) ?? a[2] ?? NoneValue.Instance),
        new Function("items", "self", (_, a) => new DictView((DictValue)a[0]!, "dict_items")),
        new Function("keys", "self", (_, a) => new DictView((DictValue)a[0]!, "dict_keys")),
        new Function("values", "self", (_, a) => new DictView((DictValue)a[0]!, "dict_values")),
        new Function("copy", "self", (run, a) => Globals.CopyDict(run, (DictValue)a[0]!)));

    private static readonly Callable[] OfSequence =
    [
        new Function("index", "self, value, start=, stop=", (_, a) => IndexOf(a)),
        new Function("count", "self, value", (_, a) => Boxed.Int(CountOf(a[0]!, a[1]!))),
    ];

    private static readonly Dictionary<string, Callable> OfTuple = Table(OfSequence);

    private static readonly Dictionary<string, Callable> OfList = Table(
        [.. OfSequence, new Function("copy", "self", (run, a) => new ListValue(Protocols.ToList(run, a[0]!)))]);

    private static readonly Dictionary<string, Callable> OfInteger = Table(
        new Function("bit_length", "self", (_, a) => Boxed.Int((long)BigInteger.Abs(Protocols.ToInteger(a[0]!)).GetBitLength())));

    private static readonly Dictionary<string, Callable> OfFloat = Table(
        new Function("is_integer", "self", (_, a) => Boxed.Bool(double.IsInteger((double)a[0]!))));

    /// <summary>The methods of every class of values by name; the first argument is the value.</summary>
    public static readonly IReadOnlyDictionary<Type, IReadOnlyDictionary<string, Callable>> All =
        new Dictionary<Type, IReadOnlyDictionary<string, Callable>>
        {
            [typeof(StringValue)] = StringMethods.All,
            [typeof(DictValue)] = OfDict,
            [typeof(ListValue)] = OfList,
            [typeof(TupleValue)] = OfTuple,
            [typeof(RangeValue)] = OfTuple,
            [typeof(BigInteger)] = OfInteger,
            [typeof(bool)] = OfInteger,
            [typeof(double)] = OfFloat,
        };

    private static Dictionary<string, Callable> Table(params Callable[] functions) =>
        functions.ToDictionary(function => function.Name);

    private static int CountOf(object sequence, object value) =>
        Protocols.Iterate(sequence).Count(item => Comparison.AreEqual(item, value));

    private static object IndexOf(object?[] arguments)
    {
        var items = Protocols.Iterate(arguments[0]!).ToList();
        var (start, stop, _) = Slicing.Bounds(items.Count, arguments[2], arguments[3], null);
        for (var index = start; index < stop; index++)
            if (Comparison.AreEqual(items[index], arguments[1]!))
                return Boxed.Int(index);
        throw Errors.Value($"{Printer.ReprText(arguments[1]!)} is not in {Protocols.TypeName(arguments[0]!)}");
    }
}
