using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Library;

/// <summary>The tests of jinja2: what may stand behind <c>is</c>.</summary>
internal static class Tests
{
    /// <summary>All tests by name.</summary>
    public static readonly IReadOnlyDictionary<string, Callable> All = new Entry[]
    {
        new("odd", "value", (run, a) => IsRemainder(run, a[0]!, Boxed.Int(2), 1)),
        new("even", "value", (run, a) => IsRemainder(run, a[0]!, Boxed.Int(2), 0)),
        new("divisibleby", "value, num", (run, a) => IsRemainder(run, a[0]!, a[1]!, 0)),
        new("defined", "value", (_, a) => a[0] is not UndefinedValue),
        new("undefined", "value", (_, a) => a[0] is UndefinedValue),
        new("filter", "value", (run, a) => IsNameIn(run.BuiltIns.Filters, a[0]!)),
        new("test", "value", (run, a) => IsNameIn(run.BuiltIns.Tests, a[0]!)),
        new("none", "value", (_, a) => a[0] is NoneValue),
        new("boolean", "value", (_, a) => a[0] is bool),
        new("true", "value", (_, a) => a[0] is true),
        new("false", "value", (_, a) => a[0] is false),
        new("integer", "value", (_, a) => a[0] is BigInteger),
        new("float", "value", (_, a) => a[0] is double),
        new("number", "value", (_, a) => Comparison.IsNumber(a[0]!)),
        new("string", "value", (_, a) => a[0] is StringValue),
        new("mapping", "value", (_, a) => a[0] is DictValue),
        new("sequence", "value", (_, a) => IsSequence(a[0]!)),
        new("iterable", "value", (_, a) => Protocols.IsIterable(a[0]!) || a[0] is LoopContext),
        new("callable", "value", (_, a) => a[0] is Callable or UndefinedValue),
        new("sameas", "value, other", (_, a) => ReferenceEquals(a[0], a[1]) || IsSameScalar(a[0]!, a[1]!)),
        new("escaped", "value", (_, a) => a[0] is StringValue { IsMarkup: true }),
        new("upper", "value", (run, a) => Casing.IsAll(Printer.Str(run, a[0]!), upper: true)),
        new("lower", "value", (run, a) => Casing.IsAll(Printer.Str(run, a[0]!), upper: false)),
        new("in", "value, seq", (run, a) => Comparison.Contains(run, a[1]!, a[0]!)),
        new("==|eq|equalto", "a, b", (_, a) => Comparison.AreEqual(a[0]!, a[1]!)),
        new("!=|ne", "a, b", (_, a) => !Comparison.AreEqual(a[0]!, a[1]!)),
        new(">|gt|greaterthan", "a, b", (run, a) => Comparison.Compare(run, ">", a[0]!, a[1]!)),
        new(">=|ge", "a, b", (run, a) => Comparison.Compare(run, ">=", a[0]!, a[1]!)),
        new("<|lt|lessthan", "a, b", (run, a) => Comparison.Compare(run, "<", a[0]!, a[1]!)),
        new("<=|le", "a, b", (run, a) => Comparison.Compare(run, "<=", a[0]!, a[1]!)),
    }.SelectMany(entry => entry.Functions()).ToDictionary(test => test.Name);

    private static bool IsSequence(object value) =>
        value is StringValue or ListValue or TupleValue or DictValue or RangeValue or BytesValue or UndefinedValue;

    private static bool IsNameIn(IReadOnlyDictionary<string, Callable> table, object value) =>
        KeyComparer.Instance.GetHashCode(value) is var _ && value is StringValue name && table.ContainsKey(name.Text);

    private static bool IsRemainder(Rendering run, object value, object divisor, int rest) =>
        Comparison.AreEqual(Arithmetic.Apply(run, "%", value, divisor), Boxed.Int(rest));

    // Python shares these objects; so "is" holds for equal ones.
    private static bool IsSameScalar(object left, object right) => (left, right) switch
    {
        (bool a, bool b) => a == b,
        (BigInteger a, BigInteger b) => a == b,
        _ => false,
    };

    // Names are separated by bars.
    private sealed record Entry(string Names, string Parameters, Func<Rendering, object?[], bool> Test)
    {
        public IEnumerable<Callable> Functions() =>
            Names.Split('|').Select(name => new Function(name, Parameters, (run, a) => Boxed.Bool(Test(run, a))));
    }
}
