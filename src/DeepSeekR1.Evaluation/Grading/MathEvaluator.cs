namespace DeepSeekR1.Evaluation.Grading;

/// <summary>What one comparison may still spend, in elementary steps: an expression that would take long gets no numeric verdict.</summary>
internal sealed class Effort(long steps)
{
    private long _left = steps;

    internal void Spend(long steps)
    {
        if ((_left -= steps) < 0)
            throw new NotComputableException("an expression that takes too long");
    }
}

/// <summary>Computes an expression in a number field, with values for its variables.</summary>
internal sealed class MathEvaluator<T>(INumberField<T> field, Func<string, T> variables, Effort effort)
{
    private static readonly HashSet<string> Trigonometric = ["sin", "cos", "tan", "cot", "sec", "csc"];

    internal T Evaluate(MathNode node)
    {
        effort.Spend(1);
        switch (node)
        {
            case NumberNode number:
                effort.Spend(Cost(number.Value.Bits));
                return field.Number(number.Value);
            case SymbolNode symbol:
                return symbol.IsConstant ? field.Constant(symbol.Name) : variables(symbol.Name);
            case CallNode call:
                return Call(call);
            default:
                throw new NotComputableException("a value that is not a number");
        }
    }

    private T Call(CallNode call)
    {
        var arguments = call.Arguments;
        switch (call.Name)
        {
            case "sum": return Fold(arguments, field.Add);
            case "product": return Fold(arguments, field.Multiply);
            case "quotient": return field.Divide(Evaluate(arguments[0]), Evaluate(arguments[1]));
            case "inverse": return field.Divide(field.Number(1), Evaluate(arguments[0]));
            case "negate": return field.Multiply(field.Number(-1), Evaluate(arguments[0]));
            case "degree": return Evaluate(arguments[0]);
            case "power": return Power(arguments[0], arguments[1]);
            case "binomial" when MathValues.TryRational(arguments[0], effort) is null
                && MathValues.TryRational(arguments[1], effort) is { IsInteger: true, Sign: > 0 } k && k.CompareTo(20) <= 0:
                return Chosen(Evaluate(arguments[0]), (int)k.Numerator);
            case "root" when MathValues.TryRational(arguments[1], effort) is null:
                return Power(arguments[0], new CallNode("inverse", arguments[1]));
            case "plusminus" or "minusplus": throw new NotComputableException("two values at once");
            default:
                effort.Spend(typeof(T) == typeof(BigComplex) ? 100 : 20);
                var value = field.Call(call.Name, [.. arguments.Select(a => Evaluate(Trigonometric.Contains(call.Name) ? InRadians(a) : a))]);
                if (value is BigRational exact)
                    effort.Spend(16 * Cost(exact.Bits));
                return value;
        }
    }

    /// <summary>n (n - 1) ... (n - k + 1) / k! for an n that is no number.</summary>
    private T Chosen(T n, int k)
    {
        var result = field.Number(1);
        for (int i = 0; i < k; i++)
            result = field.Divide(field.Multiply(result, field.Add(n, field.Number(-i))), field.Number(i + 1));
        return result;
    }

    private T Fold(IReadOnlyList<MathNode> nodes, Func<T, T, T> operation)
    {
        var result = Evaluate(nodes[0]);
        for (int i = 1; i < nodes.Count; i++)
        {
            result = operation(result, Evaluate(nodes[i]));
            if (result is BigRational exact)
                effort.Spend(Cost(exact.Bits));
        }

        return result;
    }

    private T Power(MathNode value, MathNode exponent)
    {
        // e^x is the function, not a power of a rounded number.
        if (value is SymbolNode { Name: "e" } && typeof(T) == typeof(BigComplex))
            return field.Call("exp", [Evaluate(exponent)]);
        var exact = MathValues.TryRational(exponent, effort);
        effort.Spend(50);
        var result = field.Power(Evaluate(value), () => Evaluate(exponent), exact);
        if (result is BigRational rational)
            effort.Spend(4 * Cost(rational.Bits));
        return result;
    }

    private static MathNode InRadians(MathNode angle)
        => angle is CallNode { Name: "degree" } degree
            ? new CallNode("quotient", new CallNode("product", degree.Arguments[0], new SymbolNode("pi")), new NumberNode(180))
            : angle;

    /// <summary>Long numbers cost their square.</summary>
    private static long Cost(long bits) => bits < 1_000 ? 0 : bits / 1_000 * (bits / 1_000);
}
