using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's operators.</summary>
internal static class Comparison
{
    /// <summary>left == right.</summary>
    public static bool AreEqual(object left, object right)
    {
        Rendering.EnsureStack();
        return (left, right) switch
        {
            (StringValue a, StringValue b) => string.Equals(a.Text, b.Text, StringComparison.Ordinal),
            (NoneValue, NoneValue) or (UndefinedValue, UndefinedValue) => true,
            (ListValue a, ListValue b) => SameItems(a.Items, b.Items),
            (TupleValue a, TupleValue b) => SameItems(a.Items, b.Items),
            (DictValue a, DictValue b) => a.Count == b.Count
                && a.Entries.All(entry => b.Find(entry.Key) is { } other && AreEqual(entry.Value, other)),
            (RangeValue a, RangeValue b) => SameItems([.. a.Items], [.. b.Items]),
            (BytesValue a, BytesValue b) => a.Bytes.AsSpan().SequenceEqual(b.Bytes),
            _ => IsNumber(left) && IsNumber(right) ? CompareNumbers(left, right) == 0 : ReferenceEquals(left, right),
        };
    }

    /// <summary>left &lt; right, where <paramref name="symbol"/> names the operator in the message.</summary>
    public static bool IsLess(object left, object right, string symbol = "<", bool orEqual = false)
    {
        Rendering.EnsureStack();
        return (left, right) switch
        {
            (StringValue a, StringValue b) => CompareText(a.Text, b.Text) is var order && (order < 0 || (orEqual && order == 0)),
            (ListValue a, ListValue b) => IsLessSequence(a.Items, b.Items, symbol, orEqual),
            (TupleValue a, TupleValue b) => IsLessSequence(a.Items, b.Items, symbol, orEqual),
            _ when IsNumber(left) && IsNumber(right) => CompareNumbers(left, right) is { } order && (order < 0 || (orEqual && order == 0)),
            (UndefinedValue undefined, _) => throw undefined.Error(),
            (_, UndefinedValue undefined) => throw undefined.Error(),
            _ => throw NotComparable(left, right, symbol),
        };
    }

    /// <summary>One of the comparison operators by its symbol.</summary>
    public static bool Compare(Rendering run, string symbol, object left, object right) => symbol switch
    {
        "==" => AreEqual(left, right),
        "!=" => !AreEqual(left, right),
        "<" => IsLess(left, right),
        "<=" => IsLess(left, right, "<=", orEqual: true),
        ">" => IsGreater(left, right, ">", orEqual: false),
        ">=" => IsGreater(left, right, ">=", orEqual: true),
        "in" => Contains(run, right, left),
        _ => !Contains(run, right, left),
    };

    /// <summary>item in container.</summary>
    public static bool Contains(Rendering run, object container, object item)
    {
        switch (container)
        {
            case StringValue text when item is StringValue part:
                run.Charge(SearchCost(text.Text, part.Text));
                return text.Text.Contains(part.Text, StringComparison.Ordinal);
            case StringValue:
                throw Errors.Type($"'in <string>' requires string as left operand, not {Protocols.TypeName(item)}");
            case DictValue dict:
                return dict.Find(item) is not null;
            case var _ when Protocols.IsIterable(container):
                return Protocols.Iterate(container).Any(candidate => IsSame(run, candidate, item));
            default:
                throw Errors.Type($"argument of type '{Protocols.TypeName(container)}' is not iterable");
        }
    }

    /// <summary>Work of searching a text: what the worst texts cost a search that compares block by block.</summary>
    public static long SearchCost(string text, string part) => text.Length * (1 + (part.Length / 32L));

    /// <summary>Order by code points, as Python compares strings.</summary>
    public static int CompareText(string left, string right)
    {
        var common = left.AsSpan().CommonPrefixLength(right);
        if (common == left.Length || common == right.Length)
            return left.Length.CompareTo(right.Length);
        char a = left[common], b = right[common];
        // Surrogates stand for code points above every other unit.
        return char.IsSurrogate(a) == char.IsSurrogate(b) ? a.CompareTo(b) : char.IsSurrogate(a) ? 1 : -1;
    }

    /// <summary>True for int, float and bool.</summary>
    public static bool IsNumber(object value) => value is BigInteger or double or bool;

    private static bool IsSame(Rendering run, object candidate, object item)
    {
        run.Charge(16);
        return ReferenceEquals(candidate, item) || AreEqual(candidate, item);
    }

    private static bool IsGreater(object left, object right, string symbol, bool orEqual)
    {
        if (left is UndefinedValue || right is UndefinedValue)
            throw ((left as UndefinedValue) ?? (UndefinedValue)right).Error();
        if (IsNumber(left) && IsNumber(right))
            return CompareNumbers(left, right) is { } order && (order > 0 || (orEqual && order == 0));
        if (left.GetType() != right.GetType())
            throw NotComparable(left, right, symbol);
        return IsLess(right, left, symbol, orEqual);
    }

    private static TemplateException NotComparable(object left, object right, string symbol) => Errors.Type(
        $"'{symbol}' not supported between instances of '{Protocols.TypeName(left)}' and '{Protocols.TypeName(right)}'");

    private static bool SameItems(IReadOnlyList<object> left, IReadOnlyList<object> right)
    {
        if (left.Count != right.Count)
            return false;
        for (var index = 0; index < left.Count; index++)
            if (!ReferenceEquals(left[index], right[index]) && !AreEqual(left[index], right[index]))
                return false;
        return true;
    }

    private static bool IsLessSequence(IReadOnlyList<object> left, IReadOnlyList<object> right, string symbol, bool orEqual)
    {
        for (var index = 0; index < left.Count && index < right.Count; index++)
            if (!AreEqual(left[index], right[index]))
                return IsLess(left[index], right[index], symbol, orEqual);
        return orEqual ? left.Count <= right.Count : left.Count < right.Count;
    }

    // Null when a NaN makes them incomparable. Exact also where the int does not fit a double.
    private static int? CompareNumbers(object left, object right)
    {
        if (left is not double && right is not double)
            return Protocols.ToInteger(left).CompareTo(Protocols.ToInteger(right));
        if (left is double a && right is double b)
            return double.IsNaN(a) || double.IsNaN(b) ? null : a.CompareTo(b);
        return left is double number
            ? CompareMixed(number, Protocols.ToInteger(right))
            : -CompareMixed((double)right, Protocols.ToInteger(left));
    }

    private static int? CompareMixed(double left, BigInteger right)
    {
        if (double.IsNaN(left))
            return null;
        if (double.IsInfinity(left))
            return left > 0 ? 1 : -1;
        var floor = new BigInteger(Math.Floor(left)).CompareTo(right);
        return floor == 0 && !double.IsInteger(left) ? 1 : floor;
    }
}
