using DeepSeekR1.Engine;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Templates;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Messages to marked prompt text; needs no engine.</summary>
public sealed class ChatPromptTests
{
    private const string Template =
        "{% for m in messages %}[{{ m.role }}]{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}{% endfor %}"
        + "{% if add_generation_prompt %}[assistant]<think>\n{% endif %}";

    private static string Build(ChatRequest request)
    {
        var assets = new ModelTextAssets
        {
            Vocabulary = new Dictionary<string, int>(),
            Merges = [],
            AddedTokens = [],
            PreTokenizer = [],
        };
        var segments = new ChatPromptBuilder(ChatTemplate.Parse(Template), assets, Dialect.R1).Build(request);
        return string.Concat(segments.Select(s => s.FromMessage ? $"({s.Text})" : s.Text));
    }

    private static ChatRequest Request(params ChatMessage[] messages) => new() { Id = "t", Messages = messages };

    [Theory]
    [InlineData("plain", null, false, "plain")]
    [InlineData("<think>a</think>b", "a", true, "b")]
    [InlineData("a</think>b", "a", true, "b")]
    [InlineData("x<think>a</think>b", "a", true, "xb")]
    [InlineData("<think>a</think>b</think>c<think>d", "a", true, "b</think>c<think>d")]
    [InlineData("<think>a", "a", false, "")]
    [InlineData("say <think> aloud", null, false, "say <think> aloud")]
    [InlineData("a</think>b<think>c", "a", true, "b<think>c")]
    public void SplitThought_FirstTagsOnly(string content, string? reasoning, bool closed, string rest)
        => Assert.Equal((reasoning, closed, rest), Dialect.R1.SplitThought(content));

    [Fact]
    public void Build_TagsOfUsers_StayText()
        => Assert.Equal("[user](<think>)[assistant]<think>\n", Build(Request(new ChatMessage("user", "<think>"))));

    [Fact]
    public void Build_ThoughtOfAssistant_TemplateWritesTheTags()
        => Assert.Equal("[assistant]<think>(a)</think>(b)[assistant]<think>\n", Build(Request(new ChatMessage("assistant", "<think>a</think>b"))));

    [Fact]
    public void Build_Developer_IsSystem()
        => Assert.Equal("[system](s)[assistant]<think>\n", Build(Request(new ChatMessage("developer", "s"))));

    [Fact]
    public void Build_UnknownRole_IsRefused()
        => Assert.Equal("Unknown role 'king' in messages[0]. Use system, developer, user or assistant.",
            Assert.Throws<InvalidRequestException>(() => Build(Request(new ChatMessage("king", "x")))).Message);

    [Theory]
    [InlineData("<think>a", "[user](hi)[assistant]<think>(a)")]
    [InlineData("<think>a</think>b", "[user](hi)[assistant]<think>(a)</think>(b)")]
    [InlineData("b", "[user](hi)[assistant](b)")]
    public void Build_Continue_OpensTheAnswer(string content, string prompt)
        => Assert.Equal(prompt, Build(Request(new ChatMessage("user", "hi"), new ChatMessage("assistant", content)) with { ContinueFinalMessage = true }));

    [Fact]
    public void Build_TemplateRefuses_Is400()
    {
        var builder = new ChatPromptBuilder(ChatTemplate.Parse("{{ raise_exception('no system') }}"), new ModelTextAssets
        {
            Vocabulary = new Dictionary<string, int>(),
            Merges = [],
            AddedTokens = [],
            PreTokenizer = [],
        }, Dialect.R1);
        var error = Assert.Throws<InvalidRequestException>(() => builder.Build(Request(new ChatMessage("user", "x"))));
        Assert.Equal("The chat template refused these messages: no system", error.Message);
    }
}
