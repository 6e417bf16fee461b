using System.Numerics;

namespace DeepSeekR1.Text.Templates.Jinja.Values;

/// <summary>Python's arithmetic: ints of any size (up to a limit), floats, and + * % of strings and lists.</summary>
internal static class Arithmetic
{
    /// <summary>A binary operator by its symbol.</summary>
    public static object Apply(Rendering run, string symbol, object left, object right)
    {
        if (left is UndefinedValue || right is UndefinedValue)
            if (symbol != "%" || left is not StringValue)
                throw ((left as UndefinedValue) ?? (UndefinedValue)right).Error();
        return symbol switch
        {
            "+" => Add(run, left, right),
            "*" => Multiply(run, left, right),
            "%" when left is StringValue => Percent(run, left, right),
            _ => Numeric(symbol, left, right),
        };
    }

    /// <summary>Unary minus or plus.</summary>
    public static object Sign(string symbol, object value) => value switch
    {
        BigInteger number => symbol == "-" ? -number : number,
        double number => symbol == "-" ? -number : number,
        bool flag => Boxed.Int(flag ? (symbol == "-" ? -1 : 1) : 0),
        UndefinedValue undefined => throw undefined.Error(),
        _ => throw Errors.Type($"bad operand type for unary {symbol}: '{Protocols.TypeName(value)}'"),
    };

    /// <summary>left + right.</summary>
    public static object Add(Rendering run, object left, object right)
    {
        switch (left, right)
        {
            case (StringValue a, StringValue b):
                return Concat(run, a, b);
            case (ListValue a, ListValue b):
                run.ChargeItems(a.Items.Count + b.Items.Count);
                return new ListValue([.. a.Items, .. b.Items]);
            case (TupleValue a, TupleValue b):
                run.ChargeItems(a.Items.Count + b.Items.Count);
                return new TupleValue([.. a.Items, .. b.Items]);
            case (StringValue, _):
                throw Errors.Type($"can only concatenate str (not \"{Protocols.TypeName(right)}\") to str");
            case (ListValue, _):
                throw Errors.Type($"can only concatenate list (not \"{Protocols.TypeName(right)}\") to list");
            case (TupleValue, _):
                throw Errors.Type($"can only concatenate tuple (not \"{Protocols.TypeName(right)}\") to tuple");
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
            : throw Errors.Overflow("int too large to convert to float"),
    };

    private static StringValue Concat(Rendering run, StringValue left, StringValue right)
    {
        if (left.IsMarkup || right.IsMarkup)
            return Concat(run, Html.Escape(run, left).AsMarkup(false), Html.Escape(run, right).AsMarkup(false)).AsMarkup(true);
        if (left.Text.Length == 0)
            return right;
        return right.Text.Length == 0 ? left : new StringValueBuilder(run).Append(left).Append(right).Build();
    }

    private static object Multiply(Rendering run, object left, object right)
    {
        var (sequence, count) = left is BigInteger or bool ? (right, left) : (left, right);
        if (sequence is not (StringValue or ListValue or TupleValue))
            return Numeric("*", left, right);
        if (count is not (BigInteger or bool))
            throw Errors.Type($"can't multiply sequence by non-int of type '{Protocols.TypeName(count)}'");
        var times = Math.Max(0, Protocols.Clamp(count));
        if (sequence is StringValue text)
            return Repeat(run, text, times);
        var items = sequence is ListValue list ? list.Items : ((TupleValue)sequence).Items;
        run.ChargeItems((long)items.Count * times);
        object[] repeated = [.. Enumerable.Repeat(items, items.Count == 0 ? 0 : times).SelectMany(copy => copy)];
        return sequence is ListValue ? new ListValue(repeated) : new TupleValue(repeated);
    }

    private static StringValue Repeat(Rendering run, StringValue text, int times)
    {
        run.ChargeText(0, (long)text.Text.Length * times);
        var builder = new StringValueBuilder(run);
        for (var copy = 0; copy < times && text.Text.Length > 0; copy++)
            builder.Append(text);
        return builder.Build().AsMarkup(text.IsMarkup);
    }

    // As in Python this is a method of str; the library has it.
    private static object Percent(Rendering run, object format, object values) =>
        run.BuiltIns.Method(format, "__mod__")?.Call(run, new Arguments([values], [])) ?? Numeric("%", format, values);

    private static object Numeric(string symbol, object left, object right)
    {
        if (!Comparison.IsNumber(left) || !Comparison.IsNumber(right))
            throw Errors.Type($"unsupported operand type(s) for {(symbol == "**" ? "** or pow()" : symbol)}: "
                + $"'{Protocols.TypeName(left)}' and '{Protocols.TypeName(right)}'");
        if (symbol == "/")
            return Divide(left, right);
        return left is double || right is double
            ? Floats(symbol, ToDouble(left), ToDouble(right))
            : Integers(symbol, Protocols.ToInteger(left), Protocols.ToInteger(right));
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
                return left.GetBitLength() + right.GetBitLength() > Rendering.MaxIntegerBits ? throw TooLarge() : left * right;
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
        return left.GetBitLength() * right > Rendering.MaxIntegerBits ? throw TooLarge() : BigInteger.Pow(left, (int)right);
    }

    private static object Divide(object left, object right)
    {
        if (right is not double && Protocols.ToInteger(right).IsZero)
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
            throw Errors.Value("complex numbers are not supported");
        var result = Math.Pow(left, right);
        return double.IsInfinity(result) && double.IsFinite(left) && double.IsFinite(right)
            ? throw Errors.Overflow("(34, 'Numerical result out of range')")
            : result;
    }

    private static BigInteger Checked(BigInteger value) => value.GetBitLength() > Rendering.MaxIntegerBits ? throw TooLarge() : value;

    private static TemplateException ZeroDivision(string message) => new("ZeroDivisionError", message);

    private static TemplateException TooLarge() =>
        Errors.Overflow($"An integer of the template would have more than {Rendering.MaxIntegerBits} bits.");
}
