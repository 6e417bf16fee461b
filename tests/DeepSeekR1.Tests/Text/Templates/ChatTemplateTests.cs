using System.Diagnostics;
using System.Text.Json.Nodes;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Templates;
using DeepSeekR1.Text.Templates.Jinja.Values;
using Xunit;

namespace DeepSeekR1.Tests.Text.Templates;

/// <summary>Origins of characters through each operation, limits against hostile templates, and the scopes of names.</summary>
public sealed class ChatTemplateTests
{
    private const string DeepLists = "{% set ns = namespace(x=[], y=[], z=()) %}{% for i in range(99999) %}"
        + "{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% set ns.z = (ns.z,) %}{% endfor %}";

    private const string DeepIterators =
        "{% set ns = namespace(x='a') %}{% for i in range(99999) %}{% set ns.x = ns.x | map('upper') %}{% endfor %}";

    [Theory]
    // The content is 'ab cd'; upper case marks what must be request text in the lower-cased rendering.
    [InlineData("x{{ c }}y", "xAB CDy")]
    [InlineData("{{ 'x' + c + 'y' }}", "xAB CDy")]
    [InlineData("{{ 'x' ~ c ~ 1 }}", "xAB CD1")]
    [InlineData("{{ ('x' + c + 'y')[0:3] }}", "xAB")]
    [InlineData("{{ ('x' + c)[::-1] }}", "DC BAx")]
    [InlineData("{{ (' ' + c + ' ') | trim }}", "AB CD")]
    [InlineData("{{ ('x ' + c).split() | join('-') }}", "x-AB-CD")]
    [InlineData("{{ c.replace('b', 'x') }}", "Ax CD")]
    [InlineData("{{ 'x-y' | replace('-', c) }}", "xAB CDy")]
    [InlineData("{{ ('x' + c) | title }}", "xAB CD")]
    [InlineData("{{ '%s=%s' % ('x', c) }}", "x=AB CD")]
    [InlineData("{{ '%s=%s' | format('x', c) }}", "x=AB CD")]
    [InlineData("{{ '{}-{a}'.format('x', a=c) }}", "x-AB CD")]
    [InlineData("{{ c.center(9, '*') }}", "**AB CD**")]
    [InlineData("{{ [c, 'x'] }}", "['AB CD', 'x']")]
    [InlineData("{{ {'x': c} }}", "{'x': 'AB CD'}")]
    [InlineData("{{ {'x': c} | tojson }}", "{\"X\": \"AB CD\"}")]
    [InlineData("{{ {'x': 1} | tojson }}", "{\"x\": 1}")]
    [InlineData("{{ c | list | first }}{{ c | last }}", "AD")]
    [InlineData("{% for l in c %}{{ l }}.{% endfor %}", "A.B. .C.D.")]
    [InlineData("{% set x %}x{{ c }}{% endset %}{{ x[:2] }}", "xA")]
    [InlineData("{% macro m(v) %}x{{ v }}{% endmacro %}{{ m(c) * 2 }}", "xAB CDxAB CD")]
    [InlineData("{{ ('<' + c) | e }}", "&lt;AB CD")]
    [InlineData("{{ ('x\n' + c) | indent(2) }}", "x\n  AB CD")]
    [InlineData("{{ messages[0].role }}{{ messages[0].n }}{{ messages[0].content | length }}", "user75")]
    [InlineData("{% for k in messages[0] %}{{ k[0] }}{% endfor %}", "RCNT")]
    [InlineData("{{ messages[0].tool_calls[0].type }}{{ messages[0].tool_calls[0].function.type }}", "functionEVIL")]
    [InlineData("{{ messages[1].role }}{{ messages[1].content[0].type }}{{ messages[1].content[0].text }}", "['EVIL']textEVIL")]
    [InlineData("{{ role_of_server }}", "literal")]
    public void Render_RequestText_KeepsItsOriginThroughEveryOperation(string template, string expected)
    {
        var messages = JsonNode.Parse("""
            [
                {"role": "user", "content": "ab cd", "n": 7, "tool_calls": [{"type": "function", "function": {"type": "evil"}}]},
                {"role": ["evil"], "content": [{"type": "text", "text": "evil"}]}
            ]
            """)!.AsArray();
        var segments = ChatTemplate.Parse("{% set c = messages[0].content %}" + template)
            .Render(new TemplateInput { Messages = messages, Variables = new JsonObject { ["role_of_server"] = "literal" } });
        var shown = segments.Select(segment => segment.FromMessage ? segment.Text.ToUpperInvariant() : segment.Text.ToLowerInvariant());
        Assert.Equal(expected, string.Concat(shown));
    }

    [Fact]
    public void Render_NeighbouringRunsOfOneOrigin_AreJoined()
    {
        var segments = Render("a{{ 'b' }}{{ messages[0].content }}{{ messages[0].content }}{{ '' }}c", "x");
        Assert.Equal([new TextSegment("ab", false), new TextSegment("xx", true), new TextSegment("c", false)], segments);
    }

    [Fact]
    public void Render_VariableWithReservedName_IsRefused() => Assert.Equal("TypeError", Assert.Throws<TemplateException>(() =>
        ChatTemplate.Parse("x").Render(new TemplateInput { Messages = [], Variables = new JsonObject { ["messages"] = "<evil>" } })).Kind);

    [Theory]
    [InlineData("{{ 9 ** (9 ** 9) }}", "OverflowError")]
    [InlineData("{% set ns = namespace(n=2) %}{% for i in range(100) %}{% set ns.n = ns.n * ns.n %}{% endfor %}", "OverflowError")]
    [InlineData("{{ 10 ** 5000 }}", "ValueError")]
    [InlineData("{{ 'x' * 1000000000 }}", "MemoryError")]
    [InlineData("{{ '%999999999d' % 1 }}", "ValueError")]
    [InlineData("{{ '%*d' % (999999999, 1) }}", "ValueError")]
    [InlineData("{{ '{:999999999}'.format('x') }}", "ValueError")]
    [InlineData("{{ 'x'.ljust(1000000000) }}", "MemoryError")]
    [InlineData("{{ '\t'.expandtabs(1000000000) }}", "MemoryError")]
    [InlineData("{{ 'x' | indent(1000000000, true) }}", "MemoryError")]
    [InlineData("{{ [[1]] | tojson(indent=1000000000) | length > 9 and 'x' * 99999999 }}", "MemoryError")]
    [InlineData("{{ [0] * 1000000000 }}", "RuntimeError")]
    [InlineData("{{ [1] | batch(1000000000, 'x') | list }}", "RuntimeError")]
    [InlineData("{{ [1] | slice(1000000000) | list }}", "RuntimeError")]
    [InlineData("{{ range(100001) }}", "OverflowError")]
    [InlineData("{{ range(10 ** 30) }}", "OverflowError")]
    [InlineData("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "RuntimeError")]
    [InlineData("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "MemoryError")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "RuntimeError")]
    [InlineData("{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}", "MemoryError")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError")]
    [InlineData("{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}", "RecursionError")]
    [InlineData("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}", "RecursionError")]
    [InlineData(DeepLists + "{{ ns.x }}", "RecursionError")]
    [InlineData(DeepLists + "{{ ns.x | tojson }}", "RecursionError")]
    [InlineData(DeepLists + "{{ ns.x == ns.y }}", "RecursionError")]
    [InlineData(DeepLists + "{{ {ns.z: 1} }}", "RecursionError")]
    [InlineData(DeepIterators + "{{ ns.x | list }}", "RecursionError")]
    [InlineData("{% set s = 'a' * 9999999 %}{% for i in range(9999) %}{{ ('a' * 5000000 + 'b') in s }}{% endfor %}", "RuntimeError")]
    [InlineData("{% set s = '\\U0001f600' * 9999999 %}{% for i in range(9999) %}{{ s[999999] }}{% endfor %}", "RuntimeError")]
    [InlineData("{{ messages.__class__.__mro__ }}", "SecurityError")]
    [InlineData("{{ ''.join.__self__.x }}", "SecurityError")]
    [InlineData("{{ messages[0].content.format.__globals__ ~ '' ~ ''.__class__() }}", "SecurityError")]
    [InlineData("{{ messages.append(1) }}", "SecurityError")]
    public void Render_HostileTemplate_FailsSoon(string source, string kind)
    {
        var watch = Stopwatch.StartNew();
        var exception = Assert.Throws<TemplateException>(() => Render(source, "x"));
        Assert.Equal(kind, exception.Kind);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
    }

    [Theory]
    [InlineData("{{ ", "(", "1", ")", " }}")]
    [InlineData("{{ ", "[", "1", "]", " }}")]
    [InlineData("{{ ", "not ", "1", "", " }}")]
    [InlineData("{{ ", "-", "1", "", " }}")]
    [InlineData("{{ 1", " + 1", "", "", " }}")]
    [InlineData("{{ x", ".y", "", "", " }}")]
    [InlineData("{{ x", " | e", "", "", " }}")]
    [InlineData("", "{% if 1 %}", "", "{% endif %}", "")]
    [InlineData("{{ 1", " if 1 else 1", "", "", " }}")]
    [InlineData("{{ 1", " ~ 1", "", "", " }}")]
    [InlineData("{{ '", "{", "", "}", "'.format(1) }}")]
    public void Parse_VeryDeepNesting_EndsInAnAnswer(string head, string open, string middle, string close, string tail)
    {
        const int Depth = 200_000;
        string Repeat(string text) => string.Concat(Enumerable.Repeat(text, Depth));
        var source = head + Repeat(open) + middle + Repeat(close) + tail;
        // Either it works or it is refused; it must not end the process.
        Assert.True(Record.Exception(() => Render(source, "x")) is null or TemplateException);
    }

    [Theory]
    [InlineData("{{ '\\N{NO SUCH NAME}' }}")]
    [InlineData("{{ '\\x1' }}")]
    [InlineData("{% for loop in x %}{% endfor %}")]
    [InlineData("{% set 1 = 2 %}")]
    [InlineData("{{ a[ }}")]
    [InlineData("{% macro f(a=1, b) %}{% endmacro %}")]
    [InlineData("{{ f(a=1, 2) }}")]
    [InlineData("{% raw %}x")]
    public void Parse_InvalidSource_IsATemplateException(string source) =>
        Assert.Throws<TemplateException>(() => ChatTemplate.Parse(source));

    [Fact]
    public void Parse_ManyIfsAndNames_EndsSoon()
    {
        var names = string.Concat(Enumerable.Range(0, 900).Select(number => $"{{% set a{number} = 1 %}}"));
        var ifs = string.Concat(Enumerable.Repeat("{% if x %}{% endif %}", 20_000));
        var watch = Stopwatch.StartNew();
        ChatTemplate.Parse(names + ifs);
        var manyNames = string.Concat(Enumerable.Range(0, 2000).Select(number => $"{{{{ a{number} }}}}"));
        Assert.Throws<TemplateException>(() => ChatTemplate.Parse(manyNames));
        Assert.Throws<TemplateException>(() => ChatTemplate.Parse(new string('x', 2_000_000)));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
    }

    [Theory]
    // Outputs of jinja2 3.1.6 for names that several scopes use.
    [InlineData("{% macro f() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ f() }}", "1")]
    [InlineData("{% macro f() %}[{{ v }}]{% endmacro %}{{ f() }}{% set v = 1 %}", "[]")]
    [InlineData("{{ v }}{% set v = 1 %}{{ v }}", "given1")]
    [InlineData("{% if false %}{% set v = 1 %}{% endif %}{{ v }}", "given")]
    [InlineData("{% for i in [1, 2] %}{{ v }}{% set v = i %}{{ v }}{% endfor %}{{ v }}", "given1given2given")]
    [InlineData("{% set v = 0 %}{% for i in [1, 2] %}{{ v }}{% set v = v + i %}{{ v }}{% endfor %}{{ v }}", "01020")]
    [InlineData("{% for i in [1, 2] %}{% if i == 1 %}{% set w = 'a' %}{% endif %}[{{ w }}]{% endfor %}", "[a][]")]
    [InlineData("{% for i in [1] %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}", "1")]
    [InlineData("{% for i in [1, 2] if i > 1 %}{{ loop.length }}{{ i }}{% endfor %}", "12")]
    [InlineData("{% for i in [1, 2] %}{% for j in [3] if loop.index == 2 %}{{ j }}{% endfor %}{% endfor %}", "3")]
    [InlineData("{% with v = 1, w = v %}{{ v }}{{ w }}{% endwith %}{{ v }}", "1givengiven")]
    [InlineData("{% set w = 1 %}{% generation %}{% set w = 2 %}{{ w }}{% endgeneration %}{{ w }}", "21")]
    [InlineData("{% macro f(a, b=a) %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call f(1) %}{{ v }}{% endcall %}", "11given")]
    [InlineData("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% else %}e{% endfor %}", "1")]
    [InlineData("{% for i in [1] %}{% continue %}{% else %}e{% endfor %}", "e")]
    [InlineData("{% if v is nosuch %}{% else %}x{% endif %}", null)]
    [InlineData("{% if false %}{{ v | nosuch }}{% endif %}x", "x")]
    public void Render_NamesInScopes_FollowJinja2(string source, string? expected)
    {
        var variables = new Dictionary<string, object> { ["v"] = StringValue.Literal("given") };
        string Run() => string.Concat(ChatTemplate.Parse(source).Render(variables).Select(segment => segment.Text));
        if (expected is null)
            Assert.Throws<TemplateException>(Run);
        else
            Assert.Equal(expected, Run());
    }

    [Fact]
    public async Task Render_OneTemplateOnManyThreads_GivesTheSame()
    {
        var template = ChatTemplate.Parse("{% for i in range(50) %}{% set x = i + 1 %}{{ x }}{{ messages[0].content }}{% endfor %}");
        var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(number => Task.Run(() => string.Concat(
            template.Render(new TemplateInput { Messages = [new JsonObject { ["role"] = "user", ["content"] = $"<{number}>" }] })
                .Select(segment => segment.Text)))));
        Assert.All(results.Index(), result =>
            Assert.Equal(string.Concat(Enumerable.Range(1, 50).Select(turn => $"{turn}<{result.Index}>")), result.Item));
    }

    [Fact]
    public void Render_ValuesMadeInCode_KeepIntAndFloatApart()
    {
        var message = new JsonObject { ["a"] = 1, ["b"] = 1.0, ["c"] = 2L, ["d"] = 2.5f, ["e"] = true, ["f"] = 3m };
        var template = ChatTemplate.Parse("{% for k in 'abcdef' %}{{ messages[0][k] }} {% endfor %}");
        var segments = template.Render(new TemplateInput { Messages = [message] });
        Assert.Equal("1 1.0 2 2.5 True 3 ", segments[0].Text);
    }

    private static IReadOnlyList<TextSegment> Render(string source, string content) => ChatTemplate.Parse(source).Render(
        new TemplateInput { Messages = [new JsonObject { ["role"] = "user", ["content"] = content }] });
}
