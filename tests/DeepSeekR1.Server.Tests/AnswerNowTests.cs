using System.Net;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// "Answer now" and the deadline: what runs is ended from outside, and ends with an answer. The model is forbidden to close its thought
/// and takes five milliseconds a token, so every thought is under way when it is ended.
/// </summary>
[Collection(ServerCollection.Name)]
public sealed class AnswerNowTests(DeepSeekServer server)
{
    private const int MaxTokens = 200;

    [GoldenTheory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task AnswerNow_Streamed_WrapsEveryThoughtUpAndTheAnswersFollow(int n)
    {
        using var response = await SendAsync($"\"n\":{n},\"stream\":true,\"stream_options\":{{\"include_usage\":true}}", null);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var chunks = new List<JsonNode>();
        string? id = null;
        bool isOver = false;
        while (await reader.ReadLineAsync() is { } line)
        {
            if (!line.StartsWith("data: {", StringComparison.Ordinal))
                continue;
            chunks.Add(JsonNode.Parse(line[6..])!);
            id = (string?)chunks[^1]["id"];
            if (chunks.Count == 5 * n)
            {
                var answer = await PostAsync(id!);
                Assert.Equal((HttpStatusCode.OK, id, "chat.completion.answer_now"), (answer.Status, (string?)answer.Json["id"], (string?)answer.Json["object"]));
                Assert.Equal(Enumerable.Range(0, n), answer.Json["choices"]!.AsArray().Select(c => (int)c!));
            }

            if (isOver || Text(chunks, 0, "content").Length < 2)
                continue;
            isOver = true;
            var late = await PostAsync(id!);
            Assert.Equal((HttpStatusCode.Conflict, "thought_is_over"), (late.Status, (string?)late.Json["error"]!["code"]));
        }

        Assert.True(isOver);
        int tokens = 0;
        for (int choice = 0; choice < n; choice++)
        {
            Assert.EndsWith("from what is known now.\n", Text(chunks, choice, "reasoning_content"), StringComparison.Ordinal);
            Assert.Equal(1, Text(chunks, choice, "reasoning_content").Split("Time is limited").Length - 1);
            Assert.NotEmpty(Text(chunks, choice, "content"));
            int[] ids = [.. Choices(chunks, choice).SelectMany(c => c["token_ids"]?.AsArray() ?? []).Select(t => (int)t!)];
            Assert.Equal(MaxTokens, ids.Length);
            tokens += Array.IndexOf(ids, await CloseAsync()) + 1;
        }

        var usage = chunks[^1]["usage"]!;
        Assert.Equal((n * MaxTokens, tokens), ((int)usage["completion_tokens"]!, (int)usage["completion_tokens_details"]!["reasoning_tokens"]!));
        Assert.InRange(tokens, 1, n * (MaxTokens - 10));
        Assert.Equal(HttpStatusCode.NotFound, (await PostAsync(id!)).Status);
    }

    [GoldenFact]
    public async Task AnswerNow_Whole_IsFoundByTheRequestId()
    {
        string name = "mine-" + Guid.NewGuid().ToString("N");
        var running = SendAsync("\"n\":2", name);
        Answer answer;
        do
            answer = await PostAsync(name);
        while (answer.Status == HttpStatusCode.NotFound);
        Assert.Equal(HttpStatusCode.OK, answer.Status);
        var whole = await Http.ReadAsync(await running);
        foreach (var choice in whole.Json["choices"]!.AsArray())
        {
            Assert.Contains("Time is limited", (string?)choice!["message"]!["reasoning_content"], StringComparison.Ordinal);
            Assert.NotEmpty((string)choice["message"]!["content"]!);
        }

        Assert.Equal((string?)answer.Json["id"], (string?)whole.Json["id"]);
        Assert.Equal(HttpStatusCode.NotFound, (await PostAsync(name)).Status);
    }

    [GoldenFact]
    public async Task AnswerNow_OfAnotherKey_IsNotFound()
    {
        var options = DeepSeekServer.Options() with { ApiKeys = ["a", "b"], TestConstraint = (_, _) => new DeepSeekServer.Slow() };
        await using var own = ServerHost.Create(options);
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        using var client = Http.Client(own);
        async Task<Answer> AskAsync(string key, string path, string body)
        {
            using var message = new HttpRequestMessage(HttpMethod.Post, path) { Content = Http.Body(body) };
            message.Headers.Authorization = new("Bearer", key);
            message.Headers.Add("x-request-id", "shared-name");
            return await Http.ReadAsync(await client.SendAsync(message));
        }

        var running = AskAsync("a", "/v1/chat/completions", DeepSeekServer.Chat("slow", "\"max_tokens\":150,\"ignore_eos\":true"));
        while (own.Snapshot() is { Running: 0 })
            await Task.Delay(1);
        Assert.Equal(HttpStatusCode.NotFound, (await AskAsync("b", "/v1/chat/completions/shared-name/answer-now", "{}")).Status);
        Assert.Equal(HttpStatusCode.OK, (await AskAsync("a", "/chat/completions/shared-name/answer-now", "{}")).Status);
        Assert.Equal(HttpStatusCode.OK, (await running).Status);
    }

    [GoldenFact]
    public async Task AnswerNow_Unknown_Is404AndWithoutThought409()
    {
        var unknown = await PostAsync("chatcmpl-0");
        Assert.Equal((HttpStatusCode.NotFound, "completion_not_found"), (unknown.Status, (string?)unknown.Json["error"]!["code"]));
        string[] without = ["\"thinking\":{\"type\":\"disabled\"}", "\"thinking_token_budget\":0", "\"n\":2,\"reasoning_effort\":\"none\""];
        foreach (string members in without)
        {
            // Asked from the moment it is known to its end: before its first token, and behind it.
            string name = "no-thought-" + Guid.NewGuid().ToString("N");
            var running = SendAsync("\"timeout\":0.5," + members, name);
            var seen = new HashSet<HttpStatusCode>();
            while (!running.IsCompleted)
                seen.Add((await PostAsync(name)).Status);
            (await running).Dispose();
            Assert.Contains(HttpStatusCode.Conflict, seen);
            Assert.Empty(seen.Except([HttpStatusCode.NotFound, HttpStatusCode.Conflict]));
        }
        await server.IdleAsync();
    }

    /// <summary>Before the first word there is a thought to end where the template opens it or leaves it to the model, and none where the template has closed it.</summary>
    [GoldenTheory]
    [InlineData("", HttpStatusCode.OK)]
    [InlineData("<think>\n", HttpStatusCode.OK)]
    [InlineData("<think>\n\n</think>\n\n", HttpStatusCode.Conflict)]
    public async Task AnswerNow_BeforeTheFirstWord_DependsOnTheTemplatesOpening(string opening, HttpStatusCode expected)
    {
        string template = Path.GetTempFileName();
        await File.WriteAllTextAsync(template, "{% for m in messages %}{{ m.content }}{% endfor %}!" + opening);
        int blank = Assert.Single(await server.TokenizeAsync("\n"));
        await using var own = ServerHost.Create(DeepSeekServer.Options() with { ChatTemplateFile = template, TestConstraint = (_, _) => new Blanks(blank) });
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        File.Delete(template);
        using var client = Http.Client(own);
        using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = Http.Body(DeepSeekServer.Chat("blanks", "\"max_tokens\":100")) };
        message.Headers.Add("x-request-id", "early");
        var running = client.SendAsync(message);
        HttpStatusCode status;
        do
            status = (await client.PostAsync("/v1/chat/completions/early/answer-now", "")).Status;
        while (status == HttpStatusCode.NotFound && !running.IsCompleted);
        Assert.Equal(expected, status);
        (await running).Dispose();
    }

    /// <summary>A thought that was turned off cannot be ended; one that the model opens all the same is closed at once.</summary>
    [GoldenFact]
    public async Task TurnedOff_AndOpenedAllTheSame_IsClosedAtOnce()
    {
        await server.ScriptAsync("opens anyway", "<think>");
        var answer = await server.Client.PostAsync("/v1/chat/completions",
            DeepSeekServer.Chat("opens anyway", "\"think\":false,\"max_tokens\":30,\"return_token_ids\":true,\"ignore_eos\":true"));
        int[] ids = [.. answer.Choice["token_ids"]!.AsArray().Select(t => (int)t!)];
        Assert.Equal([.. await server.TokenizeAsync("<think></think>")], ids[..2]);
        Assert.Equal(2, (int)answer.Json["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
    }

    [GoldenTheory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/completions")]
    public async Task Deadline_EndsWithWhatIsThere(string path)
    {
        string body = path.EndsWith("chat/completions", StringComparison.Ordinal)
            ? DeepSeekServer.Chat("slow", "\"max_tokens\":240,\"ignore_eos\":true,\"timeout\":0.4,\"n\":2")
            : "{\"user\":\"slow\",\"prompt\":[5,6,7],\"max_tokens\":240,\"ignore_eos\":true,\"timeout\":0.4,\"n\":2}";
        var whole = await server.Client.PostAsync(path, body);
        Assert.Equal(HttpStatusCode.OK, whole.Status);
        Check(whole.Json["choices"]!.AsArray().Select(c => (string?)c!["finish_reason"]), whole.Json["usage"]!);
        var chunks = await server.Client.StreamAsync(path, body[..^1] + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
        Check(chunks.SelectMany(c => c["choices"]!.AsArray()).Select(c => (string?)c!["finish_reason"]).Where(f => f is not null), chunks[^1]["usage"]!);
        await server.IdleAsync();

        static void Check(IEnumerable<string?> ends, JsonNode usage)
        {
            Assert.Equal(["length", "length"], ends);
            Assert.InRange((int)usage["completion_tokens"]!, 1, 2 * 240 - 1);
        }
    }

    [GoldenFact]
    public async Task Deadline_InTheQueue_IsAnAnswerToo()
    {
        var options = DeepSeekServer.Options();
        await using var own = ServerHost.Create(options with
        {
            RequestTimeoutSeconds = 0.3,
            Engine = options.Engine with { MaxNumSeqs = 1 },
            TestConstraint = (_, _) => new DeepSeekServer.Slow(),
        });
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        using var client = Http.Client(own);
        string Body(string members) => $$"""{"messages":[{"role":"user","content":"hi"}],"max_tokens":200,"ignore_eos":true{{members}}}""";
        var first = client.PostAsync("/v1/chat/completions", Body(",\"timeout\":30"));
        while (own.Snapshot() is { Running: 0 })
            await Task.Delay(1);
        var waiting = await client.PostAsync("/v1/chat/completions", Body(""));
        Assert.False(first.IsCompleted);
        Assert.Equal(("length", 0), ((string?)waiting.Choice["finish_reason"], (int)waiting.Json["usage"]!["completion_tokens"]!));
        Assert.Equal("", (string?)waiting.Choice["message"]!["content"]);
        Assert.Equal(200, (int)(await first).Json["usage"]!["completion_tokens"]!);
    }

    private Task<Answer> PostAsync(string id) => server.Client.PostAsync($"/v1/chat/completions/{id}/answer-now", "");

    private async Task<int> CloseAsync() => Assert.Single(await server.TokenizeAsync("</think>"));

    private async Task<HttpResponseMessage> SendAsync(string members, string? requestId)
    {
        int close = await CloseAsync();
        using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = Http.Body(DeepSeekServer.Chat("slow",
                $"\"max_tokens\":{MaxTokens},\"ignore_eos\":true,\"return_token_ids\":true,\"logit_bias\":{{\"{close}\":-100}},{members}")),
        };
        if (requestId is not null)
            message.Headers.Add("x-request-id", requestId);
        return await server.Client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
    }

    private static IEnumerable<JsonNode> Choices(List<JsonNode> chunks, int choice)
        => chunks.SelectMany(c => c["choices"]!.AsArray()).Where(c => (int)c!["index"]! == choice)!;

    private static string Text(List<JsonNode> chunks, int choice, string field)
        => string.Concat(Choices(chunks, choice).Select(c => (string?)c["delta"]![field]));

    /// <summary>Nothing but line breaks, five milliseconds each: the first word never comes.</summary>
    private sealed class Blanks(int id) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            Thread.Sleep(5);
            allowed.Add(id);
            return true;
        }
    }
}
