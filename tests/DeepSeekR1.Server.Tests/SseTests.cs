using System.Net;
using System.Text.RegularExpressions;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The exact bytes of streams.</summary>
[Collection(ServerCollection.Name)]
public sealed partial class SseTests(DeepSeekServer server)
{
    private const string Head = """data: {"id":"ID","object":"chat.completion.chunk","created":0,"model":"deepseek-v3-yarn",""";

    [GoldenFact]
    public async Task Chat_Stream_IsTheTranscript()
    {
        await server.ScriptAsync("sse", "a</think>\u4e16");
        string text = await server.Client.StreamTextAsync("/v1/chat/completions",
            DeepSeekServer.Chat("sse", "\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
        string[] expected =
        [
            Head + """
                "choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}
                """,
            Head + """
                "choices":[{"index":0,"delta":{"reasoning_content":"a","reasoning":"a"},"finish_reason":null}],"usage":null}
                """,
            Head + """
                "choices":[{"index":0,"delta":{"content":"
                """ + "\u4e16" + """
                "},"finish_reason":null}],"usage":null}
                """,
            Head + """
                "choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}
                """,
            Head + """
                "choices":[],"usage":{"prompt_tokens":7,"completion_tokens":6,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":2},"prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":7}}
                """,
            "data: [DONE]",
        ];
        Assert.Equal(string.Join("\n\n", expected) + "\n\n", Normalise(text));
    }

    [GoldenFact]
    public async Task Chat_StreamHeaders_AreForProxies()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = Http.Body(DeepSeekServer.Chat("x", "\"stream\":true,\"max_tokens\":1")),
        };
        using var response = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("no", response.Headers.GetValues("X-Accel-Buffering").Single());
        Assert.True(response.Headers.CacheControl!.NoCache);
        Assert.True(response.Headers.Contains("x-request-id"));
        await response.Content.ReadAsStringAsync();
    }

    [GoldenFact]
    public async Task Completion_Stream_IsTheTranscript()
    {
        await server.ScriptAsync("plain", "ab");
        string text = await server.Client.StreamTextAsync("/v1/completions", """{"user":"plain","prompt":"x","stream":true}""");
        const string head = """data: {"id":"ID","object":"text_completion","created":0,"model":"deepseek-v3-yarn","choices":[{"index":0,"text":""";
        string[] expected =
        [
            head + "\"a\",\"logprobs\":null,\"finish_reason\":null}]}",
            head + "\"b\",\"logprobs\":null,\"finish_reason\":null}]}",
            head + "\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
            "data: [DONE]",
        ];
        Assert.Equal(string.Join("\n\n", expected) + "\n\n", Normalise(text));
    }

    [GoldenFact]
    public async Task Chat_StreamRefused_IsPlainJson()
    {
        var answer = await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("x", "\"stream\":true,\"temperature\":9"));
        Assert.Equal(HttpStatusCode.BadRequest, answer.Status);
        Assert.Equal("'temperature' must be between 0 and 2, not 9.", answer.Error);
    }

    [GoldenFact]
    public async Task Chat_ContinuousUsage_CountsUp()
    {
        await server.ScriptAsync("count", "abc");
        var chunks = await server.Client.StreamAsync("/v1/chat/completions", DeepSeekServer.Chat("count",
            "\"stream\":true,\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":true}"));
        Assert.Equal([1, 1, 2, 3, 4, 4], chunks.Select(c => (int)c["usage"]!["completion_tokens"]!));
    }

    private static string Normalise(string text) => Created().Replace(Id().Replace(text, "\"id\":\"ID\""), "\"created\":0");

    [GeneratedRegex("\"id\":\"(chatcmpl|cmpl)-[0-9a-f]{32}\"")]
    private static partial Regex Id();

    [GeneratedRegex("\"created\":[0-9]+")]
    private static partial Regex Created();
}
