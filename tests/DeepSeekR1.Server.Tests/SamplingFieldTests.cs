using System.Net;
using System.Text.Json;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Sampling fields and the prefix cache, seen over HTTP: each has the effect that its name promises.</summary>
public sealed class SamplingFieldTests(DeepSeekServer server) : IClassFixture<DeepSeekServer>
{
    private const int Tokens = 12;

    [GoldenFact]
    public async Task AllowedTokenIds_NothingElseIsGenerated()
        => Assert.All(await IdsAsync("\"allowed_token_ids\":[7,9]"), id => Assert.Contains(id, new[] { 7, 9 }));

    [GoldenFact]
    public async Task LogitBias_MovesTheChoice()
    {
        Assert.All(await IdsAsync("\"logit_bias\":{\"11\":100}"), id => Assert.Equal(11, id));
        var plain = await IdsAsync("\"n\":1");
        Assert.DoesNotContain(plain[0], await IdsAsync($"\"logit_bias\":{{\"{plain[0]}\":-100}}"));
    }

    [GoldenFact]
    public async Task Penalties_NothingIsSaidTwice()
    {
        // A bias makes two tokens win by turns; the penalty then takes each of them only so often.
        var ids = await IdsAsync("\"logit_bias\":{\"11\":50,\"12\":49},\"presence_penalty\":2");
        Assert.Equal([11, 12], ids.Distinct().Order());
        Assert.Equal([11, 12], (await IdsAsync("\"logit_bias\":{\"11\":50,\"12\":49.5},\"frequency_penalty\":2")).Distinct().Order());

        // Ten times less than it was, the token that won every time wins no more.
        Assert.All(await IdsAsync("\"logit_bias\":{\"11\":15}"), id => Assert.Equal(11, id));
        Assert.Single(await IdsAsync("\"logit_bias\":{\"11\":15},\"repetition_penalty\":10"), id => id == 11);
    }

    [GoldenFact]
    public async Task BadWords_AreNotWritten()
    {
        int forbidden = (await IdsAsync("\"n\":1"))[0];
        var text = (await server.Client.PostAsync("/detokenize", $"{{\"tokens\":[{forbidden}]}}")).Json["prompt"]!.GetValue<string>();
        var again = await server.TokenizeAsync(text);
        if (again.Length == 1)
            Assert.DoesNotContain(forbidden, await IdsAsync($"\"bad_words\":[{JsonSerializer.Serialize(text)}]"));
    }

    [GoldenFact]
    public async Task CachedTokens_AreTrueToTheBlockAndKeptApartBySalt()
    {
        int[] prompt = [.. Enumerable.Range(0, 40).Select(i => 100 + i)];
        Assert.Equal(0, await CachedAsync(prompt, ""));
        Assert.Equal(32, await CachedAsync(prompt, ""));
        Assert.Equal(32, await CachedAsync([.. prompt[..39], 5, 6, 7], ""));
        Assert.Equal(16, await CachedAsync([.. prompt[..20], .. prompt[..20]], ""));
        Assert.Equal(0, await CachedAsync(prompt, ",\"cache_salt\":\"mine\""));
        Assert.Equal(32, await CachedAsync(prompt, ",\"cache_salt\":\"mine\""));
    }

    [GoldenFact]
    public async Task TwoKeys_TakeTurnsInTheQueue()
    {
        // One place in the batch: a crowd with one key must not make the only request of another wait for all of it.
        var options = DeepSeekServer.Options();
        await using var own = ServerHost.Create(options with { ApiKeys = ["crowd", "single"], Engine = options.Engine with { MaxNumSeqs = 1 } });
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        using var client = Http.Client(own);
        async Task<string> AskAsync(string key)
        {
            using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = Http.Body("""{"prompt":[5,6,7],"max_tokens":30,"ignore_eos":true}""") };
            message.Headers.Authorization = new("Bearer", key);
            using var answer = await client.SendAsync(message);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return key;
        }

        var crowd = Enumerable.Range(0, 30).Select(_ => AskAsync("crowd")).ToList();
        while (own.Snapshot() is { } s && s.Running + s.Waiting + s.RequestsFinished < 30)
            await Task.Delay(1);
        await AskAsync("single");
        Assert.True(crowd.Count(t => !t.IsCompleted) >= 10, $"only {crowd.Count(t => !t.IsCompleted)} of the crowd were left");
        await Task.WhenAll(crowd);
    }

    [GoldenFact]
    public async Task IdsOutsideTheVocabulary_AreRefusedByTheirField()
    {
        foreach (var (member, field) in new[] { ("\"allowed_token_ids\":[99999999]", "allowed_token_ids"), ("\"logit_bias\":{\"99999999\":1}", "logit_bias") })
        {
            var answer = await server.Client.PostAsync("/v1/completions", $"{{\"prompt\":[5],\"max_tokens\":1,{member}}}");
            Assert.Equal(HttpStatusCode.BadRequest, answer.Status);
            Assert.Contains($"99999999 at position 0 of '{field}'", answer.Error, StringComparison.Ordinal);
        }
    }

    private async Task<int[]> IdsAsync(string members)
    {
        var answer = await server.Client.PostAsync(
            "/v1/completions", $"{{\"prompt\":[5,6,7],\"temperature\":0,\"max_tokens\":{Tokens},\"ignore_eos\":true,\"return_token_ids\":true,{members}}}");
        Assert.Equal(HttpStatusCode.OK, answer.Status);
        return answer.Choice["token_ids"]!.Deserialize<int[]>()!;
    }

    private async Task<int> CachedAsync(int[] prompt, string members)
    {
        var answer = await server.Client.PostAsync("/v1/completions", $"{{\"prompt\":{JsonSerializer.Serialize(prompt)},\"max_tokens\":2{members}}}");
        Assert.Equal(HttpStatusCode.OK, answer.Status);
        var usage = answer.Json["usage"]!;
        Assert.Equal(prompt.Length, usage["prompt_cache_hit_tokens"]!.GetValue<int>() + usage["prompt_cache_miss_tokens"]!.GetValue<int>());
        return usage["prompt_tokens_details"]!["cached_tokens"]!.GetValue<int>();
    }
}
