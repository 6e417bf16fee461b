using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>The tests of jinja2: what may stand behind <c>is</c>.</summary>
internal static class JinjaTests
{
    /// <summary>All tests by name.</summary>
    public static readonly IReadOnlyDictionary<string, JinjaCallable> All = new (string Names, string Parameters, Func<JinjaRun, object?[], bool> Test)[]
    {
        ("odd", "value", (run, a) => Remainder(run, a[0]!, JinjaBox.Int(2)) is var rest && JinjaOperators.AreEqual(rest, JinjaBox.Int(1))),
        ("even", "value", (run, a) => Remainder(run, a[0]!, JinjaBox.Int(2)) is var rest && JinjaOperators.AreEqual(rest, JinjaBox.Int(0))),
        ("divisibleby", "value, num", (run, a) => JinjaOperators.AreEqual(Remainder(run, a[0]!, a[1]!), JinjaBox.Int(0))),
        ("defined", "value", (_, a) => a[0] is not JinjaUndefined),
        ("undefined", "value", (_, a) => a[0] is JinjaUndefined),
        ("filter", "value", (_, a) => IsNameIn(JinjaFilters.All, a[0]!)),
        ("test", "value", (_, a) => IsNameIn(All!, a[0]!)),
        ("none", "value", (_, a) => a[0] is JinjaNone),
        ("boolean", "value", (_, a) => a[0] is bool),
        ("true", "value", (_, a) => a[0] is true),
        ("false", "value", (_, a) => a[0] is false),
        ("integer", "value", (_, a) => a[0] is BigInteger),
        ("float", "value", (_, a) => a[0] is double),
        ("number", "value", (_, a) => JinjaOperators.IsNumber(a[0]!)),
        ("string", "value", (_, a) => a[0] is JinjaString),
        ("mapping", "value", (_, a) => a[0] is JinjaDict),
        ("sequence", "value", (_, a) => a[0] is JinjaString or JinjaList or JinjaTuple or JinjaDict or JinjaRange or JinjaBytes or JinjaUndefined),
        ("iterable", "value", (_, a) => JinjaTypes.IsIterable(a[0]!) || a[0] is JinjaLoop),
        ("callable", "value", (_, a) => a[0] is JinjaCallable or JinjaUndefined),
        ("sameas", "value, other", (_, a) => ReferenceEquals(a[0], a[1]) || IsSameScalar(a[0]!, a[1]!)),
        ("escaped", "value", (_, a) => a[0] is JinjaString { IsMarkup: true }),
        ("upper", "value", (run, a) => JinjaCasing.IsAll(JinjaPrinter.Str(run, a[0]!), upper: true)),
        ("lower", "value", (run, a) => JinjaCasing.IsAll(JinjaPrinter.Str(run, a[0]!), upper: false)),
        ("in", "value, seq", (run, a) => JinjaOperators.Contains(run, a[1]!, a[0]!)),
        ("==|eq|equalto", "a, b", (_, a) => JinjaOperators.AreEqual(a[0]!, a[1]!)),
        ("!=|ne", "a, b", (_, a) => !JinjaOperators.AreEqual(a[0]!, a[1]!)),
        (">|gt|greaterthan", "a, b", (run, a) => JinjaOperators.Compare(run, ">", a[0]!, a[1]!)),
        (">=|ge", "a, b", (run, a) => JinjaOperators.Compare(run, ">=", a[0]!, a[1]!)),
        ("<|lt|lessthan", "a, b", (run, a) => JinjaOperators.Compare(run, "<", a[0]!, a[1]!)),
        ("<=|le", "a, b", (run, a) => JinjaOperators.Compare(run, "<=", a[0]!, a[1]!)),
    }.SelectMany(test => test.Names.Split('|').Select(name =>
        (JinjaCallable)new JinjaFunction(name, test.Parameters, (run, a) => JinjaBox.Bool(test.Test(run, a))))).ToDictionary(test => test.Name);

    private static bool IsNameIn(IReadOnlyDictionary<string, JinjaCallable> table, object value) =>
        JinjaKeyComparer.Instance.GetHashCode(value) is var _ && value is JinjaString name && table.ContainsKey(name.Text);

    private static object Remainder(JinjaRun run, object value, object divisor) => JinjaArithmetic.Apply(run, "%", value, divisor);

    // Python shares these objects; so "is" holds for equal ones.
    private static bool IsSameScalar(object left, object right) => (left, right) switch
    {
        (bool a, bool b) => a == b,
        (BigInteger a, BigInteger b) => a == b,
        _ => false,
    };
}
