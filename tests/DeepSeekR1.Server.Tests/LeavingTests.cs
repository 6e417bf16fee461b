using System.Collections.Concurrent;
using System.Net;
using System.Reflection;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Clients that leave, servers that stop, engines that fail.</summary>
[Collection(ServerCollection.Name)]
public sealed class LeavingTests(DeepSeekServer server)
{
    private const string LongAnswer = "\"max_tokens\":240,\"ignore_eos\":true";

    [GoldenTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Client_Leaves_BlocksAreFreeAndTheLogSaysSo(bool stream)
    {
        var before = await server.IdleAsync();
        string user = "slow-" + stream;
        // Without this the client would read on for a while to keep the connection for later.
        using (var client = new HttpClient(new SocketsHttpHandler { ResponseDrainTimeout = TimeSpan.Zero }) { BaseAddress = server.Server.Address })
        using (var leaving = new CancellationTokenSource())
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
            {
                Content = Http.Body(DeepSeekServer.Chat(user, LongAnswer + (stream ? ",\"stream\":true" : ""))),
            };
            var answer = client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leaving.Token);
            if (stream)
            {
                using var response = await answer;
                var body = await response.Content.ReadAsStreamAsync(leaving.Token);
                await body.ReadExactlyAsync(new byte[500], leaving.Token);
            }
            else
            {
                while (server.Server.Snapshot()!.GeneratedTokens < before.GeneratedTokens + 5)
                    await Task.Delay(5);
            }
            await leaving.CancelAsync();
            if (!stream)
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answer);
        }
        var after = await server.IdleAsync();
        Assert.Equal(1, after.RequestsCancelled - before.RequestsCancelled);
        Assert.InRange(after.GeneratedTokens - before.GeneratedTokens, 1, 200);
        await WaitForLogAsync("cancelled: the client left after");
        string metrics = await server.Client.GetStringAsync("/metrics");
        Assert.Contains("deepseekr1:kv_blocks_used{model_name=\"deepseek-v3-yarn\",engine=\"0\"} 0\n", metrics);
    }

    [GoldenFact]
    public async Task Stop_WithRunningStream_FinishesItAndRefusesNewOnes()
    {
        await using var own = ServerHost.Create(DeepSeekServer.Options() with { TestConstraint = (_, _) => new DeepSeekServer.Slow() });
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        using var client = Http.Client(own);
        var running = client.StreamAsync("/v1/chat/completions", DeepSeekServer.Chat("x", "\"max_tokens\":240,\"ignore_eos\":true,\"stream\":true"));
        while (own.Snapshot()!.GeneratedTokens < 3)
            await Task.Delay(5);
        var stopping = own.StopAsync();
        while ((await client.GetAsync("/health/ready")).StatusCode == HttpStatusCode.OK)
            await Task.Delay(5);
        var refused = await client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("y", "\"max_tokens\":1"));
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "The server is shutting down and takes no new requests. Try again in a few seconds."),
            (refused.Status, refused.Error));
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.Equal("length", (string?)(await running)[^1]["choices"]![0]!["finish_reason"]);
        await stopping;
    }

    [GoldenFact]
    public async Task Request_FailsInMidStream_ErrorEventThenBrokenConnectionAndServerLives()
    {
        LlmEngine? engine = null;
        await using var own = await StartOwnAsync(() => Break(engine!), loaded => engine = loaded);
        using var client = Http.Client(own);
        string slow = await client.StreamTextAsync("/v1/completions", """{"prompt":[5],"max_tokens":2,"ignore_eos":true,"stream":true}""");
        Assert.StartsWith(": ping\n\n", slow);
        Assert.EndsWith("data: [DONE]\n\n", slow);

        var (text, broken) = await StreamUntilBrokenAsync(client, "throws");
        Assert.IsType<HttpIOException>(broken);
        Assert.Contains("data: {\"error\":{\"message\":\"The server failed on this request; its log holds the details.\"", text);
        Assert.DoesNotContain("[DONE]", text);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/health")).StatusCode);

        (text, broken) = await StreamUntilBrokenAsync(client, "faults");
        Assert.IsType<HttpIOException>(broken);
        Assert.Contains("data: {\"error\":{\"message\":\"The step that computed this request failed: made to fault", text);
        Assert.Contains("\"code\":\"step_failed\"", text);
        Assert.DoesNotContain("[DONE]", text);
        var next = await client.PostAsync("/v1/completions", """{"prompt":[5]}""");
        Assert.Equal((HttpStatusCode.InternalServerError, "server_error"), (next.Status, (string?)next.Json["error"]!["type"]));
        Assert.Equal("false", next.Headers.GetValues("x-should-retry").Single());
        await Assert.ThrowsAsync<EngineFaultedException>(() => own.WaitForShutdownAsync());
    }

    private static async Task<ServerHost> StartOwnAsync(Action breakEngine, Action<LlmEngine> loaded)
    {
        var own = ServerHost.Create(DeepSeekServer.Options() with
        {
            PingInterval = TimeSpan.FromMilliseconds(50),
            TestConstraint = (user, _) => new Failing(user, breakEngine),
            LoadEngine = (options, progress, cancellation, log) =>
            {
                var engine = LlmEngine.Load(options, progress, cancellation, log);
                loaded(engine);
                return engine;
            },
        });
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        return own;
    }

    /// <summary>Gives the engine's thread commands that throw: it goes on after the first ones and ends with the last.</summary>
    private static void Break(LlmEngine engine)
    {
        var inbox = typeof(LlmEngine).GetField("_inbox", BindingFlags.NonPublic | BindingFlags.Instance)!;
        for (int i = 0; i < 3; i++)
            ((ConcurrentQueue<Action>)inbox.GetValue(engine)!).Enqueue(() => throw new InvalidOperationException("made to fault"));
    }

    private static async Task<(string Text, Exception? Broken)> StreamUntilBrokenAsync(HttpClient client, string user)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = Http.Body($$"""{"user":"{{user}}","prompt":[5],"max_tokens":50,"ignore_eos":true,"stream":true}"""),
        };
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        return await ReadUntilBrokenAsync(await response.Content.ReadAsStreamAsync());
    }

    private static async Task<(string Text, Exception? Broken)> ReadUntilBrokenAsync(Stream body)
    {
        using var reader = new StreamReader(body);
        var text = new System.Text.StringBuilder();
        try
        {
            while (await reader.ReadLineAsync() is { } line)
                text.Append(line).Append('\n');
            return (text.ToString(), null);
        }
        catch (IOException e)
        {
            return (text.ToString(), e);
        }
    }

    private async Task WaitForLogAsync(string part)
    {
        for (int i = 0; i < 200 && !server.LogLines.Any(line => line.Contains(part)); i++)
            await Task.Delay(10);
        Assert.Contains(server.LogLines, line => line.Contains(part));
    }

    /// <summary>Slow for the first token; at the fourth it may throw, or break the engine.</summary>
    private sealed class Failing(string user, Action breakEngine) : ListGuide
    {
        /// <summary>The golden vocabulary's first printable byte, "!".</summary>
        private const int Letter = 35;

        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            Thread.Sleep(outputIds.Length == 0 ? 300 : 20);
            if (outputIds.Length < 3)
            {
                // An id with text of its own: the stream has begun when the failure comes.
                allowed.Add(Letter);
                return true;
            }
            if (outputIds.Length == 3 && user == "faults")
                breakEngine();
            return outputIds.Length == 3 && user == "throws" ? throw new InvalidOperationException("made to fail") : false;
        }
    }
}
