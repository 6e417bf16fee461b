using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Boxed constants.</summary>
internal static class Boxed
{
    public static readonly object True = true;
    public static readonly object False = false;

    private static readonly object[] Small = [.. Enumerable.Range(-16, 1040).Select(number => (object)new BigInteger(number))];

    /// <summary>A bool as a value.</summary>
    public static object Bool(bool value) => value ? True : False;

    /// <summary>An int as a value.</summary>
    public static object Int(long value) => value is >= -16 and < 1024 ? Small[value + 16] : new BigInteger(value);
}
