using System.Numerics;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>
/// A real number of 256 significant bits (77 digits): mantissa x 2^exponent. Elementary functions work on fixed-point numbers of 320
/// fractional bits. Arguments that are too large for an exact reduction are refused: the grader then has no numeric verdict.
/// </summary>
internal readonly struct BigFloat
{
    private const int Precision = 256;
    private const int Fraction = 320;
    private static readonly Lazy<BigInteger> FixedPi = new(() => 16 * ArcTangentOfInverse(5, Fraction + 128) - 4 * ArcTangentOfInverse(239, Fraction + 128));
    private static readonly Lazy<BigInteger> FixedLn2 = new(() => 18 * HyperbolicOfInverse(26) - 2 * HyperbolicOfInverse(4801) + 8 * HyperbolicOfInverse(8749));

    private readonly BigInteger _mantissa;
    private readonly long _exponent;

    private BigFloat(BigInteger mantissa, long exponent)
    {
        long excess = mantissa.IsZero ? 0 : (long)BigInteger.Abs(mantissa).GetBitLength() - Precision;
        if (excess > 0)
        {
            mantissa = (mantissa + (BigInteger.One << (int)(excess - 1))) >> (int)excess;
            exponent += excess;
        }

        _mantissa = mantissa;
        _exponent = mantissa.IsZero ? 0 : exponent;
        if (Math.Abs(_exponent) > 1L << 50)
            throw new NotComputableException("a number beyond 2^(2^50)");
    }

    /// <summary>pi.</summary>
    internal static BigFloat Pi => new(FixedPi.Value, -(Fraction + 128));

    /// <summary>-1, 0 or 1.</summary>
    internal int Sign => _mantissa.Sign;

    internal bool IsZero => _mantissa.IsZero;

    /// <summary>n / d to 256 bits.</summary>
    internal static BigFloat From(BigRational value)
        => value.Denominator.IsOne ? new(value.Numerator, 0) : new BigFloat(value.Numerator, 0) / new BigFloat(value.Denominator, 0);

    internal static BigFloat From(long value) => new(value, 0);

    /// <summary>The nearest double: infinite or 0 beyond its range.</summary>
    internal double ToDouble()
    {
        if (IsZero)
            return 0;
        int shift = (int)BigInteger.Abs(_mantissa).GetBitLength() - 60;
        var top = shift > 0 ? _mantissa >> shift : _mantissa << -shift;
        return Math.ScaleB((double)top, (int)Math.Clamp(_exponent + shift, -100000, 100000));
    }

    /// <summary>Largest integer that is not above this.</summary>
    internal BigInteger Floor()
    {
        if (_exponent > 40_000)
            throw new NotComputableException("the floor of a huge number");
        return _exponent >= 0 ? _mantissa << (int)_exponent : _exponent < -100_000 ? (Sign < 0 ? -1 : 0) : _mantissa >> (int)-_exponent;
    }

    public static BigFloat operator -(BigFloat a) => new(-a._mantissa, a._exponent);

    public static BigFloat operator +(BigFloat a, BigFloat b)
    {
        if (a.IsZero || b.IsZero)
            return a.IsZero ? b : a;
        if (a._exponent < b._exponent)
            (a, b) = (b, a);
        long shift = a._exponent - b._exponent;
        return shift > 4 * Precision ? a : new((a._mantissa << (int)shift) + b._mantissa, b._exponent);
    }

    public static BigFloat operator -(BigFloat a, BigFloat b) => a + -b;

    public static BigFloat operator *(BigFloat a, BigFloat b) => new(a._mantissa * b._mantissa, a._exponent + b._exponent);

    public static BigFloat operator /(BigFloat a, BigFloat b)
    {
        if (b.IsZero)
            throw new NotComputableException("division by zero");
        int shift = Precision + 16 + (int)BigInteger.Abs(b._mantissa).GetBitLength();
        return new((a._mantissa << shift) / b._mantissa, a._exponent - b._exponent - shift);
    }

    internal BigFloat Abs() => new(BigInteger.Abs(_mantissa), _exponent);

    internal int CompareTo(BigFloat other) => (this - other).Sign;

    /// <summary>This x 2^bits.</summary>
    internal BigFloat Scale(long bits) => new(_mantissa, _exponent + bits);

    /// <summary>Square root of a number that is not negative.</summary>
    internal BigFloat Sqrt()
    {
        if (IsZero)
            return this;
        int shift = Math.Max(0, 2 * Precision + 4 - (int)_mantissa.GetBitLength());
        shift += (int)((_exponent - shift) & 1);
        return new(BigRational.IntegerRoot(_mantissa << shift, 2), (_exponent - shift) / 2);
    }

    /// <summary>e to the power of this.</summary>
    internal BigFloat Exp()
    {
        var x = ToFixed(40);
        var k = BigInteger.Divide(x, FixedLn2.Value);
        return new(FixedExp(x - k * FixedLn2.Value), (long)k - Fraction);
    }

    /// <summary>Natural logarithm of a positive number.</summary>
    internal BigFloat Ln()
    {
        if (Sign <= 0)
            throw new NotComputableException("the logarithm of a number that is not positive");
        int bits = (int)_mantissa.GetBitLength();
        var m = Fraction >= bits ? _mantissa << (Fraction - bits) : _mantissa >> (bits - Fraction); // [1/2, 1)
        var y = new BigInteger(Math.Log(new BigFloat(m, -Fraction).ToDouble()) * (1L << 52)) << (Fraction - 52);
        for (int i = 0; i < 3; i++)
        {
            var e = FixedExp(y);
            y += ((m - e) << (Fraction + 1)) / (m + e);
        }

        return new(y + (_exponent + bits) * FixedLn2.Value, -Fraction);
    }

    /// <summary>Sine and cosine of this angle in radians.</summary>
    internal (BigFloat Sin, BigFloat Cos) SinCos()
    {
        var x = ToFixed(60) << 128;
        var quarter = FixedPi.Value >> 1;
        var turns = (x + (quarter >> 1)) / quarter - (x.Sign < 0 && (x + (quarter >> 1)).Sign < 0 ? 1 : 0);
        var r = (x - turns * quarter) >> 128;
        var (sin, cos) = FixedSinCos(r);
        return (int)(((turns % 4) + 4) % 4) switch
        {
            0 => (new(sin, -Fraction), new(cos, -Fraction)),
            1 => (new(cos, -Fraction), new(-sin, -Fraction)),
            2 => (new(-sin, -Fraction), new(-cos, -Fraction)),
            _ => (new(-cos, -Fraction), new(sin, -Fraction)),
        };
    }

    /// <summary>Angle of the point (x, y), in (-pi, pi].</summary>
    internal static BigFloat Atan2(BigFloat y, BigFloat x)
    {
        if (x.IsZero && y.IsZero)
            throw new NotComputableException("the angle of zero");
        if (x.Abs().CompareTo(y.Abs()) < 0)
            return (y.Sign > 0 ? Pi.Scale(-1) : -Pi.Scale(-1)) - Atan(x / y);
        var angle = Atan(y / x);
        return x.Sign > 0 ? angle : y.Sign >= 0 ? angle + Pi : angle - Pi;
    }

    /// <summary>Arc tangent for arguments of at most 1 in size: four halvings, then the series.</summary>
    private static BigFloat Atan(BigFloat x)
    {
        if (x.Sign < 0)
            return -Atan(-x);
        var one = From(1);
        for (int i = 0; i < 4; i++)
            x /= one + (one + x * x).Sqrt();
        var t = x.ToFixed(4);
        var square = (t * t) >> Fraction;
        BigInteger sum = 0;
        for (int n = 1; !t.IsZero; n += 2)
        {
            sum += n % 4 == 1 ? t / n : -(t / n);
            t = (t * square) >> Fraction;
        }

        return new(sum << 4, -Fraction);
    }

    private BigInteger ToFixed(int maxBits)
    {
        long shift = _exponent + Fraction;
        if (!IsZero && _exponent + (long)BigInteger.Abs(_mantissa).GetBitLength() > maxBits)
            throw new NotComputableException("a function of a huge number");
        return shift >= 0 ? _mantissa << (int)shift : shift < -100_000 ? BigInteger.Zero : _mantissa >> (int)-shift;
    }

    private static BigInteger FixedExp(BigInteger x)
    {
        const int halvings = 8;
        var r = x >> halvings;
        BigInteger sum = BigInteger.One << Fraction, term = sum;
        for (int n = 1; !term.IsZero && term != BigInteger.MinusOne; n++)
        {
            term = ((term * r) >> Fraction) / n;
            sum += term;
        }

        for (int i = 0; i < halvings; i++)
            sum = (sum * sum) >> Fraction;
        return sum;
    }

    private static (BigInteger Sin, BigInteger Cos) FixedSinCos(BigInteger r)
    {
        var square = (r * r) >> Fraction;
        BigInteger sin = r, cos = BigInteger.One << Fraction, odd = r, even = cos;
        for (int n = 1; !(odd.IsZero || odd == BigInteger.MinusOne) || !even.IsZero; n++)
        {
            even = -(((even * square) >> Fraction) / ((2 * n - 1) * (2 * n)));
            odd = -(((odd * square) >> Fraction) / ((2 * n) * (2 * n + 1)));
            cos += even;
            sin += odd;
            if (n > 200)
                break;
        }

        return (sin, cos);
    }

    private static BigInteger ArcTangentOfInverse(int n, int bits)
    {
        BigInteger power = (BigInteger.One << bits) / n, sum = power;
        for (int k = 3; !power.IsZero; k += 2)
        {
            power /= n * n;
            sum += k % 4 == 1 ? power / k : -(power / k);
        }

        return sum;
    }

    private static BigInteger HyperbolicOfInverse(int n)
    {
        BigInteger power = (BigInteger.One << Fraction) / n, sum = power;
        for (int k = 3; !power.IsZero; k += 2)
        {
            power /= (BigInteger)n * n;
            sum += power / k;
        }

        return sum;
    }
}
