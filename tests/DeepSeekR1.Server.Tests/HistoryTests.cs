using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Templates;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Conversations with earlier thoughts, in every dialect that clients send them in, on every template at hand: never refused, and one prompt for all. No engine.</summary>
public sealed class HistoryTests
{
    /// <summary>The templates of the set that write earlier thoughts into the prompt (the second one those behind its first answer); the others leave them out.</summary>
    private static readonly string[] Keep = ["seed-oss", "kimi-k2-thinking"];

    private static readonly string[] Dialects =
    [
        """ "content":"BB","reasoning_content":"AA" """,
        """ "content":"BB","reasoning":"AA" """,
        """ "content":"BB","reasoning":"AA","reasoning_content":"AA" """,
        """ "content":"<think>AA</think>BB" """,
        """ "content":"AA</think>BB" """,
        """ "content":"<think>AA</think>BB","reasoning_content":"" """,
        """ "content":[{"type":"thinking","thinking":"AA"},{"type":"text","text":"BB"}],"tool_calls":[] """,
        """ "content":[{"type":"reasoning","text":"AA"},{"type":"text","text":"BB"}],"name":null """,
    ];

    private static readonly string[] Without =
    [
        """ "content":"BB" """,
        """ "content":"BB","reasoning_content":"" """,
        """ "content":"BB","reasoning_content":null,"reasoning":null,"tool_calls":null """,
        """ "content":"BB","reasoning":{"effort":"low"} """,
        """ "content":[{"type":"text","text":"BB"}] """,
    ];

    [GoldenFact]
    public void Thoughts_InEveryDialectOnEveryTemplate_AreOnePrompt()
    {
        string[] files = Directory.GetFiles(Goldens.At("templates"), "*.jinja");
        Assert.True(files.Length >= 30, $"{files.Length} templates");
        foreach (string file in files)
        {
            var template = ChatTemplate.Parse(File.ReadAllText(file));
            string name = Path.GetFileNameWithoutExtension(file);
            bool keeps = Keep.Contains(name);
            string plain = Assert.Single(Without.Select(message => Prompt(template, message)).Distinct());
            string thoughtful = Assert.Single(Dialects.Select(message => Prompt(template, message)).Distinct());
            Assert.True(keeps == (thoughtful != plain), name);
            Assert.True(keeps == thoughtful.Contains("(AA)", StringComparison.Ordinal), name);
            Assert.Contains("BB", thoughtful, StringComparison.Ordinal);
            Assert.DoesNotContain("<think>AA", plain + thoughtful, StringComparison.Ordinal);
        }
    }

    /// <summary>The prompt of a conversation whose middle turns carry the thought; what came from the request stands in brackets.</summary>
    private static string Prompt(ChatTemplate template, string message)
    {
        string json = $$"""{"messages":[{"role":"user","content":"U1"},{"role":"assistant",{{message}}},{"role":"user","content":"U2"},{"role":"assistant",{{message}}},{"role":"user","content":"U3"}]}""";
        var assets = new ModelTextAssets { Vocabulary = new Dictionary<string, int>(), Merges = [], AddedTokens = [], PreTokenizer = [], BosToken = "<B>", EosToken = "<E>" };
        var conversation = RequestMapper.Conversation(RequestBody.Parse(Encoding.UTF8.GetBytes(json)), "id");
        return string.Concat(new ChatPromptBuilder(template, assets, Dialect.R1).Build(conversation).Select(s => s.FromMessage ? $"({s.Text})" : s.Text));
    }
}
