using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Equality of dict keys, as Python's == and hash.</summary>
internal sealed class KeyComparer : IEqualityComparer<object>
{
    public static readonly KeyComparer Instance = new();

    /// <inheritdoc/>
    public new bool Equals(object? left, object? right) => Comparison.AreEqual(left!, right!);

    /// <inheritdoc/>
    public int GetHashCode(object value) => value switch
    {
        StringValue text => text.Text.GetHashCode(),
        bool flag => flag ? BigInteger.One.GetHashCode() : BigInteger.Zero.GetHashCode(),
        BigInteger number => number.GetHashCode(),
        double number => double.IsInteger(number) ? new BigInteger(number).GetHashCode() : number.GetHashCode(),
        TupleValue tuple => HashOf(tuple),
        ListValue or DictValue => throw Errors.Type($"unhashable type: '{Protocols.TypeName(value)}'"),
        UndefinedValue => 0,
        _ => value.GetHashCode(),
    };

    private int HashOf(TupleValue tuple)
    {
        Rendering.EnsureStack();
        return tuple.Items.Aggregate(tuple.Items.Count, (hash, item) => HashCode.Combine(hash, GetHashCode(item)));
    }
}
