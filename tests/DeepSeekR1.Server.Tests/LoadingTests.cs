using System.Net;
using DeepSeekR1.Engine;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>What the server does before a model is ready; needs no engine.</summary>
public sealed class LoadingTests
{
    private static ServerOptions Options(LoadEngine load) => new()
    {
        Engine = new EngineOptions { ModelPath = "some/model" },
        Port = 0,
        LoadEngine = load,
        Logger = Serilog.Core.Logger.None,
        ApiKeys = ["secret"],
    };

    private static LlmEngine NeverReady(
        EngineOptions options, IProgress<LoadProgress>? progress, CancellationToken cancellation, Action<string>? log)
    {
        progress!.Report(new LoadProgress("weights", 0.42));
        cancellation.WaitHandle.WaitOne();
        throw new OperationCanceledException(cancellation);
    }

    private static async Task<(ServerHost Server, HttpClient Client)> StartAsync()
    {
        var server = ServerHost.Create(Options(NeverReady));
        await server.StartAsync();
        while (server.Progress.Fraction == 0)
            await Task.Delay(5);
        var client = Http.Client(server);
        client.DefaultRequestHeaders.Authorization = new("Bearer", "secret");
        return (server, client);
    }

    [Fact]
    public async Task Chat_WhileLoading_Is503WithPercentageAndRetryAfter()
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        var answer = await client.PostAsync("/v1/chat/completions", "{}");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.Status);
        Assert.Equal("The model is loading: 42 % (weights). Try again in a few seconds.", answer.Error);
        Assert.Equal("model_loading", answer.Json["error"]!["code"]!.GetValue<string>());
        Assert.InRange(answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        Assert.StartsWith("req-", answer.Headers.GetValues("x-request-id").Single());
        Assert.False(answer.Headers.Contains("x-should-retry"));
    }

    /// <summary>Kestrel looks once a second.</summary>
    [Fact]
    public async Task Connection_WithoutARequest_IsClosedAfterTheKeepAliveTimeout()
    {
        await using var server = ServerHost.Create(Options(NeverReady) with { KeepAliveTimeoutSeconds = 1 });
        await server.StartAsync();
        using var connection = new System.Net.Sockets.TcpClient();
        await connection.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        var stream = connection.GetStream();
        await stream.WriteAsync("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray());
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var buffer = new byte[4096];
        long read = 0;
        for (int count; (count = await stream.ReadAsync(buffer).AsTask().WaitAsync(TimeSpan.FromSeconds(30))) > 0;)
            read += count;
        Assert.InRange(read, 50, 4096);
        Assert.InRange(watch.Elapsed.TotalSeconds, 0.9, 25);
    }

    [Fact]
    public async Task Health_WhileLoading_LiveYesReadyNo()
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        client.DefaultRequestHeaders.Authorization = null;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetJsonAsync("/health")).Status);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetJsonAsync("/health/ready")).Status);
        var live = await client.GetJsonAsync("/health/live");
        Assert.Equal(HttpStatusCode.OK, live.Status);
        Assert.Equal("""{"status":"loading","phase":"weights","progress":0.42}""", live.Json.ToJsonString());
    }

    [Fact]
    public async Task Key_MissingOrWrong_Is401()
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        client.DefaultRequestHeaders.Authorization = null;
        var missing = await client.GetJsonAsync("/v1/models");
        Assert.Equal(HttpStatusCode.Unauthorized, missing.Status);
        Assert.Equal("No API key was sent. Send the header 'Authorization: Bearer KEY'.", missing.Error);
        client.DefaultRequestHeaders.Authorization = new("Bearer", "guess");
        var wrong = await client.GetJsonAsync("/v1/models");
        Assert.Equal(HttpStatusCode.Unauthorized, wrong.Status);
        Assert.Equal("invalid_api_key", wrong.Json["error"]!["code"]!.GetValue<string>());
        Assert.Equal("false", wrong.Headers.GetValues("x-should-retry").Single());
    }

    [Theory]
    [InlineData("Authorization", "Bearer secret")]
    [InlineData("api-key", "secret")]
    public async Task Key_Right_Passes(string header, string value)
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        client.DefaultRequestHeaders.Clear();
        client.DefaultRequestHeaders.TryAddWithoutValidation(header, value);
        var models = await client.GetJsonAsync("/v1/models");
        Assert.Equal("model", models.Json["data"]![0]!["id"]!.GetValue<string>());
    }

    [Fact]
    public async Task UnknownRoute_Is404InOpenAiShape()
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        var answer = await client.PostAsync("/v1/embeddings", "{}");
        Assert.Equal(HttpStatusCode.NotFound, answer.Status);
        Assert.Equal("No route POST /v1/embeddings. See /swagger for the routes of this server.", answer.Error);
        Assert.Equal("invalid_request_error", answer.Json["error"]!["type"]!.GetValue<string>());
        Assert.Null(answer.Json["error"]!["param"]);
    }

    [Fact]
    public async Task WrongMethod_Is405WithAllow()
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        var response = await client.GetAsync("/v1/chat/completions");
        Assert.Equal(["POST"], response.Content.Headers.Allow);
        var answer = await Http.ReadAsync(response);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, answer.Status);
        Assert.Equal("/v1/chat/completions does not accept GET. Use POST.", answer.Error);
    }

    [Fact]
    public async Task RequestId_OfClient_ComesBack()
    {
        var (server, client) = await StartAsync();
        await using var _ = server;
        client.DefaultRequestHeaders.Add("x-request-id", "mine-1");
        var answer = await client.GetJsonAsync("/health/live");
        Assert.Equal("mine-1", answer.Headers.GetValues("x-request-id").Single());
    }

    [Fact]
    public async Task Load_Fails_StartupExceptionWithItsMessage()
    {
        await using var server = ServerHost.Create(Options((_, _, _, _) => throw new StartupException("There is no checkpoint at 'some/model'.")));
        await server.StartAsync();
        var failure = await Assert.ThrowsAsync<StartupException>(() => server.WaitUntilReadyAsync());
        Assert.Equal("There is no checkpoint at 'some/model'.", failure.Message);
    }

    [Fact]
    public async Task Port_InUse_StartupExceptionNamesIt()
    {
        var (first, _) = await StartAsync();
        await using var server = first;
        await using var second = ServerHost.Create(Options(NeverReady) with { Port = first.Address.Port });
        var failure = await Assert.ThrowsAsync<StartupException>(() => second.StartAsync());
        Assert.Equal($"Port {first.Address.Port} on 127.0.0.1 is in use. Choose another with --port, or stop the server that has it.", failure.Message);
    }

    [Fact]
    public async Task Stop_WhileLoading_EndsAtOnce()
    {
        var (server, _) = await StartAsync();
        await using var closing = server;
        await server.StopAsync().WaitAsync(TimeSpan.FromSeconds(10));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => server.WaitUntilReadyAsync());
    }
}
