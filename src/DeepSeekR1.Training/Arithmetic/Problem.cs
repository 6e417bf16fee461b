namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Kinds of problem that the bundled model learns.</summary>
public enum ProblemKind
{
    /// <summary>a + b.</summary>
    Add,

    /// <summary>a - b, signed.</summary>
    Subtract,

    /// <summary>a times b.</summary>
    Multiply,

    /// <summary>a divided by b; the answer is a whole or a mixed number.</summary>
    Divide,

    /// <summary>ax + b = c or ax - b = c, for x.</summary>
    Linear,

    /// <summary>The larger of a and b.</summary>
    Larger,

    /// <summary>The smaller of a and b.</summary>
    Smaller,
}

/// <summary>A problem with its numbers.</summary>
/// <param name="Kind">What is asked.</param>
/// <param name="A">First number; the factor of x in an equation.</param>
/// <param name="B">Second number; the constant beside x, signed, in an equation.</param>
/// <param name="C">Right side of an equation.</param>
public sealed record Problem(ProblemKind Kind, long A, long B, long C = 0)
{
    /// <summary>One of so many canonical problems is held out.</summary>
    public const int HeldOutShare = 64;

    /// <summary>The problem as one short text, the same for both orders where order does not matter: what hold-out is decided by.</summary>
    public string Canonical => Kind switch
    {
        ProblemKind.Add => $"{Math.Min(A, B)}+{Math.Max(A, B)}",
        ProblemKind.Subtract => $"{A}-{B}",
        ProblemKind.Multiply => $"{Math.Min(A, B)}*{Math.Max(A, B)}",
        ProblemKind.Divide => $"{A}/{B}",
        ProblemKind.Linear => $"{A}x{(B < 0 ? "" : "+")}{B}={C}",
        _ => $"{Math.Min(A, B)}?{Math.Max(A, B)}",
    };

    /// <summary>Whether the problem is kept for evaluation and never trained on, in whatever words and at whatever place of a dialogue.</summary>
    public bool IsHeldOut => StableHash.Of(Canonical) % HeldOutShare == 0;

    /// <summary>The result as a fraction in lowest terms is not needed: value = Whole + Rest / Divisor, all with the sign of the whole.</summary>
    public Answer Answer => Kind switch
    {
        ProblemKind.Add => new(A + B),
        ProblemKind.Subtract => new(A - B),
        ProblemKind.Multiply => new(A * B),
        ProblemKind.Divide => Answer.Quotient(A, B),
        ProblemKind.Linear => Answer.Quotient(C - B, A),
        ProblemKind.Larger => new(Math.Max(A, B)),
        _ => new(Math.Min(A, B)),
    };

    /// <summary>Name of the kind and size in reports: add3, mul2x1, linear, ...</summary>
    public string Category => Kind switch
    {
        ProblemKind.Add => $"add{Digits}",
        ProblemKind.Subtract => $"sub{Digits}",
        ProblemKind.Multiply => $"mul{Math.Max(Length(A), Length(B))}x{Math.Min(Length(A), Length(B))}",
        ProblemKind.Divide => $"div{Length(A)}",
        ProblemKind.Linear => "linear",
        _ => "compare",
    };

    private int Digits => Math.Max(Length(A), Length(B));

    /// <summary>Decimal digits of a number without its sign.</summary>
    public static int Length(long number) => Math.Abs(number).ToString(System.Globalization.CultureInfo.InvariantCulture).Length;
}

/// <summary>A whole or mixed number.</summary>
/// <param name="Whole">Whole part, towards zero.</param>
/// <param name="Rest">Numerator of the rest, not negative, below the divisor; 0 for a whole number.</param>
/// <param name="Divisor">Denominator of the rest.</param>
/// <param name="IsNegative">Sign of the value when the whole part is 0.</param>
public readonly record struct Answer(long Whole, long Rest = 0, long Divisor = 1, bool IsNegative = false)
{
    /// <summary>a / b for b above 0.</summary>
    public static Answer Quotient(long a, long b) => new(a / b, Math.Abs(a % b), b, a < 0);

    /// <summary>As it stands in the box: 135, -2, 3\frac{1}{3}.</summary>
    public override string ToString()
    {
        if (Rest == 0)
            return $"{Whole}";
        string fraction = $"\\frac{{{Rest}}}{{{Divisor}}}";
        return Whole != 0 ? $"{Whole}{fraction}" : (IsNegative ? "-" : "") + fraction;
    }
}

/// <summary>FNV-1a: the same on every machine and version, unlike string.GetHashCode.</summary>
internal static class StableHash
{
    /// <summary>64 bits of a text's UTF-8 bytes, with the last mixing step of SplitMix64 so that low bits are as good as high ones.</summary>
    public static ulong Of(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (byte b in System.Text.Encoding.UTF8.GetBytes(text))
            hash = (hash ^ b) * 1099511628211;
        return Mix(hash);
    }

    /// <summary>SplitMix64's finalizer.</summary>
    public static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
