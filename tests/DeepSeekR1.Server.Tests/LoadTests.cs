using System.Net;
using System.Text.Json.Nodes;
using DeepSeekR1.Compute;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// A thousand streams at once, a third of which leave in the middle: everybody else is answered exactly once, and afterwards nothing
/// is left behind. More rounds with DEEPSEEKR1_TESTS=long.
/// </summary>
public sealed class LoadTests
{
    private const int Streams = 1000;
    private static readonly int Rounds = Goldens.Long ? 10 : 1;

    [GoldenFact]
    public async Task ThousandStreams_WithAborts_LeaveNothingBehind()
    {
        var options = DeepSeekServer.Options("qwen2");
        await using var server = ServerHost.Create(options with { Engine = options.Engine with { MaxNumSeqs = 128, KvCacheMemoryBytes = 8 << 20 } });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var handler = new SocketsHttpHandler { MaxConnectionsPerServer = 2 * Streams, ResponseDrainTimeout = TimeSpan.Zero };
        using var client = new HttpClient(handler) { BaseAddress = server.Address, Timeout = TimeSpan.FromSeconds(120) };
        await RoundAsync(client, 0, 20);
        await IdleAsync(server);
        long tensors = TensorScope.LiveTensors;
        for (int round = 1; round <= Rounds; round++)
        {
            var before = server.Snapshot()!;
            var (finished, left) = await RoundAsync(client, round, Streams);
            Assert.Equal(Streams, finished + left);
            Assert.InRange(left, Streams / 5, Streams / 2);
            await IdleAsync(server);
            var after = server.Snapshot()!;
            Assert.Equal(Streams, after.RequestsFinished - before.RequestsFinished + after.RequestsCancelled - before.RequestsCancelled);
            Assert.Equal((0, 0, 0), (after.BlocksUsed, after.Running, after.Waiting));
            Assert.Equal(tensors, TensorScope.LiveTensors);
        }

        await server.StopAsync();
    }

    [GoldenFact]
    public async Task Stop_UnderLoad_NobodyLosesAnAnswer()
    {
        var options = DeepSeekServer.Options("qwen2");
        await using var server = ServerHost.Create(options);
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var handler = new SocketsHttpHandler { MaxConnectionsPerServer = 200 };
        using var client = new HttpClient(handler) { BaseAddress = server.Address, Timeout = TimeSpan.FromSeconds(60) };
        var running = Enumerable.Range(0, 100).Select(i => client.StreamAsync("/v1/completions", Body(i, 60, stream: true))).ToList();
        while (server.Snapshot() is { } s && s.Running + s.Waiting < 100 && s.RequestsFinished == 0)
            await Task.Delay(2);
        var stopping = server.StopAsync();
        var answers = await Task.WhenAll(running);
        Assert.All(answers, chunks => Assert.Equal("length", (string?)chunks[^2]["choices"]![0]!["finish_reason"]));
        await stopping;
    }

    /// <summary>All streams at once; who is to leave reads a few events and closes the connection.</summary>
    private static async Task<(int Finished, int Left)> RoundAsync(HttpClient client, int round, int streams)
    {
        int finished = 0, left = 0;
        await Task.WhenAll(Enumerable.Range(0, streams).Select(async i =>
        {
            var random = new Random(1000 * round + i);
            int tokens = 2 + random.Next(30);
            bool leaves = random.Next(3) == 0;
            using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = Http.Body(Body(random.Next(200), tokens, stream: true)) };
            using var response = await client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            int events = 0, ends = 0, counted = 0;
            while (await reader.ReadLineAsync() is { } line)
            {
                events += line.StartsWith("data: {", StringComparison.Ordinal) ? 1 : 0;
                ends += line == "data: [DONE]" ? 1 : 0;
                if (line.Contains("\"completion_tokens\":", StringComparison.Ordinal))
                    counted = (int)JsonNode.Parse(line[6..])!["usage"]!["completion_tokens"]!;
                if (!leaves || events < 1 + tokens / 4 || counted > 0)
                    continue;
                Interlocked.Increment(ref left);
                return;
            }

            Assert.Equal((1, tokens), (ends, counted));
            Interlocked.Increment(ref finished);
        }));
        return (finished, left);
    }

    private static string Body(int seed, int tokens, bool stream)
        => $$"""{"prompt":[{{5 + seed}},{{6 + seed % 7}},7,8],"max_tokens":{{tokens}},"ignore_eos":true,"temperature":0.8,"seed":{{seed}},"stream":{{(stream ? "true,\"stream_options\":{\"include_usage\":true}" : "false")}}}""";

    private static async Task IdleAsync(ServerHost server)
    {
        for (int i = 0; i < 2000; i++)
        {
            if (server.Snapshot() is { Running: 0, Waiting: 0, BlocksUsed: 0 })
                return;
            await Task.Delay(10);
        }

        throw new TimeoutException("The engine does not become idle: " + server.Snapshot());
    }
}
