using System.Numerics;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>What was written cannot be computed: a division by zero, a number beyond the bounds, a function of something strange.</summary>
internal sealed class NotComputableException(string what) : Exception($"Not computable: {what}.");

/// <summary>An exact fraction in lowest terms with a positive denominator, of at most 40,000 bits: bounds are checked before computing.</summary>
internal readonly struct BigRational : IEquatable<BigRational>
{
    private const int MaxBits = 40_000;

    internal BigRational(BigInteger numerator, BigInteger denominator)
    {
        if (denominator.IsZero)
            throw new NotComputableException("division by zero");
        var divisor = denominator.IsOne ? BigInteger.One : BigInteger.GreatestCommonDivisor(numerator, denominator);
        if (denominator.Sign < 0)
            divisor = -divisor;
        Numerator = divisor.IsOne ? numerator : numerator / divisor;
        Denominator = divisor.IsOne ? denominator : denominator / divisor;
        if (Bits > MaxBits)
            throw new NotComputableException("a number of too many digits");
    }

    internal BigInteger Numerator { get; }

    internal BigInteger Denominator { get; }

    internal bool IsInteger => Denominator.IsOne;

    internal int Sign => Numerator.Sign;

    /// <summary>Bits of the larger half.</summary>
    internal long Bits => Math.Max((long)BigInteger.Abs(Numerator).GetBitLength(), (long)Denominator.GetBitLength());

    public static implicit operator BigRational(long value) => new(value, 1);

    public static implicit operator BigRational(BigInteger value) => new(value, 1);

    public static BigRational operator -(BigRational a) => new(-a.Numerator, a.Denominator);

    public static BigRational operator +(BigRational a, BigRational b)
        => new(a.Numerator * b.Denominator + b.Numerator * a.Denominator, a.Denominator * b.Denominator);

    public static BigRational operator -(BigRational a, BigRational b) => a + -b;

    public static BigRational operator *(BigRational a, BigRational b) => new(a.Numerator * b.Numerator, a.Denominator * b.Denominator);

    public static BigRational operator /(BigRational a, BigRational b) => new(a.Numerator * b.Denominator, a.Denominator * b.Numerator);

    /// <inheritdoc/>
    public bool Equals(BigRational other) => Numerator == other.Numerator && Denominator == other.Denominator;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is BigRational other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Numerator, Denominator);

    internal BigRational Abs() => new(BigInteger.Abs(Numerator), Denominator);

    internal int CompareTo(BigRational other) => (Numerator * other.Denominator).CompareTo(other.Numerator * Denominator);

    /// <summary>Largest integer that is not above this.</summary>
    internal BigInteger Floor() => BigInteger.Divide(Numerator - (Numerator.Sign < 0 ? Denominator - 1 : 0), Denominator);

    /// <summary>10^exponent, |exponent| at most 10,000.</summary>
    internal static BigRational PowerOfTen(int exponent)
    {
        if (Math.Abs(exponent) > 10_000)
            throw new NotComputableException($"10^{exponent}");
        var power = BigInteger.Pow(10, Math.Abs(exponent));
        return exponent >= 0 ? new(power, 1) : new(1, power);
    }

    /// <summary>This to an integer power, if the result stays within the bounds.</summary>
    internal BigRational Pow(BigInteger exponent)
    {
        if (exponent.Sign < 0)
            return (1 / this).Pow(-exponent);
        if (exponent.IsZero && Sign == 0)
            throw new NotComputableException("0^0");
        if (Bits <= 1) // -1, 0, 1
            return exponent.IsEven && !exponent.IsZero || Sign >= 0 ? (exponent.IsZero ? 1 : Abs()) : this;
        if (exponent * Bits > 2 * MaxBits)
            throw new NotComputableException("a power of too many digits");
        return new(BigInteger.Pow(Numerator, (int)exponent), BigInteger.Pow(Denominator, (int)exponent));
    }

    /// <summary>The exact index-th root, null when it is irrational or not real.</summary>
    internal BigRational? Root(int index)
    {
        if (Sign < 0 && index % 2 == 0)
            return null;
        var top = IntegerRoot(BigInteger.Abs(Numerator), index);
        var bottom = IntegerRoot(Denominator, index);
        return BigInteger.Pow(top, index) == BigInteger.Abs(Numerator) && BigInteger.Pow(bottom, index) == Denominator
            ? new BigRational(Sign < 0 ? -top : top, bottom)
            : null;
    }

    /// <summary>Floor of the index-th root of a number that is not negative: Newton from above.</summary>
    internal static BigInteger IntegerRoot(BigInteger value, int index)
    {
        if (value <= 1 || index == 1)
            return value;
        int bits = (int)value.GetBitLength();
        if (index >= bits)
            return BigInteger.One;
        var x = BigInteger.One << (bits / index + 1);
        while (true)
        {
            var next = ((index - 1) * x + value / BigInteger.Pow(x, index - 1)) / index;
            if (next >= x)
                return x;
            x = next;
        }
    }
}
