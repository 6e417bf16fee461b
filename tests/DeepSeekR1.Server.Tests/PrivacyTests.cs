using System.Collections.Concurrent;
using System.Net;
using DeepSeekR1.Testing;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Servers with limits per key, and what a server's log says of its users: no prompt and no answer above the trace level.</summary>
public sealed class PrivacyTests
{
    private const string Secret = "sentinel";

    [GoldenFact]
    public async Task Limits_PerKey_RefuseOneKeyAndNotTheOther()
    {
        string file = Path.GetTempFileName();
        File.WriteAllText(file, "tight name=tight rpm=2\nwide name=wide\nsparing name=sparing tpm=10\n");
        await using var server = await StartAsync(DeepSeekServer.Options() with { ApiKeyFile = file });
        using var client = Http.Client(server);
        Assert.Equal("1", (await AskAsync(client, "tight")).Headers.GetValues("x-ratelimit-remaining-requests").Single());
        await AskAsync(client, "tight");
        using var refused = await AskAsync(client, "tight");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 25, 30);
        Assert.False(refused.Headers.Contains("x-should-retry"));
        using var wide = await AskAsync(client, "wide");
        Assert.Equal(HttpStatusCode.OK, wide.StatusCode);
        Assert.DoesNotContain(wide.Headers, h => h.Key.StartsWith("x-ratelimit", StringComparison.Ordinal));

        // 3 prompt and 5 answer tokens a request: the second one overdraws ten, the third one waits.
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(client, "sparing")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(client, "sparing")).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await AskAsync(client, "sparing")).StatusCode);
        File.Delete(file);
    }

    private static async Task<HttpResponseMessage> AskAsync(HttpClient client, string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = Http.Body("""{"prompt":[5,6,7],"max_tokens":5,"ignore_eos":true}"""),
        };
        request.Headers.Authorization = new("Bearer", key);
        var answer = await client.SendAsync(request);
        await answer.Content.ReadAsStringAsync();
        return answer;
    }

    [GoldenFact]
    public async Task Log_AboveTrace_HoldsNoTextOfPromptsAnswersOrKeys()
    {
        var log = new EventLog();
        int[] script = [];
        await using var server = await StartAsync(DeepSeekServer.Options() with
        {
            ApiKeys = ["key-" + Secret],
            Logger = new LoggerConfiguration().MinimumLevel.Verbose().WriteTo.Sink(log).CreateLogger(),
            TestConstraint = (user, _) => new Saying(script, fails: user == "fails"),
        });
        using var client = Http.Client(server);
        client.DefaultRequestHeaders.Authorization = new("Bearer", "key-" + Secret);
        var ids = await client.PostAsync("/tokenize", $$"""{"prompt":"{{Secret}}","add_special_tokens":false}""");
        script = [.. ids.Json["tokens"]!.AsArray().Select(t => (int)t!)];

        foreach (string user in new[] { "", "fails" })
            foreach (string stream in new[] { "false", "true" })
                await SendAsync(client, "/v1/chat/completions",
                    $$"""{"user":"{{user}}","messages":[{"role":"user","content":"{{Secret}}"}],"max_tokens":20,"stream":{{stream}}}""");
        Assert.Contains(Secret, (await client.PostAsync("/v1/completions", $$"""{"prompt":"{{Secret}}","max_tokens":20}""")).Choice["text"]!.GetValue<string>());
        foreach (string wrong in new[]
        {
            $$"""{"messages":"{{Secret}}"}""",
            $$"""{"messages":[{"role":"{{Secret}}","content":"x"}]}""",
            $$"""{"messages":[{"role":"user","content":[{"type":"{{Secret}}"}]}]}""",
            $$"""{"messages":[{"role":"user","content":"x"}],"stop":[["{{Secret}}"]]}""",
            $$"""{"messages":[{"role":"user","content":"x"}],"temperature":"{{Secret}}"}""",
            $$"""{"messages":[{"role":"user","content":"x"}],"reasoning_effort":"{{Secret}}"}""",
            $$"""{"messages":[{"role":"user","content":"x"}],"documents":["{{Secret}}"]}""",
            $$"""{"messages":[{"role":"user","content":"{{Secret}}"}""",
        })
            Assert.Equal(400, await SendAsync(client, "/v1/chat/completions", wrong));

        Assert.Contains(log.Events, e => e.Level == LogEventLevel.Information);
        Assert.All(log.Events.Where(e => e.Level > LogEventLevel.Verbose), e => Assert.DoesNotContain(Secret, Everything(e)));

        // The trace is where a message can be read in full: the test sees what it looks for.
        Assert.Contains(log.Events, e => e.Level == LogEventLevel.Verbose && Everything(e).Contains(Secret));
    }

    private static string Everything(LogEvent e)
        => $"{e.RenderMessage()} {string.Join(' ', e.Properties.Select(p => $"{p.Key}={p.Value}"))} {e.Exception}";

    /// <summary>The status; a body that breaks off counts too.</summary>
    private static async Task<int> SendAsync(HttpClient client, string path, string json)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = Http.Body(json) };
        using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        try
        {
            await answer.Content.ReadAsStringAsync();
        }
        catch (HttpRequestException)
        {
            // A stream that fails in the middle breaks the connection.
        }
        return (int)answer.StatusCode;
    }

    private static async Task<ServerHost> StartAsync(ServerOptions options)
    {
        var server = ServerHost.Create(options);
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        return server;
    }

    /// <summary>Forces an answer, then EOS or a failure.</summary>
    private sealed class Saying(int[] ids, bool fails) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            if (outputIds.Length == ids.Length && fails)
                throw new InvalidOperationException("made to fail");
            allowed.Add(outputIds.Length < ids.Length ? ids[outputIds.Length] : DeepSeekServer.Eos);
            return true;
        }
    }

    private sealed class EventLog : ILogEventSink
    {
        public ConcurrentQueue<LogEvent> Events { get; } = new();

        public void Emit(LogEvent logEvent) => Events.Enqueue(logEvent);
    }
}
