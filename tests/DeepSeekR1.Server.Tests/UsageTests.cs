using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// Usage adds up: thought + answer + control = completion and hit + miss = prompt, counted from the token ids themselves; the same whole and
/// streamed, and the engine's own counter agrees.
/// </summary>
[Collection(ServerCollection.Name)]
public sealed class UsageTests(DeepSeekServer server)
{
    public static TheoryData<string, string, string> Cases => new()
    {
        { "plain", "abc</think>def", "" },
        { "several", "abc</think>def", "\"n\":3" },
        { "stop in answer", "abc</think>deXYf", "\"stop\":[\"XY\"]" },
        { "stop in thought", "abXYc</think>def", "\"stop\":[\"XY\"],\"n\":2" },
        { "stop is never found", "ab</think>cX", "\"stop\":[\"XYZ\"]" },
        { "stop token", "ab</think>c", "\"stop_token_ids\":[1]" },
        { "length", "abcdef</think>ghi", "\"max_tokens\":9" },
        { "length in thought", "abcdef", "\"max_tokens\":3,\"n\":2" },
        { "budget", "abcdefghijklmnopqrstuvwxyz", "\"thinking_token_budget\":5,\"max_tokens\":100,\"answer_reserve\":3" },
        { "no thought", "abc", "\"think\":false" },
        { "characters of several tokens", "\u4e16</think>\u4e16\u4e16", "\"n\":2" },
    };

    [GoldenTheory]
    [MemberData(nameof(Cases))]
    public async Task Usage_IsConserved(string name, string script, string members)
    {
        await server.ScriptAsync("usage " + name, script);
        int close = Assert.Single(await server.TokenizeAsync("</think>"));
        string request = DeepSeekServer.Chat("usage " + name, "\"return_token_ids\":true" + (members.Length > 0 ? "," + members : ""));
        long before = (await server.IdleAsync()).GeneratedTokens;
        var whole = await server.Client.PostAsync("/v1/chat/completions", request);
        long after = (await server.IdleAsync()).GeneratedTokens;
        var usage = whole.Json["usage"]!;
        int[][] answers = [.. whole.Json["choices"]!.AsArray().Select(c => c!["token_ids"]!.Deserialize<int[]>()!)];
        bool thinks = !members.Contains("\"think\":false", StringComparison.Ordinal);
        int reasoning = thinks ? answers.Sum(a => Thought(a, close)) : 0;
        int control = answers.Sum(a => a[^1] == DeepSeekServer.Eos ? 1 : 0);
        int answer = answers.Sum(a => a.Length) - reasoning - control;
        Assert.Equal(reasoning + answer + control, (int)usage["completion_tokens"]!);
        Assert.Equal(reasoning, (int)usage["completion_tokens_details"]!["reasoning_tokens"]!);
        Assert.Equal((int)usage["prompt_tokens"]! + (int)usage["completion_tokens"]!, (int)usage["total_tokens"]!);
        Assert.Equal(whole.Json["prompt_token_ids"]!.AsArray().Count, (int)usage["prompt_tokens"]!);
        Assert.Equal((int)usage["prompt_tokens"]!, (int)usage["prompt_cache_hit_tokens"]! + (int)usage["prompt_cache_miss_tokens"]!);
        Assert.Equal((int)usage["prompt_cache_hit_tokens"]!, (int)usage["prompt_tokens_details"]!["cached_tokens"]!);

        // A stop string is found by the reader, so the engine may be a few steps ahead of it; everything else is exact.
        int ahead = (int)(after - before) - (int)usage["completion_tokens"]!;
        Assert.InRange(ahead, 0, members.Contains("XY", StringComparison.Ordinal) ? 20 * answers.Length : 0);

        var chunks = await server.Client.StreamAsync("/v1/chat/completions",
            request[..^1] + ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":true}}");
        Assert.Equal(Without(usage, "cache"), Without(chunks[^1]["usage"]!, "cache"));
        CheckGrowth(chunks, answers.Length == 1);
        var separate = chunks[..^1].Select(c => c["choices"]![0]!).ToList();
        Assert.Equal(answers.Sum(a => a.Length), separate.Sum(c => c["token_ids"]?.AsArray().Count ?? 0));
    }

    [GoldenFact]
    public async Task Usage_OfAClientThatLeaves_IsCountedToTheToken()
    {
        var before = await server.IdleAsync();
        int received = 0;

        // A client that drains what it does not want would read the answer to its end.
        using (var handler = new SocketsHttpHandler { ResponseDrainTimeout = TimeSpan.Zero })
        using (var client = new HttpClient(handler) { BaseAddress = server.Server.Address })
        using (var message = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = Http.Body(DeepSeekServer.Chat("slow", "\"stream\":true,\"max_tokens\":200,\"ignore_eos\":true,\"return_token_ids\":true")),
        })
        {
            using var response = await client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            while (received < 10 && await reader.ReadLineAsync() is { } line)
                if (line.StartsWith("data: {", StringComparison.Ordinal))
                    received += JsonNode.Parse(line[6..])!["choices"]![0]!["token_ids"]?.AsArray().Count ?? 0;
        }

        var after = await server.IdleAsync();
        Assert.Equal(before.RequestsCancelled + 1, after.RequestsCancelled);
        Assert.InRange(after.GeneratedTokens - before.GeneratedTokens, received, 199);
    }

    /// <summary>Every chunk's usage holds the tokens so far; of one answer exactly those that were sent.</summary>
    private static void CheckGrowth(List<JsonNode> chunks, bool isExact)
    {
        int sent = 0, last = 0;
        foreach (var chunk in chunks)
        {
            sent += chunk["choices"]!.AsArray().Sum(c => c!["token_ids"]?.AsArray().Count ?? 0);
            int counted = (int)chunk["usage"]!["completion_tokens"]!;
            Assert.True(isExact ? counted == sent || sent == 0 : counted >= sent, $"{counted} counted, {sent} sent");
            Assert.True(counted >= last);
            last = counted;
        }
    }

    private static int Thought(int[] ids, int close)
    {
        int end = Array.IndexOf(ids, close);
        return end >= 0 ? end + 1 : ids.Length - (ids[^1] == DeepSeekServer.Eos ? 1 : 0);
    }

    /// <summary>The second request finds the first one's prompt in the cache; that difference is right.</summary>
    private static string Without(JsonNode usage, string part)
        => string.Join(',', usage.AsObject().Where(m => !m.Key.Contains(part, StringComparison.Ordinal) && m.Key != "prompt_tokens_details").Select(m => $"{m.Key}:{m.Value!.ToJsonString()}"));
}
