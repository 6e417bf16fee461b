using System.Reflection;
using System.Text;
using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Text;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Every declared field has a limit on its size, for every kind of value that it takes, and keeps it.</summary>
public sealed class FieldLimitTests
{
    private static readonly RequestField[] Declared =
    [
        .. typeof(RequestFields).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => f.GetValue(null)).OfType<RequestField>(),
    ];

    private static readonly ServerOptions Options = new() { Engine = new EngineOptions { ModelPath = "models/tiny" } };
    private static readonly RequestMapper Mapper = new(Options, new ServedModels(Options, TimeProvider.System));

    [Fact]
    public void EveryField_HasALimitForEveryKindOfValue()
    {
        Assert.InRange(Declared.Length, 50, 200);
        Assert.All(Declared, field =>
        {
            Assert.NotEmpty(field.Kinds);
            Assert.All(field.Kinds, kind => Assert.True(field.Limit.Covers(kind), $"{field.Name} has no limit for {kind}"));
        });
    }

    [Fact]
    public void EveryField_IsTakenBySomeEndpoint()
    {
        RequestField[] taken = [.. RequestFields.Chat, .. RequestFields.Completion, .. RequestFields.Tokenize, .. RequestFields.Detokenize];
        Assert.All(Declared, field => Assert.Contains(field, taken));
    }

    [Fact]
    public void EveryField_RefusesWhatIsLarger_WithNameSizeAndLimit()
    {
        foreach (var field in Declared)
            foreach (var kind in field.Kinds.Where(k => k is not (JsonValueKind.True or JsonValueKind.False)))
            {
                var (json, limit, size) = TooLarge(field.Limit, kind);
                var error = Assert.Throws<InvalidRequestException>(() => field.Apply(Body($"{{\"{field.Name}\":{json}}}"), new GenerationSettings()));
                Assert.Equal((field.Name, "invalid_value"), (error.Param, error.Code));
                Assert.StartsWith($"'{field.Name}' may ", error.Message);
                Assert.Contains($" at most {limit} ", error.Message);
                Assert.EndsWith($", not {size}.", error.Message);
            }
    }

    [Theory]
    [InlineData("\"role\":\"ROLE\",\"content\":\"a\"", "messages[0].role", "'messages[0].role' may have at most 4096 characters, not 5000.")]
    [InlineData("\"role\":\"user\",\"content\":[{\"type\":\"ROLE\"}]", "messages[0].content[0].type", "'messages[0].content[0].type' may have at most 4096 characters, not 5000.")]
    public void Messages_LimitTheirMembers(string message, string param, string text)
    {
        var error = Assert.Throws<InvalidRequestException>(() => Mapper.MapChat(Body($"{{\"messages\":[{{{message.Replace("ROLE", new string('r', 5000))}}}]}}"), "id"));
        Assert.Equal((param, text), (error.Param, error.Message));
    }

    [Fact]
    public void Characters_AreCountedAndNotBytes()
    {
        // Three bytes a character, six in an escape: the limit is of characters.
        string name = new('\u20ac', 4096);
        Assert.Throws<OpenAiException>(() => Mapper.CheckModel(Body($$"""{"model":"{{name}}"}""")));
        string escaped = string.Concat(Enumerable.Repeat("\\u20ac", 4096));
        Assert.Throws<OpenAiException>(() => Mapper.CheckModel(Body($$"""{"model":"{{escaped}}"}""")));
        Assert.Throws<InvalidRequestException>(() => Mapper.CheckModel(Body($$"""{"model":"{{name}}a"}""")));
    }

    private static RequestBody Body(string json) => RequestBody.Parse(Encoding.UTF8.GetBytes(json));

    private static (string Json, int Limit, int Size) TooLarge(FieldLimit limit, JsonValueKind kind)
    {
        if (kind == JsonValueKind.Array)
        {
            int items = limit.Items!.Value;
            return ("[" + string.Join(',', Enumerable.Repeat('0', items + 1)) + "]", items, items + 1);
        }
        if (kind == JsonValueKind.Object && limit.Entries is { } entries)
            return ("{" + string.Join(',', Enumerable.Range(0, entries + 1).Select(i => $"\"{i}\":0")) + "}", entries, entries + 1);
        if (kind == JsonValueKind.Object)
            return ("{\"a\":\"" + new string('b', limit.Bytes!.Value) + "\"}", limit.Bytes.Value, limit.Bytes.Value + 8);
        int characters = limit.Characters!.Value;
        return kind == JsonValueKind.Number ? ("1." + new string('0', characters), characters, characters + 2)
            : ("\"" + new string('a', characters + 1) + "\"", characters, characters + 1);
    }
}
