using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>Python's arithmetic: ints of any size (up to a limit), floats, and + * % of strings and lists.</summary>
internal static class JinjaArithmetic
{
    /// <summary>A binary operator by its symbol.</summary>
    public static object Apply(JinjaRun run, string symbol, object left, object right)
    {
        if (left is JinjaUndefined || right is JinjaUndefined)
            if (symbol != "%" || left is not JinjaString)
                throw ((left as JinjaUndefined) ?? (JinjaUndefined)right).Error();
        return symbol switch
        {
            "+" => Add(run, left, right),
            "*" => Multiply(run, left, right),
            "%" when left is JinjaString format => JinjaFormat.Percent(run, format, right),
            _ => Numeric(symbol, left, right),
        };
    }

    /// <summary>Unary minus or plus.</summary>
    public static object Sign(string symbol, object value) => value switch
    {
        BigInteger number => symbol == "-" ? -number : number,
        double number => symbol == "-" ? -number : number,
        bool flag => JinjaBox.Int(flag ? (symbol == "-" ? -1 : 1) : 0),
        JinjaUndefined undefined => throw undefined.Error(),
        _ => throw JinjaErrors.Type($"bad operand type for unary {symbol}: '{JinjaTypes.Name(value)}'"),
    };

    /// <summary>left + right.</summary>
    public static object Add(JinjaRun run, object left, object right)
    {
        switch (left, right)
        {
            case (JinjaString a, JinjaString b):
                return Concat(run, a, b);
            case (JinjaList a, JinjaList b):
                run.ChargeItems(a.Items.Count + b.Items.Count);
                return new JinjaList([.. a.Items, .. b.Items]);
            case (JinjaTuple a, JinjaTuple b):
                run.ChargeItems(a.Items.Count + b.Items.Count);
                return new JinjaTuple([.. a.Items, .. b.Items]);
            case (JinjaString, _):
                throw JinjaErrors.Type($"can only concatenate str (not \"{JinjaTypes.Name(right)}\") to str");
            case (JinjaList, _):
                throw JinjaErrors.Type($"can only concatenate list (not \"{JinjaTypes.Name(right)}\") to list");
            case (JinjaTuple, _):
                throw JinjaErrors.Type($"can only concatenate tuple (not \"{JinjaTypes.Name(right)}\") to tuple");
            default:
                return Numeric("+", left, right);
        }
    }

    /// <summary>A float from a number; an int beyond the range of double is an OverflowError.</summary>
    public static double ToDouble(object value) => value switch
    {
        double number => number,
        bool flag => flag ? 1 : 0,
        _ => (double)(BigInteger)value is var number && double.IsFinite(number)
            ? number
            : throw JinjaErrors.Overflow("int too large to convert to float"),
    };

    private static JinjaString Concat(JinjaRun run, JinjaString left, JinjaString right)
    {
        if (left.IsMarkup || right.IsMarkup)
            return Concat(run, JinjaHtml.Escape(run, left).AsMarkup(false), JinjaHtml.Escape(run, right).AsMarkup(false)).AsMarkup(true);
        if (left.Text.Length == 0)
            return right;
        return right.Text.Length == 0 ? left : new JinjaStringBuilder(run).Append(left).Append(right).Build();
    }

    private static object Multiply(JinjaRun run, object left, object right)
    {
        var (sequence, count) = left is BigInteger or bool ? (right, left) : (left, right);
        if (sequence is not (JinjaString or JinjaList or JinjaTuple))
            return Numeric("*", left, right);
        if (count is not (BigInteger or bool))
            throw JinjaErrors.Type($"can't multiply sequence by non-int of type '{JinjaTypes.Name(count)}'");
        var times = Math.Max(0, JinjaTypes.Clamp(count));
        if (sequence is JinjaString text)
            return Repeat(run, text, times);
        var items = sequence is JinjaList list ? list.Items : ((JinjaTuple)sequence).Items;
        run.ChargeItems((long)items.Count * times);
        object[] repeated = [.. Enumerable.Repeat(items, items.Count == 0 ? 0 : times).SelectMany(copy => copy)];
        return sequence is JinjaList ? new JinjaList(repeated) : new JinjaTuple(repeated);
    }

    private static JinjaString Repeat(JinjaRun run, JinjaString text, int times)
    {
        run.ChargeText(0, (long)text.Text.Length * times);
        var builder = new JinjaStringBuilder(run);
        for (var copy = 0; copy < times && text.Text.Length > 0; copy++)
            builder.Append(text);
        return builder.Build().AsMarkup(text.IsMarkup);
    }

    private static object Numeric(string symbol, object left, object right)
    {
        if (!JinjaOperators.IsNumber(left) || !JinjaOperators.IsNumber(right))
            throw JinjaErrors.Type($"unsupported operand type(s) for {(symbol == "**" ? "** or pow()" : symbol)}: "
                + $"'{JinjaTypes.Name(left)}' and '{JinjaTypes.Name(right)}'");
        if (symbol == "/")
            return Divide(left, right);
        return left is double || right is double
            ? Floats(symbol, ToDouble(left), ToDouble(right))
            : Integers(symbol, JinjaTypes.ToInteger(left), JinjaTypes.ToInteger(right));
    }

    private static object Integers(string symbol, BigInteger left, BigInteger right)
    {
        switch (symbol)
        {
            case "+":
                return Checked(left + right);
            case "-":
                return Checked(left - right);
            case "*":
                return left.GetBitLength() + right.GetBitLength() > JinjaRun.MaxIntegerBits ? throw TooLarge() : left * right;
            case "**":
                return Power(left, right);
            default:
                if (right.IsZero)
                    throw ZeroDivision(symbol == "%" ? "integer modulo by zero" : "integer division or modulo by zero");
                var quotient = BigInteger.DivRem(left, right, out var rest);
                var adjust = !rest.IsZero && rest.Sign != right.Sign;
                return symbol == "%" ? (adjust ? rest + right : rest) : (adjust ? quotient - 1 : quotient);
        }
    }

    private static object Power(BigInteger left, BigInteger right)
    {
        if (right.Sign < 0)
            return Floats("**", ToDouble(left), ToDouble(right));
        if (BigInteger.Abs(left) <= BigInteger.One)
            return left.Sign < 0 && right.IsEven ? BigInteger.One : right.IsZero ? BigInteger.One : left;
        return left.GetBitLength() * right > JinjaRun.MaxIntegerBits ? throw TooLarge() : BigInteger.Pow(left, (int)right);
    }

    private static object Divide(object left, object right)
    {
        if (right is not double && JinjaTypes.ToInteger(right).IsZero)
            throw ZeroDivision(left is double ? "float division by zero" : "division by zero");
        return right is double and 0 ? throw ZeroDivision("float division by zero") : ToDouble(left) / ToDouble(right);
    }

    private static object Floats(string symbol, double left, double right)
    {
        switch (symbol)
        {
            case "+":
                return left + right;
            case "-":
                return left - right;
            case "*":
                return left * right;
            case "**":
                return FloatPower(left, right);
            default:
                if (right == 0)
                    throw ZeroDivision(symbol == "%" ? "float modulo" : "float floor division by zero");
                var rest = left % right;
                if (rest != 0 && (rest < 0) != (right < 0))
                    rest += right;
                return symbol == "%" ? (rest == 0 ? Math.CopySign(0, right) : rest) : FloorQuotient(left, right, rest);
        }
    }

    private static double FloorQuotient(double left, double right, double rest)
    {
        var quotient = (left - rest) / right;
        var floor = Math.Floor(quotient);
        return quotient - floor > 0.5 ? floor + 1 : floor;
    }

    private static object FloatPower(double left, double right)
    {
        if (left == 0 && right < 0)
            throw ZeroDivision("0.0 cannot be raised to a negative power");
        if (left < 0 && double.IsFinite(right) && !double.IsInteger(right))
            throw JinjaErrors.Value("complex numbers are not supported");
        var result = Math.Pow(left, right);
        return double.IsInfinity(result) && double.IsFinite(left) && double.IsFinite(right)
            ? throw JinjaErrors.Overflow("(34, 'Numerical result out of range')")
            : result;
    }

    private static BigInteger Checked(BigInteger value) => value.GetBitLength() > JinjaRun.MaxIntegerBits ? throw TooLarge() : value;

    private static TemplateException ZeroDivision(string message) => new("ZeroDivisionError", message);

    private static TemplateException TooLarge() =>
        JinjaErrors.Overflow($"An integer of the template would have more than {JinjaRun.MaxIntegerBits} bits.");
}
