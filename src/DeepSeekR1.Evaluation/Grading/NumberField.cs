using System.Numerics;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>A kind of numbers that expressions can be computed in. What a field cannot do it refuses with <see cref="NotComputableException"/>.</summary>
internal interface INumberField<T>
{
    T Number(BigRational value);

    /// <summary>pi, e or i.</summary>
    T Constant(string name);

    T Add(T a, T b);

    T Multiply(T a, T b);

    T Divide(T a, T b);

    /// <summary>a^b; <paramref name="exact"/> is b when it is a known fraction.</summary>
    T Power(T a, Func<T> b, BigRational? exact);

    /// <summary>Any other function of the table in <see cref="MathEvaluator{T}"/>.</summary>
    T Call(string name, IReadOnlyList<T> arguments);
}

/// <summary>Exact fractions: sums, products, integer powers, perfect roots, factorials and the like.</summary>
internal sealed class RationalField : INumberField<BigRational>
{
    internal static readonly RationalField Instance = new();

    public BigRational Number(BigRational value) => value;

    public BigRational Constant(string name) => throw new NotComputableException($"{name} as a fraction");

    public BigRational Add(BigRational a, BigRational b) => a + b;

    public BigRational Multiply(BigRational a, BigRational b) => a * b;

    public BigRational Divide(BigRational a, BigRational b) => a / b;

    public BigRational Power(BigRational a, Func<BigRational> b, BigRational? exact)
    {
        var exponent = exact ?? b();
        if (exponent.IsInteger)
            return a.Pow(exponent.Numerator);
        if (exponent.Denominator > 64 || a.Root((int)exponent.Denominator) is not { } root)
            throw new NotComputableException("an irrational power");
        return root.Pow(exponent.Numerator);
    }

    public BigRational Call(string name, IReadOnlyList<BigRational> arguments) => name switch
    {
        "root" => Root(arguments[0], arguments[1]),
        "abs" => arguments[0].Abs(),
        "floor" => arguments[0].Floor(),
        "ceil" => -(-arguments[0]).Floor(),
        "factorial" => Factorial(arguments[0]),
        "binomial" => Binomial(arguments[0], arguments[1]),
        "gcd" => Fold(arguments, BigInteger.GreatestCommonDivisor),
        "lcm" => Fold(arguments, (a, b) => a.IsZero || b.IsZero ? 0 : BigInteger.Abs(a / BigInteger.GreatestCommonDivisor(a, b) * b)),
        "max" => arguments.Aggregate((a, b) => a.CompareTo(b) >= 0 ? a : b),
        "min" => arguments.Aggregate((a, b) => a.CompareTo(b) <= 0 ? a : b),
        "mod" when arguments[1].Sign != 0 => arguments[0] - arguments[1] * (arguments[0] / arguments[1]).Floor(),
        _ => throw new NotComputableException($"{name} as a fraction"),
    };

    private static BigRational Root(BigRational value, BigRational index)
        => index.IsInteger && index.Sign > 0 && index.Numerator <= 64 && value.Root((int)index.Numerator) is { } root
            ? root
            : throw new NotComputableException("an irrational root");

    private static BigRational Factorial(BigRational value)
    {
        if (!value.IsInteger || value.Sign < 0 || value.Numerator > 2_000)
            throw new NotComputableException("a factorial beyond 2000");
        BigInteger product = 1;
        for (int i = 2; i <= (int)value.Numerator; i++)
            product *= i;
        return product;
    }

    private static BigRational Binomial(BigRational n, BigRational k)
    {
        if (!n.IsInteger || !k.IsInteger || n.Sign < 0 || n.Numerator > 5_000)
            throw new NotComputableException("a binomial coefficient beyond 5000");
        if (k.Sign < 0 || k.CompareTo(n) > 0)
            return 0;
        BigInteger result = 1;
        for (int i = 1; i <= (int)BigInteger.Min(k.Numerator, n.Numerator - k.Numerator); i++)
            result = result * (n.Numerator - i + 1) / i;
        return result;
    }

    private static BigRational Fold(IReadOnlyList<BigRational> arguments, Func<BigInteger, BigInteger, BigInteger> operation)
        => arguments.All(a => a.IsInteger)
            ? (BigRational)arguments.Select(a => a.Numerator).Aggregate(operation)
            : throw new NotComputableException("a divisor of fractions");
}

/// <summary>
/// Arithmetic modulo the prime 2^64 - 2^32 + 1. Two rational functions that agree at a random point of this field are the same but for a chance of
/// about degree / 2^64, whatever their size; pi and e, being transcendental, count as variables.
/// </summary>
internal sealed class ModularField(Func<string, ulong> constants) : INumberField<ulong>
{
    internal const ulong Prime = 0xFFFFFFFF00000001;

    public ulong Number(BigRational value) => Divide(Reduce(value.Numerator), Reduce(value.Denominator));

    public ulong Constant(string name) => name is "pi" or "e" ? constants(name) : throw new NotComputableException("i in a finite field");

    public ulong Add(ulong a, ulong b) => (ulong)(((UInt128)a + b) % Prime);

    public ulong Multiply(ulong a, ulong b) => (ulong)((UInt128)a * b % Prime);

    public ulong Divide(ulong a, ulong b) => b == 0 ? throw new NotComputableException("division by zero") : Multiply(a, Raise(b, Prime - 2));

    public ulong Power(ulong a, Func<ulong> b, BigRational? exact)
    {
        if (exact is not { IsInteger: true } exponent)
            throw new NotComputableException("a power in a finite field");
        if (a == 0)
            return exponent.Sign > 0 ? 0UL : throw new NotComputableException("a power of zero");
        var reduced = exponent.Numerator % (Prime - 1);
        return Raise(a, (ulong)(reduced.Sign < 0 ? reduced + (Prime - 1) : reduced));
    }

    public ulong Call(string name, IReadOnlyList<ulong> arguments) => throw new NotComputableException($"{name} in a finite field");

    private static ulong Reduce(BigInteger value)
    {
        var rest = value % Prime;
        return (ulong)(rest.Sign < 0 ? rest + Prime : rest);
    }

    private ulong Raise(ulong value, ulong exponent)
    {
        ulong result = 1;
        for (; exponent > 0; exponent >>= 1)
        {
            if ((exponent & 1) == 1)
                result = Multiply(result, value);
            value = Multiply(value, value);
        }

        return result;
    }
}
