namespace DeepSeekR1.Evaluation.Grading;

/// <summary>Whether two expressions have the same value: exactly where that can be decided, else by 77 digits at several points.</summary>
internal static class MathValues
{
    private const int Points = 10;
    private static readonly BigRational Tolerance = new(5, 10_000_000);

    /// <summary>The exact value of an expression without variables, null when it has none.</summary>
    internal static BigRational? TryRational(MathNode node, Effort effort) => TryRational(node, effort, static name => throw new NotComputableException(name));

    private static BigRational? TryRational(MathNode node, Effort effort, Func<string, BigRational> variables)
    {
        if (node is NumberNode number)
            return number.Value;
        try
        {
            return new MathEvaluator<BigRational>(RationalField.Instance, variables, effort).Evaluate(node);
        }
        catch (NotComputableException)
        {
            return null;
        }
    }

    /// <summary>Whether the two are the same number or the same function of their variables.</summary>
    internal static bool Same(MathNode gold, MathNode answer, Effort effort)
    {
        bool isDecimal = gold.All().Concat(answer.All()).Any(n => n is NumberNode { IsDecimal: true });
        bool hasVariables = gold.All().Concat(answer.All()).Any(n => n is SymbolNode { IsConstant: false });
        if (!hasVariables && TryRational(gold, effort) is { } a && TryRational(answer, effort) is { } b)
            return a.Equals(b) || isDecimal && Close(a, b);
        if (hasVariables && gold.All().Concat(answer.All()).Any(IsOfIntegers) && SameAtIntegers(gold, answer, effort) is { } atIntegers)
            return atIntegers;
        if (!isDecimal && SameInFiniteField(gold, answer, effort) is { } same)
            return same;
        return hasVariables ? SameFunction(gold, answer, isDecimal, effort) : SameConstant(gold, answer, isDecimal, effort);
    }

    /// <summary>n! and its like, which are known where their argument is a whole number.</summary>
    private static bool IsOfIntegers(MathNode node) => node is CallNode { Name: "factorial" or "binomial" } call && call.All().Any(n => n is SymbolNode { IsConstant: false });

    /// <summary>Equal at whole numbers, as many as can be computed; null when fewer than three can.</summary>
    private static bool? SameAtIntegers(MathNode gold, MathNode answer, Effort effort)
    {
        int valid = 0;
        for (int point = 0; point < Points; point++)
        {
            BigRational At(string name) => (long)(Hash(name, point) % 8) + point + 1;
            if (TryRational(gold, effort, At) is not { } a || TryRational(answer, effort, At) is not { } b)
                continue;
            if (!a.Equals(b))
                return false;
            valid++;
        }

        return valid >= 3 ? true : null;
    }

    /// <summary>f / g as a constant, null when it is none: what makes two equations the same.</summary>
    internal static BigComplex? ConstantRatio(MathNode f, MathNode g, Effort effort)
    {
        bool isDecimal = f.All().Concat(g.All()).Any(n => n is NumberNode { IsDecimal: true });
        BigComplex? ratio = null;
        int valid = 0;
        for (int point = 0; point < Points && valid < 5; point++)
        {
            if (At(f, point, effort) is not { } top || At(g, point, effort) is not { } bottom || IsZero(bottom))
                continue;
            var here = top / bottom;
            if (ratio is { } known && !Near(known, here, isDecimal))
                return null;
            ratio ??= here;
            valid++;
        }

        return valid >= 3 && ratio is { } constant && !IsZero(constant) ? constant : null;
    }

    /// <summary>The value at one of the points, null where it has none.</summary>
    internal static BigComplex? At(MathNode node, int point, Effort effort)
    {
        try
        {
            return new MathEvaluator<BigComplex>(ComplexField.Instance, name => BigComplex.From(BigFloat.From(Coordinate(name, point))), effort).Evaluate(node);
        }
        catch (NotComputableException)
        {
            return null;
        }
    }

    /// <summary>Decimals are rounded: 5e-7, and for a gold below 1e-3 also 1e-4 of it.</summary>
    private static bool Close(BigRational gold, BigRational answer)
    {
        var gap = (gold - answer).Abs();
        bool small = gold.Abs().CompareTo(new BigRational(1, 1_000)) < 0;
        return gap.CompareTo(Tolerance) <= 0 && (!small || gap.CompareTo(gold.Abs() * new BigRational(1, 10_000)) <= 0);
    }

    private static bool? SameInFiniteField(MathNode gold, MathNode answer, Effort effort)
    {
        try
        {
            for (int point = 0; point < 2; point++)
            {
                ulong Value(string name) => Hash(name, point + 100) % ModularField.Prime;
                var evaluator = new MathEvaluator<ulong>(new ModularField(Value), Value, effort);
                if (evaluator.Evaluate(gold) != evaluator.Evaluate(answer))
                    return false;
            }

            return true;
        }
        catch (NotComputableException)
        {
            return null;
        }
    }

    private static bool SameConstant(MathNode gold, MathNode answer, bool isDecimal, Effort effort)
        => At(gold, 0, effort) is { } a && At(answer, 0, effort) is { } b && (isDecimal ? NearDecimal(a, b) : NearExact(a, b));

    /// <summary>
    /// Equal wherever both are real, at three points at least. Where neither is real (or i is written) complex values decide.
    /// </summary>
    private static bool SameFunction(MathNode gold, MathNode answer, bool isDecimal, Effort effort)
    {
        bool complex = gold.All().Concat(answer.All()).Any(n => n is SymbolNode { Name: "i" });
        int real = 0, other = 0;
        bool otherDiffers = false;
        for (int point = 0; point < Points; point++)
        {
            if (At(gold, point, effort) is not { } a || At(answer, point, effort) is not { } b)
                continue;
            bool near = Near(a, b, isDecimal);
            if (complex || a.IsReal && b.IsReal)
            {
                if (!near)
                    return false;
                real++;
            }
            else
            {
                other++;
                otherDiffers |= !near;
            }
        }

        return real >= 3 || other >= 3 && !otherDiffers && real == 0;
    }

    private static bool Near(BigComplex a, BigComplex b, bool isDecimal)
    {
        var gap = (a - b).Size();
        var size = Larger(BigFloat.From(1), Larger(a.Size(), b.Size()));
        return gap.CompareTo(isDecimal ? size * BigFloat.From(Tolerance) : size.Scale(-120)) <= 0;
    }

    private static bool NearExact(BigComplex a, BigComplex b)
    {
        var gap = (a - b).Size();
        var size = Larger(a.Size(), b.Size());
        // What cancels to nothing is zero.
        bool zero = IsZero(a) && IsZero(b);
        return zero || gap.CompareTo(size.Scale(-120)) <= 0;
    }

    private static bool NearDecimal(BigComplex gold, BigComplex answer)
    {
        var gap = (gold - answer).Size();
        bool small = gold.Size().CompareTo(BigFloat.From(new BigRational(1, 1_000))) < 0;
        return gap.CompareTo(BigFloat.From(Tolerance)) <= 0 && (!small || gap.CompareTo(gold.Size() * BigFloat.From(new BigRational(1, 10_000))) <= 0);
    }

    private static bool IsZero(BigComplex value) => value.Size().CompareTo(BigFloat.From(1).Scale(-200)) < 0;

    private static BigFloat Larger(BigFloat a, BigFloat b) => a.CompareTo(b) >= 0 ? a : b;

    /// <summary>A variable's value at a point, always the same: positive at the first five points, of either sign at the others.</summary>
    private static BigRational Coordinate(string name, int point)
    {
        ulong hash = Hash(name, point);
        var size = new BigRational((long)(hash % 2_700) + 300, 1_009);
        return point >= 5 && (hash >> 40) % 2 == 0 ? -size : size;
    }

    private static ulong Hash(string name, int point)
    {
        ulong hash = 0xcbf29ce484222325 + (ulong)point * 0x9e3779b97f4a7c15;
        foreach (char c in name)
            hash = (hash ^ c) * 0x100000001b3;
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
        return hash ^ (hash >> 31);
    }
}
