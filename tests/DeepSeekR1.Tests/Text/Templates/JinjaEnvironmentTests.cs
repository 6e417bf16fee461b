using DeepSeekR1.Text.Templates;
using DeepSeekR1.Text.Templates.Jinja;
using DeepSeekR1.Text.Templates.Jinja.Values;
using Xunit;

namespace DeepSeekR1.Tests.Text.Templates;

/// <summary>A template knows what its environment was given, and nothing else.</summary>
public sealed class JinjaEnvironmentTests
{
    private static readonly JinjaEnvironment Small = new(new BuiltIns
    {
        Filters = Table(new Function("shout", "value", (_, a) => StringValue.Literal(((StringValue)a[0]!).Text + "!"))),
        Tests = Table(new Function("loud", "value", (_, a) => Boxed.Bool(((StringValue)a[0]!).Text.EndsWith('!')))),
        Globals = new Dictionary<string, object> { ["answer"] = Boxed.Int(42) },
        Methods = new Dictionary<Type, IReadOnlyDictionary<string, Callable>>
        {
            [typeof(StringValue)] = Table(new Function("size", "self", (_, a) => Boxed.Int(((StringValue)a[0]!).Length))),
        },
    });

    [Theory]
    [InlineData("{{ 'a' | shout | shout }}", "a!!")]
    [InlineData("{{ 'a!' is loud }}{{ 'a' is not loud }}", "TrueTrue")]
    [InlineData("{{ answer }}", "42")]
    [InlineData("{{ 'abc'.size() }}", "3")]
    [InlineData("{{ 'abc'.upper }}{{ range }}", "")]
    [InlineData("{% macro m(x) %}<{{ x | shout }}>{% endmacro %}{{ m('a') }}{{ [1] + [2] }}", "<a!>[1, 2]")]
    public void Render_WhatTheEnvironmentWasGiven_IsKnown(string source, string expected) => Assert.Equal(expected, Render(Small, source));

    [Theory]
    [InlineData("{{ 'a' | upper }}", "TemplateAssertionError", "No filter named 'upper'.")]
    [InlineData("{% if true %}{{ 'a' | upper }}{% endif %}", "TemplateRuntimeError", "No filter named 'upper' found.")]
    [InlineData("{{ 1 is odd }}", "TemplateAssertionError", "No test named 'odd'.")]
    [InlineData("{{ range(3) }}", "UndefinedError", "'range' is undefined")]
    [InlineData("{{ '%s' % 1 }}", "TypeError", "unsupported operand type(s) for %: 'str' and 'int'")]
    public void Render_WhatOnlyTheLibraryHas_IsUnknown(string source, string kind, string message)
    {
        var exception = Assert.Throws<TemplateException>(() => Render(Small, source));
        Assert.Equal((kind, message), (exception.Kind, exception.Message));
    }

    [Fact]
    public void Parse_TargetThatIsNoName_IsNamedInTheError()
    {
        string[] targets =
        [
            "1", "a.b", "a[1]", "a[1:]", "a()", "a | e", "a is odd", "a + b", "-a", "not a", "a or b", "a if b", "a < b", "a ~ b", "[a]", "{1: 2}",
        ];
        string[] kinds =
        [
            "constant", "attribute", "subscript", "slice", "call", "filtercall", "testcall", "binary", "unary", "not", "logical", "conditional",
            "comparison", "concatenation", "sequence", "dictdisplay",
        ];
        Assert.Equal(
            kinds.Select(kind => $"can't assign to '{kind}'"),
            targets.Select(target => Assert.Throws<TemplateException>(() => ChatTemplate.Parse($"{{% set ({target}) = 1 %}}")).Message));
    }

    private static Dictionary<string, Callable> Table(params Callable[] functions) => functions.ToDictionary(function => function.Name);

    private static string Render(JinjaEnvironment environment, string source) => string.Concat(environment.Compile(source)
        .Render(new Dictionary<string, object>(), TimeProvider.System)
        .Select(segment => segment.Text));
}
