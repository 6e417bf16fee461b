using System.Numerics;

namespace DeepSeekR1.Evaluation.Grading;

/// <summary>A complex number of 77 digits.</summary>
internal readonly record struct BigComplex(BigFloat Re, BigFloat Im)
{
    internal static readonly BigComplex One = new(BigFloat.From(1), BigFloat.From(0));
    internal static readonly BigComplex I = new(BigFloat.From(0), BigFloat.From(1));

    /// <summary>True when the imaginary part is 0 or rounding noise.</summary>
    internal bool IsReal => Im.IsZero || Im.Abs().CompareTo(Size().Scale(-180)) <= 0;

    public static BigComplex operator -(BigComplex a) => new(-a.Re, -a.Im);

    public static BigComplex operator +(BigComplex a, BigComplex b) => new(a.Re + b.Re, a.Im + b.Im);

    public static BigComplex operator -(BigComplex a, BigComplex b) => a + -b;

    public static BigComplex operator *(BigComplex a, BigComplex b) => new(a.Re * b.Re - a.Im * b.Im, a.Re * b.Im + a.Im * b.Re);

    public static BigComplex operator /(BigComplex a, BigComplex b)
    {
        if (b.Im.IsZero)
            return new(a.Re / b.Re, a.Im / b.Re);
        var norm = b.Re * b.Re + b.Im * b.Im;
        var top = a * new BigComplex(b.Re, -b.Im);
        return new(top.Re / norm, top.Im / norm);
    }

    internal static BigComplex From(BigFloat re) => new(re, BigFloat.From(0));

    internal BigFloat Size() => Im.IsZero ? Re.Abs() : (Re * Re + Im * Im).Sqrt();

    internal BigComplex Exp()
    {
        var size = Re.Exp();
        if (Im.IsZero)
            return From(size);
        var (sin, cos) = Im.SinCos();
        return new(size * cos, size * sin);
    }

    internal BigComplex Ln() => Im.IsZero && Re.Sign > 0 ? From(Re.Ln()) : new(Size().Ln(), BigFloat.Atan2(Im, Re));

    internal BigComplex Sqrt()
    {
        if (Im.IsZero)
            return Re.Sign >= 0 ? From(Re.Sqrt()) : new(BigFloat.From(0), (-Re).Sqrt());
        return (Ln() / From(BigFloat.From(2))).Exp();
    }

    internal (BigComplex Sin, BigComplex Cos) SinCos()
    {
        var (sin, cos) = Re.SinCos();
        if (Im.IsZero)
            return (From(sin), From(cos));
        var up = Im.Exp();
        var down = BigFloat.From(1) / up;
        BigFloat cosh = (up + down).Scale(-1), sinh = (up - down).Scale(-1);
        return (new(sin * cosh, cos * sinh), new(cos * cosh, -(sin * sinh)));
    }
}

/// <summary>Numbers of 77 digits with all functions; roots of negative reals with an odd index are real.</summary>
internal sealed class ComplexField : INumberField<BigComplex>
{
    internal static readonly ComplexField Instance = new();

    public BigComplex Number(BigRational value) => BigComplex.From(BigFloat.From(value));

    public BigComplex Constant(string name) => name switch
    {
        "pi" => BigComplex.From(BigFloat.Pi),
        "e" => BigComplex.One.Exp(),
        _ => BigComplex.I,
    };

    public BigComplex Add(BigComplex a, BigComplex b) => a + b;

    public BigComplex Multiply(BigComplex a, BigComplex b) => a * b;

    public BigComplex Divide(BigComplex a, BigComplex b) => a / b;

    public BigComplex Power(BigComplex a, Func<BigComplex> b, BigRational? exact)
    {
        if (exact is { IsInteger: true } whole && whole.Bits <= 40)
            return Raise(a, whole.Numerator);
        if (exact is { } fraction && !fraction.IsInteger && fraction.Denominator <= 64 && fraction.Bits <= 40)
            return Raise(Root(a, (int)fraction.Denominator), fraction.Numerator);
        if (a.Re.IsZero && a.Im.IsZero)
            throw new NotComputableException("a power of zero");
        return (b() * a.Ln()).Exp();
    }

    public BigComplex Call(string name, IReadOnlyList<BigComplex> arguments)
    {
        var z = arguments[0];
        switch (name)
        {
            case "root": return Root(z, (int)WholeNumber(arguments[1], 64));
            case "abs": return BigComplex.From(z.Size());
            case "exp": return z.Exp();
            case "ln": return z.Ln();
            case "log": return z.Ln() / arguments[1].Ln();
            case "floor" when z.IsReal: return Number(z.Re.Floor());
            case "ceil" when z.IsReal: return Number(-(-z.Re).Floor());
            case "max" when arguments.All(a => a.IsReal): return arguments.Aggregate((a, b) => a.Re.CompareTo(b.Re) >= 0 ? a : b);
            case "min" when arguments.All(a => a.IsReal): return arguments.Aggregate((a, b) => a.Re.CompareTo(b.Re) <= 0 ? a : b);
            default: return Trigonometry(name, z);
        }
    }

    private static BigComplex Trigonometry(string name, BigComplex z)
    {
        if (name.StartsWith("arc", StringComparison.Ordinal))
            return Inverse(name, z);
        if (name is "sinh" or "cosh" or "tanh")
            return Hyperbolic(name, z);
        var (sin, cos) = z.SinCos();
        return name switch
        {
            "sin" => sin,
            "cos" => cos,
            "tan" => NotTiny(sin, cos),
            "cot" => NotTiny(cos, sin),
            "sec" => NotTiny(BigComplex.One, cos),
            "csc" => NotTiny(BigComplex.One, sin),
            _ => throw new NotComputableException(name),
        };
    }

    /// <summary>a / b, refused when b is nothing but rounding: a pole.</summary>
    private static BigComplex NotTiny(BigComplex a, BigComplex b)
        => b.Size().CompareTo(BigFloat.From(1).Scale(-180)) < 0 ? throw new NotComputableException("a pole") : a / b;

    private static BigComplex Hyperbolic(string name, BigComplex z)
    {
        var up = z.Exp();
        var down = BigComplex.One / up;
        var two = BigComplex.From(BigFloat.From(2));
        return name switch { "sinh" => (up - down) / two, "cosh" => (up + down) / two, _ => (up - down) / (up + down) };
    }

    private static BigComplex Inverse(string name, BigComplex z)
    {
        var half = BigComplex.From(BigFloat.Pi.Scale(-1));
        switch (name)
        {
            case "arctan" when z.Im.IsZero: return BigComplex.From(BigFloat.Atan2(z.Re, BigFloat.From(1)));
            case "arcsin": return -(BigComplex.I * (BigComplex.I * z + (BigComplex.One - z * z).Sqrt()).Ln());
            case "arccos": return half - Inverse("arcsin", z);
            case "arccot": return half - Inverse("arctan", z);
            case "arcsec": return Inverse("arccos", BigComplex.One / z);
            case "arccsc": return Inverse("arcsin", BigComplex.One / z);
            default: throw new NotComputableException(name);
        }
    }

    private static BigComplex Root(BigComplex z, int index)
    {
        if (z.Re.IsZero && z.Im.IsZero)
            return z;
        if (index == 2)
            return z.Sqrt();
        var over = BigComplex.From(BigFloat.From(index));
        if (z.Im.IsZero && z.Re.Sign < 0 && index % 2 == 1)
            return -((-z).Ln() / over).Exp();
        return (z.Ln() / over).Exp();
    }

    private static BigComplex Raise(BigComplex z, BigInteger exponent)
    {
        if (z.Re.IsZero && z.Im.IsZero && exponent.Sign <= 0)
            throw new NotComputableException("a power of zero");
        var result = BigComplex.One;
        for (var rest = BigInteger.Abs(exponent); !rest.IsZero; rest >>= 1)
        {
            if (!rest.IsEven)
                result *= z;
            z *= z;
        }

        return exponent.Sign < 0 ? BigComplex.One / result : result;
    }

    private static BigInteger WholeNumber(BigComplex z, int limit)
    {
        var value = (z.Re + BigFloat.From(1).Scale(-1)).Floor();
        return value >= 1 && value <= limit && z.IsReal && (z.Re - BigFloat.From(value)).Abs().CompareTo(BigFloat.From(1).Scale(-150)) < 0
            ? value
            : throw new NotComputableException("a root of a strange index");
    }
}
