using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The length of thoughts under control: a budget yields an answer, an empty thought is none, and usage adds up.</summary>
public sealed class ThinkingBudgetTests(DeepSeekServer server) : IClassFixture<DeepSeekServer>
{
    private const int Budget = 20, MaxTokens = 150;

    [GoldenFact]
    public async Task Budget_OfTwentyTokens_YieldsAnAnswerWholeAndStreamed()
    {
        int close = Assert.Single(await server.TokenizeAsync("</think>"));
        var plain = Ids(await ChatAsync("\"logit_bias\":{\"" + close + "\":-100}"));
        string members = $"\"thinking_token_budget\":{Budget},\"logit_bias\":{{\"{close}\":-100}}";
        var whole = await ChatAsync(members);
        var ids = Ids(whole);

        // The thought is the model's own up to the budget; then the wrap-up, which no bias can forbid; then the model again.
        Assert.Equal(MaxTokens, ids.Length);
        Assert.Equal(plain.Take(Budget), ids.Take(Budget));
        int closed = Array.IndexOf(ids, close);
        Assert.InRange(closed, Budget + 1, MaxTokens - 10);
        Assert.Equal(1, ids.Count(id => id == close));
        var message = whole["choices"]![0]!["message"]!;
        Assert.Contains("Time is limited", (string?)message["reasoning_content"], StringComparison.Ordinal);
        Assert.NotEmpty((string)message["content"]!);
        var usage = whole["usage"]!;
        Assert.Equal((MaxTokens, closed + 1), ((int)usage["completion_tokens"]!, (int)usage["completion_tokens_details"]!["reasoning_tokens"]!));
        Assert.Equal((int)usage["prompt_tokens"]! + MaxTokens, (int)usage["total_tokens"]!);

        var chunks = await server.Client.StreamAsync("/v1/chat/completions", Body(members + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
        string Join(string field) => string.Concat(chunks.SelectMany(c => c["choices"]!.AsArray()).Select(c => (string?)c!["delta"]?[field]));
        Assert.Equal((string?)message["reasoning_content"], Join("reasoning_content"));
        Assert.Equal((string?)message["content"], Join("content"));
        Assert.Equal(usage.ToJsonString(), chunks[^1]["usage"]!.ToJsonString());
    }

    [GoldenTheory]
    [InlineData("\"thinking_token_budget\":0")]
    [InlineData("\"thinking\":{\"type\":\"disabled\"}")]
    [InlineData("\"reasoning_effort\":\"none\"")]
    [InlineData("\"think\":false")]
    public async Task Thought_ThatIsNotWanted_IsEmpty(string members)
    {
        var answer = await ChatAsync(members);
        Assert.Null((string?)answer["choices"]![0]!["message"]!["reasoning_content"]);
        Assert.NotEmpty((string)answer["choices"]![0]!["message"]!["content"]!);
        Assert.Equal(0, (int)answer["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
        Assert.True((int)answer["usage"]!["prompt_tokens"]! > (int)(await ChatAsync("\"n\":1"))["usage"]!["prompt_tokens"]!);
    }

    [GoldenFact]
    public async Task Thought_ThatEndsByItself_IsLeftAlone()
    {
        await server.ScriptAsync("short thought", "ab</think>answer");
        var answer = (await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("short thought", $"\"thinking_token_budget\":{Budget}"))).Json;
        Assert.Equal(("ab", "answer"), ((string?)answer["choices"]![0]!["message"]!["reasoning_content"], (string?)answer["choices"]![0]!["message"]!["content"]));
    }

    [GoldenFact]
    public async Task Budget_BeyondTheTokenLimit_EndsWithLength()
    {
        var answer = await ChatAsync($"\"thinking_token_budget\":{Budget},\"max_completion_tokens\":{Budget + 3}");
        Assert.Equal("length", (string?)answer["choices"]![0]!["finish_reason"]);
        Assert.Equal(Budget + 3, (int)answer["usage"]!["completion_tokens"]!);
    }

    [GoldenTheory]
    [InlineData("\"thinking_token_budget\":-1", "thinking_token_budget")]
    [InlineData("\"reasoning_effort\":\"huge\"", "reasoning_effort")]
    [InlineData("\"thinking\":{\"type\":\"maybe\"}", "thinking")]
    [InlineData("\"thinking\":true", "thinking")]
    public async Task BadValues_AreRefusedByTheirField(string members, string field)
    {
        var answer = await server.Client.PostAsync("/v1/chat/completions", Body(members));
        Assert.Equal((HttpStatusCode.BadRequest, field), (answer.Status, (string?)answer.Json["error"]!["param"]));
    }

    private static string Body(string members)
        => $$"""{"messages":[{"role":"user","content":"hi"}],"temperature":0,"max_tokens":{{MaxTokens}},"ignore_eos":true,"return_token_ids":true,{{members}}}""";

    private async Task<JsonNode> ChatAsync(string members)
    {
        var answer = await server.Client.PostAsync("/v1/chat/completions", Body(members));
        Assert.True(answer.Status == HttpStatusCode.OK, answer.Json.ToJsonString());
        return answer.Json;
    }

    private static int[] Ids(JsonNode answer) => answer["choices"]![0]!["token_ids"]!.Deserialize<int[]>()!;
}
