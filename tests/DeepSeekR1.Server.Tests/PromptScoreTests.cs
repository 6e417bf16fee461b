using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>What is said about the prompt (prompt_logprobs, echo) and about hidden answers (best_of), over HTTP.</summary>
[Collection(ServerCollection.Name)]
public sealed class PromptScoreTests(DeepSeekServer server)
{
    private static readonly int[] Prompt = [5, 6, 7, 90, 91];

    [GoldenFact]
    public async Task PromptLogprobs_AreThoseOfTheSameTokensWhenTheyWereGenerated()
    {
        var generated = await CompleteAsync(Prompt, "\"max_tokens\":8,\"logprobs\":2,\"return_token_ids\":true");
        int[] ids = generated["token_ids"]!.Deserialize<int[]>()!;
        var scored = await CompleteAsync([.. Prompt, .. ids], "\"max_tokens\":1,\"prompt_logprobs\":2");
        var entries = scored["prompt_logprobs"]!.AsArray();
        Assert.Equal(Prompt.Length + ids.Length, entries.Count);
        Assert.Null(entries[0]);
        for (int i = 0; i < ids.Length; i++)
        {
            var entry = entries[Prompt.Length + i]!.AsObject();
            var own = entry[$"{ids[i]}"]!;
            Assert.Equal((double)generated["logprobs"]!["token_logprobs"]![i]!, (double)own["logprob"]!, 1e-4);
            Assert.Equal((1, (string?)generated["logprobs"]!["tokens"]![i]), ((int)own["rank"]!, (string?)own["decoded_token"]));
            Assert.Equal(2, entry.Count);
            Assert.Equal([1, 2], entry.Select(e => (int)e.Value!["rank"]!).Order());
        }

        // A token that is not among the best comes in addition, with its own rank.
        Assert.Contains(entries.Skip(1), e => e!.AsObject().Count == 3 && (int)e.AsObject().First().Value!["rank"]! > 2);
    }

    [GoldenFact]
    public async Task PromptLogprobs_OfChat_StandBesideTheChoices()
    {
        var answer = await server.Client.PostAsync("/v1/chat/completions",
            """{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"n":2,"temperature":0,"prompt_logprobs":0,"return_token_ids":true}""");
        Assert.Equal(HttpStatusCode.OK, answer.Status);
        int[] prompt = answer.Json["prompt_token_ids"]!.Deserialize<int[]>()!;
        var entries = answer.Json["prompt_logprobs"]!.AsArray();
        Assert.Equal(prompt.Length, entries.Count);
        for (int i = 1; i < prompt.Length; i++)
            Assert.Equal($"{prompt[i]}", Assert.Single(entries[i]!.AsObject()).Key);
        Assert.Null(answer.Choice["prompt_logprobs"]);
    }

    [GoldenTheory]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"stream\":true,\"prompt_logprobs\":1", "prompt_logprobs", "'prompt_logprobs' are not available when 'stream' is true.")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"prompt_logprobs\":21", "prompt_logprobs", "'prompt_logprobs' must be between 0 and 20, not 21.")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"max_tokens\":0", "max_tokens", "'max_tokens' must be at least 1, not 0; only with 'echo': true nothing needs to be generated.")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"n\":3,\"best_of\":2", "best_of", "'best_of' (2) must not be below 'n' (3).")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"best_of\":2,\"stream\":true", "best_of", "'best_of' above 'n' cannot be streamed: the best answer is known at the end. Send stream false.")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"length_penalty\":1.2", "length_penalty", "'length_penalty' = 1.2: a length penalty needs beam search, which this server does not have; leave it out or send 1.")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"logprobs\":21", "logprobs", "'logprobs' must be between 0 and 20, not 21.")]
    [InlineData("/v1/completions", "\"prompt\":\"a\"", "\"timeout\":0", "timeout", "'timeout' must be above 0 and at most 86400, not 0.")]
    [InlineData("/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]", "\"stream\":true,\"prompt_logprobs\":1", "prompt_logprobs", "'prompt_logprobs' are not available when 'stream' is true.")]
    [InlineData("/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]", "\"length_penalty\":0.5", "length_penalty", "'length_penalty' = 0.5: a length penalty needs beam search, which this server does not have; leave it out or send 1.")]
    public async Task WhatCannotBe_IsRefusedByItsField(string path, string input, string members, string field, string message)
    {
        var answer = await server.Client.PostAsync(path, $"{{{input},{members}}}");
        Assert.Equal((HttpStatusCode.BadRequest, field, message), (answer.Status, (string?)answer.Json["error"]!["param"], answer.Error));
    }

    [GoldenFact]
    public async Task Echo_StreamedWithSeveralAnswers_ScoresEveryPromptAlike()
    {
        for (int round = 0; round < 10; round++)
        {
            var chunks = await server.Client.StreamAsync("/v1/completions",
                $$"""{"prompt":[[5,6,{{round + 20}}],[8,{{round + 40}}]],"n":8,"echo":true,"logprobs":1,"max_tokens":1,"stream":true,"ignore_eos":true}""");
            var scores = chunks.SelectMany(c => c["choices"]!.AsArray()).Where(c => c!["logprobs"]!["tokens"]!.AsArray().Count > 1)
                .ToDictionary(c => (int)c!["index"]!, c => (double)c!["logprobs"]!["token_logprobs"]![1]!);
            Assert.Equal(Enumerable.Range(0, 16), scores.Keys.Order());
            Assert.All(scores, s => Assert.Equal(scores[s.Key / 8 * 8], s.Value));
            Assert.All(scores.Values, s => Assert.True(s < 0, $"{s}"));
        }
    }

    [GoldenTheory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(20)]
    public async Task Logprobs_UpTo20_GiveThatManyAlternatives(int count)
    {
        var choice = await CompleteAsync(Prompt, $"\"max_tokens\":3,\"logprobs\":{count}");
        Assert.All(choice["logprobs"]!["top_logprobs"]!.AsArray(), t => Assert.True(t!.AsObject().Count <= count));
        var chat = await server.Client.PostAsync("/v1/chat/completions",
            $$"""{"messages":[{"role":"user","content":"hi"}],"max_tokens":3,"logprobs":true,"top_logprobs":{{count}}}""");
        Assert.All(chat.Choice["logprobs"]!["content"]!.AsArray(), t => Assert.Equal(count, t!["top_logprobs"]!.AsArray().Count));
    }

    [GoldenFact]
    public async Task Echo_TextPrompts_StandBeforeTheirAnswers()
    {
        string Request(string members) => "{\"prompt\":[\"ab \\u4e16\",\"xyz\"],\"n\":2,\"temperature\":0,\"max_tokens\":5,\"ignore_eos\":true" + members + "}";
        var plain = (await server.Client.PostAsync("/v1/completions", Request(""))).Json["choices"]!.AsArray();
        var echoed = (await server.Client.PostAsync("/v1/completions", Request(",\"echo\":true"))).Json["choices"]!.AsArray();
        for (int i = 0; i < 4; i++)
            Assert.Equal((i < 2 ? "ab \u4e16" : "xyz") + (string?)plain[i]!["text"], (string?)echoed[i]!["text"]);
        var chunks = await server.Client.StreamAsync("/v1/completions", Request(",\"echo\":true,\"stream\":true"));
        for (int i = 0; i < 4; i++)
            Assert.Equal((string?)echoed[i]!["text"], string.Concat(chunks.Select(c => c["choices"]![0]!).Where(c => (int)c["index"]! == i).Select(c => (string?)c["text"])));
    }

    /// <summary>Tokens inside a character begin where it does, characters beyond the basic plane count once, and tokens that leave no text take no room.</summary>
    [GoldenTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TextOffset_OfBytesAndSpecialTokens_PointsIntoTheText(bool streamed)
    {
        string user = "offsets " + streamed;
        int[] script = [.. await server.TokenizeAsync("a\U0001f600"), DeepSeekServer.Eos, .. await server.TokenizeAsync("b\u4e16cd")];
        server.Force(user, script);
        string request = JsonSerializer.Serialize(new
        {
            user,
            prompt = "\u00e9\U0001f600x ",
            echo = true,
            logprobs = 0,
            max_tokens = script.Length,
            ignore_eos = true,
            stream = streamed
        });
        var parts = streamed
            ? (await server.Client.StreamAsync("/v1/completions", request)).Select(c => c["choices"]![0]!).ToList()
            : [(await server.Client.PostAsync("/v1/completions", request)).Choice];
        Assert.Equal("\u00e9\U0001f600x a\U0001f600b\u4e16cd", string.Concat(parts.Select(p => (string?)p["text"])));
        var tokens = parts.SelectMany(p => p["logprobs"]!["tokens"]!.AsArray()).Select(t => (string)t!).ToArray();
        int[] offsets = [.. parts.SelectMany(p => p["logprobs"]!["text_offset"]!.AsArray()).Select(o => (int)o!)];
        Assert.Equal(tokens.Length, offsets.Length);
        Assert.Equal(offsets.Order(), offsets);
        foreach (var (letter, offset) in (ReadOnlySpan<(string, int)>)[("x", 2), ("a", 4), ("b", 6), ("d", 9)])
            Assert.Equal(offset, offsets[Array.FindLastIndex(tokens, t => t.EndsWith(letter, StringComparison.Ordinal))]
                + tokens.Last(t => t.EndsWith(letter, StringComparison.Ordinal)).Length - 1);
        Assert.Equal(6, offsets[Array.FindLastIndex(tokens, t => t.StartsWith("<\uff5cend", StringComparison.Ordinal))]);
    }

    [GoldenTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Echo_WithLogprobs_ScoresPromptAndAnswerInOneList(bool streamed)
    {
        int[] ids = await server.TokenizeAsync("hello there");
        var scored = await CompleteAsync(ids, "\"max_tokens\":4,\"logprobs\":1,\"prompt_logprobs\":1,\"return_token_ids\":true");
        string request = Body(ids, "\"max_tokens\":4,\"logprobs\":1,\"echo\":true" + (streamed ? ",\"stream\":true" : ""));
        var parts = streamed
            ? (await server.Client.StreamAsync("/v1/completions", request)).Select(c => c["choices"]![0]!).ToList()
            : [(await server.Client.PostAsync("/v1/completions", request)).Choice];
        string text = string.Concat(parts.Select(p => (string?)p["text"]));
        Assert.StartsWith("hello there", text, StringComparison.Ordinal);
        List<JsonNode?> All(string field) => [.. parts.SelectMany(p => p["logprobs"]![field]!.AsArray())];
        var logprobs = All("token_logprobs");
        Assert.Equal(ids.Length + 4, logprobs.Count);
        Assert.Null(logprobs[0]);
        Assert.Null(All("top_logprobs")[0]);
        for (int i = 1; i < ids.Length; i++)
            Assert.Equal((double)scored["prompt_logprobs"]![i]![$"{ids[i]}"]!["logprob"]!, (double)logprobs[i]!, 1e-5);
        for (int i = 0; i < 4; i++)
            Assert.Equal((double)scored["logprobs"]!["token_logprobs"]![i]!, (double)logprobs[ids.Length + i]!, 1e-4);
        var (offsets, tokens) = (All("text_offset").Select(o => (int)o!).ToArray(), All("tokens").Select(t => (string)t!).ToArray());
        for (int i = 0; i < ids.Length; i++)
            Assert.Equal(tokens[i], "hello there".Substring(offsets[i], tokens[i].Length));
    }

    [GoldenFact]
    public async Task Echo_WithoutTokens_IsThePromptAlone()
    {
        int[] ids = await server.TokenizeAsync("hello there");
        var answer = (await server.Client.PostAsync("/v1/completions", Body(ids, "\"max_tokens\":0,\"logprobs\":0,\"echo\":true"))).Json;
        Assert.Equal(("hello there", "length"), ((string?)answer["choices"]![0]!["text"], (string?)answer["choices"]![0]!["finish_reason"]));
        Assert.Equal(ids.Length, answer["choices"]![0]!["logprobs"]!["token_logprobs"]!.AsArray().Count);
        Assert.Equal((ids.Length, 0), ((int)answer["usage"]!["prompt_tokens"]!, (int)answer["usage"]!["completion_tokens"]!));
        await server.IdleAsync();
    }

    [GoldenFact]
    public async Task BestOf_SendsTheBestAndCountsAll()
    {
        const string common = "\"max_tokens\":6,\"seed\":7,\"temperature\":1.5,\"ignore_eos\":true,\"logprobs\":0";
        async Task<JsonNode> AskAsync(string members)
            => (await server.Client.PostAsync("/v1/completions", $"{{\"prompt\":[[5,6,7],[8,9]],{common},{members}}}")).Json;
        var all = await AskAsync("\"n\":6");
        var best = await AskAsync("\"n\":2,\"best_of\":6");
        static double Score(JsonNode? choice) => choice!["logprobs"]!["token_logprobs"]!.AsArray().Average(l => (double)l!);
        for (int prompt = 0; prompt < 2; prompt++)
        {
            var expected = all["choices"]!.AsArray().Skip(6 * prompt).Take(6).OrderByDescending(Score).Take(2).Select(c => (string?)c!["text"]);
            Assert.Equal(expected, best["choices"]!.AsArray().Skip(2 * prompt).Take(2).Select(c => (string?)c!["text"]));
        }

        Assert.Equal([0, 1, 2, 3], best["choices"]!.AsArray().Select(c => (int)c!["index"]!));
        Assert.Equal(2 * 6 * 6, (int)best["usage"]!["completion_tokens"]!);
        var hidden = await server.Client.PostAsync("/v1/completions", "{\"prompt\":\"a\",\"best_of\":3,\"max_tokens\":3}");
        Assert.Null((JsonNode?)hidden.Choice["logprobs"]);
        Assert.Single(hidden.Json["choices"]!.AsArray());
    }

    [GoldenTheory]
    [InlineData(false, "ab")]
    [InlineData(true, "abXY")]
    public async Task StopString_IsInTheOutputOnlyWhenItIsWanted(bool include, string text)
    {
        await server.ScriptAsync("stop in output", "abXYcd");
        string body = $$"""{"user":"stop in output","prompt":"x","stop":["XY"],"max_tokens":20,"include_stop_str_in_output":{{(include ? "true" : "false")}}}""";
        Assert.Equal((text, "stop"), await server.Client.PostAsync("/v1/completions", body) is var whole ? ((string?)whole.Choice["text"], (string?)whole.Choice["finish_reason"]) : default);
        var chunks = await server.Client.StreamAsync("/v1/completions", body[..^1] + ",\"stream\":true}");
        Assert.Equal(text, string.Concat(chunks.Select(c => (string?)c["choices"]![0]!["text"])));
    }

    [GoldenFact]
    public async Task MinTokens_NoEndBefore()
    {
        await server.ScriptAsync("short", "ab");
        int eos = DeepSeekServer.Eos;
        var plain = await server.Client.PostAsync("/v1/completions", $"{{\"prompt\":[5,6],\"logit_bias\":{{\"{eos}\":100}},\"temperature\":0,\"max_tokens\":9}}");
        Assert.Equal(1, (int)plain.Json["usage"]!["completion_tokens"]!);
        var longer = await server.Client.PostAsync("/v1/completions", $"{{\"prompt\":[5,6],\"logit_bias\":{{\"{eos}\":100}},\"temperature\":0,\"max_tokens\":9,\"min_tokens\":4}}");
        Assert.Equal((5, "stop"), ((int)longer.Json["usage"]!["completion_tokens"]!, (string?)longer.Choice["finish_reason"]));
    }

    private static string Body(int[] prompt, string members)
        => $"{{\"prompt\":{JsonSerializer.Serialize(prompt)},\"temperature\":0,\"ignore_eos\":true,{members}}}";

    private async Task<JsonNode> CompleteAsync(int[] prompt, string members)
    {
        var answer = await server.Client.PostAsync("/v1/completions", Body(prompt, members));
        Assert.True(answer.Status == HttpStatusCode.OK, answer.Json.ToJsonString());
        return answer.Choice;
    }
}
