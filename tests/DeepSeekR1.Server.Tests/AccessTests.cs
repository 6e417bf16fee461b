using System.Net;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Keys, limits, origins and headers; needs no engine.</summary>
public sealed class AccessTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private static async Task<(ServerHost Server, HttpClient Client)> StartAsync(Func<ServerOptions, ServerOptions> change)
    {
        var server = ServerHost.Create(change(new ServerOptions
        {
            Engine = new EngineOptions { ModelPath = "some/model" },
            Port = 0,
            Logger = Serilog.Core.Logger.None,
            LoadEngine = (_, _, cancellation, _) =>
            {
                cancellation.WaitHandle.WaitOne();
                throw new OperationCanceledException(cancellation);
            },
        }));
        await server.StartAsync();
        return (server, Http.Client(server));
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.Authorization = new("Bearer", key);
        using var response = await client.SendAsync(request);
        return response.StatusCode;
    }

    [Fact]
    public async Task KeyFile_Changes_NewKeysPassAndOldOnesDoNot()
    {
        File.WriteAllText(_file, "# ours\nfirst name=alice rpm=5 tpm=100 # until June\n\n\tsecond\r\n");
        var (server, client) = await StartAsync(o => o with { ApiKeys = ["fixed"], ApiKeyFile = _file });
        await using var _ = server;
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(client, "first"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(client, "second"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(client, "fixed"));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(client, "third"));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(client, "alice"));

        File.WriteAllText(_file, "second\nthird\n");
        await UntilAsync(client, "third", HttpStatusCode.OK);
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(client, "first"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(client, "fixed"));

        // A wrong file changes nothing; an empty one leaves the server closed, not open.
        File.WriteAllText(_file, "fourth rpm=many\n");
        await Task.Delay(1200);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(client, "third"));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(client, "fourth"));
        File.WriteAllText(_file, "\n");
        await UntilAsync(client, "third", HttpStatusCode.Unauthorized);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(client, "fixed"));
    }

    private static async Task UntilAsync(HttpClient client, string key, HttpStatusCode status)
    {
        for (int i = 0; i < 100 && await StatusAsync(client, key) != status; i++)
            await Task.Delay(50);
        Assert.Equal(status, await StatusAsync(client, key));
    }

    [Theory]
    [InlineData("# none\n", "has no key. Write one key per line.")]
    [InlineData("one\ntwo rpm=0\n", "rpm in line 2 must be an integer of at least 1, not '0'.")]
    [InlineData("one secret\n", "line 1 has an unknown word after its key. Write KEY name=NAME rpm=N tpm=N.")]
    public void KeyFile_Wrong_IsFoundAtTheStart(string content, string message)
    {
        File.WriteAllText(_file, content);
        var options = new ServerOptions { Engine = new EngineOptions { ModelPath = "m" }, ApiKeyFile = _file, Logger = Serilog.Core.Logger.None };
        Assert.EndsWith(message, Assert.Throws<StartupException>(() => ServerHost.Create(options)).Message);
    }

    [Fact]
    public void Requests_OverTheLimit_Are429UntilTimeHasPassed()
    {
        var clock = new ManualClock();
        var tenant = new Tenant("t", null, clock).WithLimits(new RateLimits(3, null));
        for (int left = 2; left >= 0; left--)
            Assert.Equal(("3", $"{left}"), Limits(Admit(tenant), "requests"));
        var refused = Assert.Throws<OpenAiException>(() => Admit(tenant)).Error;
        Assert.Equal((429, "rate_limit_exceeded", 20), (refused.Status, refused.Code, refused.RetryAfterSeconds));
        Assert.Equal("The limit of 3 requests a minute is used up. Try again in 20 s.", refused.Message);

        // The time that it was told is exactly enough, and a second less is not.
        clock.Advance(19);
        Assert.Throws<OpenAiException>(() => Admit(tenant));
        clock.Advance(1);
        Assert.Equal("1m0s", Admit(tenant)["x-ratelimit-reset-requests"]);
        Assert.Equal((4, 2), tenant.Requests);

        // However long nobody asks, there is never more than a minute's worth.
        clock.Advance(3600);
        Assert.Equal(("3", "2"), Limits(Admit(tenant), "requests"));
    }

    [Fact]
    public void Tokens_Overdrawn_AreWaitedFor()
    {
        var clock = new ManualClock();
        var tenant = new Tenant("t", null, clock).WithLimits(new RateLimits(null, 600));
        Assert.Equal(("600", "600"), Limits(Admit(tenant), "tokens"));
        tenant.Charge(new TokenUsage(100, 700, 50, 0), 0);
        var refused = Assert.Throws<OpenAiException>(() => Admit(tenant)).Error;
        Assert.Equal((429, 21), (refused.Status, refused.RetryAfterSeconds));
        clock.Advance(21);
        Assert.Equal(("600", "10"), Limits(Admit(tenant), "tokens"));
        Assert.Equal((100, 700, 50, 0), tenant.Tokens);
    }

    private static IHeaderDictionary Admit(Tenant tenant)
    {
        var headers = new HeaderDictionary();
        tenant.Admit(headers);
        return headers;
    }

    private static (string Limit, string Left) Limits(IHeaderDictionary headers, string what)
        => (headers["x-ratelimit-limit-" + what].ToString(), headers["x-ratelimit-remaining-" + what].ToString());

    [Theory]
    [InlineData(0.0201, "21ms")]
    [InlineData(1.0001, "2s")]
    [InlineData(60, "1m0s")]
    [InlineData(361.5, "6m2s")]
    public void Duration_IsWrittenAsOpenAiDoes(double seconds, string text) => Assert.Equal(text, Tenant.Duration(seconds));

    [Theory]
    [InlineData("", null)]
    [InlineData("https://app.example", "https://app.example")]
    [InlineData("https://other.example", null)]
    [InlineData("*", "*")]
    public async Task Origin_IsAllowedOnlyWhenListed(string allowed, string? expected)
    {
        var (server, client) = await StartAsync(o => o with { AllowedOrigins = allowed.Length > 0 ? [allowed] : [], ApiKeys = ["k"] });
        await using var _ = server;
        client.DefaultRequestHeaders.Add("Origin", "https://app.example");
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "authorization,x-stainless-lang");
        using var answer = await client.SendAsync(preflight);
        Assert.Equal(expected, Header(answer, "Access-Control-Allow-Origin"));
        Assert.Equal(expected is not null, Header(answer, "Access-Control-Allow-Headers")?.Contains("x-stainless-lang") ?? false);

        // A page can read refusals too, and the request's id.
        using var refused = await client.GetAsync("/v1/models");
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.Equal(expected, Header(refused, "Access-Control-Allow-Origin"));
        Assert.Equal(expected is not null, Header(refused, "Access-Control-Expose-Headers")?.Contains("x-request-id") ?? false);
    }

    [Theory]
    [InlineData("/v1/models", "default-src 'none'; frame-ancestors 'none'")]
    [InlineData("/nowhere", "default-src 'none'; frame-ancestors 'none'")]
    [InlineData("/swagger/index.html", "default-src 'self'; ")]
    public async Task Headers_KeepBrowsersFromGuessingFramingAndCaching(string path, string policy)
    {
        var (server, client) = await StartAsync(o => o);
        await using var _ = server;
        using var answer = await client.GetAsync(path);
        Assert.Equal("nosniff", Header(answer, "X-Content-Type-Options"));
        Assert.Equal("DENY", Header(answer, "X-Frame-Options"));
        Assert.Equal("no-referrer", Header(answer, "Referrer-Policy"));
        Assert.StartsWith(policy, Header(answer, "Content-Security-Policy"));
        Assert.Null(Header(answer, "Server"));
        if (!path.StartsWith("/swagger", StringComparison.Ordinal))
            Assert.Equal("no-store", Header(answer, "Cache-Control"));
    }

    private static string? Header(HttpResponseMessage answer, string name)
        => answer.Headers.TryGetValues(name, out var values) || answer.Content.Headers.TryGetValues(name, out values) ? string.Join(", ", values) : null;

    /// <summary>A clock that stands still until it is moved.</summary>
    private sealed class ManualClock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(int seconds) => _ticks += seconds * TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;
    }
}
