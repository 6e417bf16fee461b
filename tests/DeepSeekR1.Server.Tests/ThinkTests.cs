using System.Text;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// Thoughts end to end through the real engine and server: the golden template opens a thought in the prompt, a script decides
/// what is generated. Every case runs whole and streamed, separate and inline, and its usage is checked.
/// </summary>
[Collection(ServerCollection.Name)]
public sealed class ThinkTests(DeepSeekServer server)
{
    private const string User = """{"role":"user","content":"hi"}""";

    /// <summary>One case: what is generated and what must come out.</summary>
    public sealed record Case(
        string Name, string Script, string? Reasoning, string? Content, string Inline, string Finish = "stop", bool Eos = true,
        string Members = "", string? Prefill = null, int? ReasoningTokens = null, int? CompletionTokens = null)
    {
        public override string ToString() => Name;
    }

    public static TheoryData<Case> Cases => new()
    {
        new Case("missing open tag", "abc</think>def", "abc", "def", "<think>abc</think>def", ReasoningTokens: 4),
        new Case("doubled open tag", "<think>abc</think>def", "abc", "def", "<think>abc</think>def", ReasoningTokens: 5),
        new Case("empty think block", "</think>def", null, "def", "<think></think>def", ReasoningTokens: 1),
        new Case("never closed", "abcdef", "abcdef", null, "<think>abcdef</think>", "length", Eos: false, Members: "\"max_tokens\":6", ReasoningTokens: 6),
        new Case("ends in thought", "abc", "abc", null, "<think>abc</think>", ReasoningTokens: 3),
        new Case("stop string in thought", "abcXYdef", "abc", null, "<think>abc</think>", Members: "\"stop\":[\"XY\"]", ReasoningTokens: 5, CompletionTokens: 5),
        new Case("stop string is the tag", "abc</think>def", "abc", null, "<think>abc</think>", Members: "\"stop\":\"</think>\"", ReasoningTokens: 4, CompletionTokens: 4),
        new Case("stop string over the tag", "ab</think>cd", "a", null, "<think>a</think>", Members: "\"stop\":\"b</think>c\"", CompletionTokens: 4),
        new Case("nearly a stop string", "abX</think>cd", "abX", "cd", "<think>abX</think>cd", Members: "\"stop\":\"X</think>e\"", ReasoningTokens: 4),
        new Case("stop string in answer", "a</think>bcXYd", "a", "bc", "<think>a</think>bc", Members: "\"stop\":[\"XY\"]", ReasoningTokens: 2, CompletionTokens: 6),
        new Case("characters of several tokens", "\u00e4\u4e16</think>\ud83d\ude00!", "\u00e4\u4e16", "\ud83d\ude00!", "<think>\u00e4\u4e16</think>\ud83d\ude00!", ReasoningTokens: 6),
        new Case(
            "tool marker before close", "abc<\uff5ctool\u2581calls\u2581begin\uff5c>d", "abc", "<\uff5ctool\u2581calls\u2581begin\uff5c>d",
            "<think>abc</think><\uff5ctool\u2581calls\u2581begin\uff5c>d", ReasoningTokens: 3),
        new Case("prefill in mid-thought", "c</think>d", "c", "d", "<think>c</think>d", Prefill: "<think>ab", ReasoningTokens: 2),
        new Case("prefill after the thought", "yz", null, "yz", "yz", Prefill: "<think>ab</think>x", ReasoningTokens: 0),
        new Case("prefill without thought", "yz", null, "yz", "yz", Prefill: "x", ReasoningTokens: 0),
    };

    [GoldenTheory]
    [MemberData(nameof(Cases))]
    public async Task Chat_ThoughtCase_SameWholeAndStreamed(Case test)
    {
        int[] ids = await server.ScriptAsync(test.Name, test.Script, test.Eos);
        var whole = (await server.Client.PostAsync("/v1/chat/completions", Request(test, "separate", stream: false))).Json;
        var message = whole["choices"]![0]!["message"]!;
        Assert.Equal(test.Reasoning, (string?)message["reasoning_content"]);
        Assert.Equal(test.Reasoning, (string?)message["reasoning"]);
        Assert.Equal(test.Content, (string?)message["content"]);
        Assert.Equal(test.Finish, (string?)whole["choices"]![0]!["finish_reason"]);
        int completion = test.CompletionTokens ?? ids.Length;
        Assert.Equal(completion, (int)whole["usage"]!["completion_tokens"]!);
        Assert.Equal(ids[..completion], whole["choices"]![0]!["token_ids"]!.AsArray().Select(t => (int)t!));
        if (test.ReasoningTokens is { } reasoning)
            Assert.Equal(reasoning, (int)whole["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);

        var inline = (await server.Client.PostAsync("/v1/chat/completions", Request(test, "inline", stream: false))).Json;
        Assert.Equal(test.Inline, (string?)inline["choices"]![0]!["message"]!["content"]);
        Assert.Null(inline["choices"]![0]!["message"]!["reasoning_content"]);
        Assert.Equal(whole["usage"]!.ToJsonString(), inline["usage"]!.ToJsonString());

        foreach (string format in (string[])["separate", "inline"])
            await CheckStreamAsync(test, format, ids[..completion], whole["usage"]!);
    }

    [GoldenFact]
    public async Task Chat_SeveralAnswers_EachHasItsOwnThought()
    {
        await server.ScriptAsync("many/0", "a</think>b");
        await server.ScriptAsync("many/1", "c</think>d");
        await server.ScriptAsync("many/2", "ef", eos: false);
        var whole = (await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("many", "\"n\":3,\"max_tokens\":4"))).Json;
        string[] got = [.. whole["choices"]!.AsArray().Select(c => $"{c!["index"]} {c["message"]!["reasoning_content"]} {c["message"]!["content"]} {c["finish_reason"]}")];
        Assert.Equal(["0 a b stop", "1 c d stop", "2 ef  stop"], got);
        var chunks = await server.Client.StreamAsync("/v1/chat/completions",
            DeepSeekServer.Chat("many", "\"n\":3,\"max_tokens\":4,\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
        for (int i = 0; i < 3; i++)
        {
            var mine = chunks.Where(c => c["choices"]!.AsArray().Any(x => (int)x!["index"]! == i)).Select(c => c["choices"]![0]!).ToList();
            Assert.Equal("assistant", (string?)mine[0]["delta"]!["role"]);
            Assert.Equal("stop", (string?)mine[^1]["finish_reason"]);
        }
        Assert.Equal(whole["usage"]!.ToJsonString(), chunks[^1]["usage"]!.ToJsonString());
    }

    private async Task CheckStreamAsync(Case test, string format, int[] ids, JsonNode usage)
    {
        var chunks = await server.Client.StreamAsync("/v1/chat/completions", Request(test, format, stream: true));
        var (reasoning, content, tokens, logprobs) = (new StringBuilder(), new StringBuilder(), new List<int>(), 0);
        foreach (var choice in chunks[..^1].Select(c => c["choices"]![0]!))
        {
            reasoning.Append((string?)choice["delta"]!["reasoning_content"]);
            content.Append((string?)choice["delta"]!["content"]);
            tokens.AddRange((choice["token_ids"]?.AsArray() ?? []).Select(t => (int)t!));
            logprobs += choice["logprobs"]?["content"]!.AsArray().Count ?? 0;
        }
        Assert.Equal(format == "inline" ? "" : test.Reasoning ?? "", reasoning.ToString());
        Assert.Equal(format == "inline" ? test.Inline : test.Content ?? "", content.ToString());
        Assert.Equal(ids, tokens);
        Assert.Equal(ids.Length, logprobs);
        Assert.Equal(test.Finish, (string?)chunks[^2]["choices"]![0]!["finish_reason"]);
        Assert.Equal("{}", chunks[^2]["choices"]![0]!["delta"]!.ToJsonString());
        Assert.Equal(usage.ToJsonString(), chunks[^1]["usage"]!.ToJsonString());
    }

    private static string Request(Case test, string format, bool stream)
    {
        string messages = test.Prefill is null
            ? $"[{User}]"
            : $$"""[{{User}},{"role":"assistant","content":"{{test.Prefill}}"}]""";
        string members = $"\"reasoning_format\":\"{format}\",\"return_token_ids\":true"
            + (test.Prefill is null ? "" : ",\"continue_final_message\":true,\"add_generation_prompt\":false")
            + (stream ? ",\"stream\":true,\"logprobs\":true,\"stream_options\":{\"include_usage\":true}" : "")
            + (test.Members.Length > 0 ? "," + test.Members : "");
        return DeepSeekServer.Request(test.Name, messages, members);
    }
}
