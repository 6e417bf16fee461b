using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>The tests of jinja2: what may stand behind <c>is</c>.</summary>
internal static class JinjaTests
{
    /// <summary>All tests by name.</summary>
    public static readonly IReadOnlyDictionary<string, JinjaCallable> All = new Entry[]
    {
        new("odd", "value", (run, a) => IsRemainder(run, a[0]!, JinjaBox.Int(2), 1)),
        new("even", "value", (run, a) => IsRemainder(run, a[0]!, JinjaBox.Int(2), 0)),
        new("divisibleby", "value, num", (run, a) => IsRemainder(run, a[0]!, a[1]!, 0)),
        new("defined", "value", (_, a) => a[0] is not JinjaUndefined),
        new("undefined", "value", (_, a) => a[0] is JinjaUndefined),
        new("filter", "value", (_, a) => IsNameIn(JinjaFilters.All, a[0]!)),
        new("test", "value", (_, a) => IsNameIn(All!, a[0]!)),
        new("none", "value", (_, a) => a[0] is JinjaNone),
        new("boolean", "value", (_, a) => a[0] is bool),
        new("true", "value", (_, a) => a[0] is true),
        new("false", "value", (_, a) => a[0] is false),
        new("integer", "value", (_, a) => a[0] is BigInteger),
        new("float", "value", (_, a) => a[0] is double),
        new("number", "value", (_, a) => JinjaOperators.IsNumber(a[0]!)),
        new("string", "value", (_, a) => a[0] is JinjaString),
        new("mapping", "value", (_, a) => a[0] is JinjaDict),
        new("sequence", "value", (_, a) => IsSequence(a[0]!)),
        new("iterable", "value", (_, a) => JinjaTypes.IsIterable(a[0]!) || a[0] is JinjaLoop),
        new("callable", "value", (_, a) => a[0] is JinjaCallable or JinjaUndefined),
        new("sameas", "value, other", (_, a) => ReferenceEquals(a[0], a[1]) || IsSameScalar(a[0]!, a[1]!)),
        new("escaped", "value", (_, a) => a[0] is JinjaString { IsMarkup: true }),
        new("upper", "value", (run, a) => JinjaCasing.IsAll(JinjaPrinter.Str(run, a[0]!), upper: true)),
        new("lower", "value", (run, a) => JinjaCasing.IsAll(JinjaPrinter.Str(run, a[0]!), upper: false)),
        new("in", "value, seq", (run, a) => JinjaOperators.Contains(run, a[1]!, a[0]!)),
        new("==|eq|equalto", "a, b", (_, a) => JinjaOperators.AreEqual(a[0]!, a[1]!)),
        new("!=|ne", "a, b", (_, a) => !JinjaOperators.AreEqual(a[0]!, a[1]!)),
        new(">|gt|greaterthan", "a, b", (run, a) => JinjaOperators.Compare(run, ">", a[0]!, a[1]!)),
        new(">=|ge", "a, b", (run, a) => JinjaOperators.Compare(run, ">=", a[0]!, a[1]!)),
        new("<|lt|lessthan", "a, b", (run, a) => JinjaOperators.Compare(run, "<", a[0]!, a[1]!)),
        new("<=|le", "a, b", (run, a) => JinjaOperators.Compare(run, "<=", a[0]!, a[1]!)),
    }.SelectMany(entry => entry.Functions()).ToDictionary(test => test.Name);

    private static bool IsSequence(object value) =>
        value is JinjaString or JinjaList or JinjaTuple or JinjaDict or JinjaRange or JinjaBytes or JinjaUndefined;

    private static bool IsNameIn(IReadOnlyDictionary<string, JinjaCallable> table, object value) =>
        JinjaKeyComparer.Instance.GetHashCode(value) is var _ && value is JinjaString name && table.ContainsKey(name.Text);

    private static bool IsRemainder(JinjaRun run, object value, object divisor, int rest) =>
        JinjaOperators.AreEqual(JinjaArithmetic.Apply(run, "%", value, divisor), JinjaBox.Int(rest));

    // Python shares these objects; so "is" holds for equal ones.
    private static bool IsSameScalar(object left, object right) => (left, right) switch
    {
        (bool a, bool b) => a == b,
        (BigInteger a, BigInteger b) => a == b,
        _ => false,
    };

    // Names are separated by bars.
    private sealed record Entry(string Names, string Parameters, Func<JinjaRun, object?[], bool> Test)
    {
        public IEnumerable<JinjaCallable> Functions() =>
            Names.Split('|').Select(name => new JinjaFunction(name, Parameters, (run, a) => JinjaBox.Bool(Test(run, a))));
    }
}
