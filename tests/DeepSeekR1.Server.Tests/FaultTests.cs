using System.Net;
using System.Net.Sockets;
using DeepSeekR1.Cli;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// A rank that throws or hangs in mid-step, seen from outside: everybody who waits gets an answer, readiness turns false, and the
/// program ends with exit code 70. A single rank that throws once only loses the requests of that step; logits that are not numbers
/// end the request that they belong to.
/// </summary>
public sealed class FaultTests
{
    [GoldenTheory]
    [InlineData(1, 0, false, "Rank 0 failed in its step: out of luck")]
    [InlineData(2, 1, false, "Rank 1 failed in its step: out of luck")]
    [InlineData(2, 0, false, "Rank 0 failed in its step: out of luck")]
    [InlineData(2, 1, true, "Rank 1 did not arrive at AllReduce within 1 s")]
    [InlineData(2, 0, true, "Rank 0 did not")]
    [InlineData(1, 0, true, "Rank 0 did not come back from step")]
    public async Task Rank_ThatFailsInMidStep_AnswersEverybodyAndEndsWithCode70(int ranks, int bad, bool hangs, string story)
    {
        using var kernels = new FailingKernels(hangs);
        var options = DeepSeekServer.Options() with { Port = FreePort(), ShutdownTimeoutSeconds = 5 };
        options = options with
        {
            Engine = options.Engine with
            {
                TensorParallelSize = ranks,
                RankTimeoutSeconds = 1,
                WrapKernels = (rank, own) => rank == bad ? kernels : own,
            },
        };
        var error = new StringWriter();
        var (original, exit) = (Console.Error, 0);
        Console.SetError(error);
        try
        {
            var program = Task.Run(() => CommandLine.GuardAsync(() => ServeCommand.RunAsync(options, CancellationToken.None)));
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{options.Port}"), Timeout = TimeSpan.FromSeconds(60) };
            await UntilReadyAsync(client);
            var whole = Enumerable.Range(0, 3).Select(_ => client.PostAsync("/v1/completions", Request(stream: false))).ToList();
            var streamed = Enumerable.Range(0, 3).Select(_ => BrokenStreamAsync(client)).ToList();
            await Task.Delay(200);
            kernels.Begin();
            foreach (var answer in await Task.WhenAll(whole))
            {
                Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
                Assert.Contains("server_error", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            }

            foreach (var text in await Task.WhenAll(streamed))
                Assert.Contains("\"server_error\"", text, StringComparison.Ordinal);
            await UntilGivenUpAsync(client, program);
            exit = await program.WaitAsync(TimeSpan.FromSeconds(30));
        }
        finally
        {
            Console.SetError(original);
        }

        Assert.Equal(70, exit);
        Assert.Contains("the engine failed: ", error.ToString(), StringComparison.Ordinal);
        Assert.Contains(ranks == 1 && !hangs ? "out of luck" : story, error.ToString(), StringComparison.Ordinal);
    }

    [GoldenFact]
    public async Task Step_ThatThrowsOnce_EndsItsRequestsAndTheServerGoesOn()
    {
        using var kernels = new FailingKernels(hangs: false, once: true);
        var options = DeepSeekServer.Options();
        await using var server = ServerHost.Create(options with { Engine = options.Engine with { WrapKernels = (_, _) => kernels, MaxNumSeqs = 2 } });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var client = Http.Client(server);
        string Text(Answer answer) => (string)answer.Choice["text"]!;
        string lone = Text(await Http.ReadAsync(await client.PostAsync("/v1/completions", Request(stream: false))));
        var running = (Whole: client.PostAsync("/v1/completions", Request(stream: false)), Streamed: BrokenStreamAsync(client));
        while (server.Snapshot() is { Running: < 2 })
            await Task.Delay(1);
        var waiting = Enumerable.Range(0, 3).Select(_ => client.PostAsync("/v1/completions", Request(stream: false))).ToList();
        while (server.Snapshot() is { Running: 2, Waiting: < 3 })
            await Task.Delay(1);
        kernels.Begin();
        var failed = await Http.ReadAsync(await running.Whole);
        Assert.Equal((HttpStatusCode.InternalServerError, "server_error", "step_failed"),
            (failed.Status, (string?)failed.Json["error"]!["type"], (string?)failed.Json["error"]!["code"]));
        Assert.Contains("out of luck", failed.Error, StringComparison.Ordinal);
        Assert.Contains("\"step_failed\"", await running.Streamed, StringComparison.Ordinal);
        foreach (var answer in await Task.WhenAll(waiting))
            Assert.Equal(lone, Text(await Http.ReadAsync(answer)));
        Assert.Equal(HttpStatusCode.OK, (await client.GetJsonAsync("/health/ready")).Status);
        Assert.Equal(lone, Text(await Http.ReadAsync(await client.PostAsync("/v1/completions", Request(stream: false)))));
        Assert.Equal((0, 1), (server.Snapshot()!.BlocksUsed, server.Snapshot()!.StepFaults));
        await AssertCountedAsync(client, ("deepseekr1:step_faults_total", "", 1), ("vllm:request_success_total", ",finished_reason=\"error\"", 2));
    }

    [GoldenTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task NaN_InOneOfFourRequests_IsItsErrorAndTheOthersAreAsAlone(bool streamed)
    {
        var kernels = new PoisonKernels(rows: 4);
        var options = DeepSeekServer.Options();
        await using var server = ServerHost.Create(options with { Engine = options.Engine with { WrapKernels = (_, _) => kernels } });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var client = Http.Client(server);
        async Task<string> WholeAsync(int first)
            => (string)(await Http.ReadAsync(await client.PostAsync("/v1/completions", Request(stream: false, first)))).Choice["text"]!;
        async Task<string> StreamedAsync(int first)
            => string.Concat((await client.StreamAsync("/v1/completions", Json(stream: true, first))).Select(c => (string?)c["choices"]![0]!["text"]));
        Func<int, Task<string>>[] others = [WholeAsync, StreamedAsync, WholeAsync];
        string[] lone = await Task.WhenAll(Enumerable.Range(6, 3).Select(WholeAsync));

        // The oldest request is the first row of every step.
        kernels.Arm();
        var whole = streamed ? null : client.PostAsync("/v1/completions", Request(stream: false, tokens: 200));
        var stream = streamed ? BrokenStreamAsync(client, tokens: 200) : null;
        while (server.Snapshot() is { Running: 0 })
            await Task.Delay(1);
        Assert.Equal(lone, await Task.WhenAll(others.Select((ask, i) => ask(6 + i))));
        if (whole is not null)
            Assert.Equal(HttpStatusCode.InternalServerError, (await whole).StatusCode);
        string answer = whole is null ? await stream! : await (await whole).Content.ReadAsStringAsync();
        Assert.Matches("\"message\":\"[^\"]*logits that are not numbers[^\"]*Send it again", answer);
        Assert.Contains("\"step_failed\"", answer, StringComparison.Ordinal);

        // Nothing of it is left, neither blocks nor keys, and no step failed.
        Assert.Equal(lone[0], await WholeAsync(6));
        Assert.Equal(0, server.Snapshot()!.BlocksUsed);
        await AssertCountedAsync(client, ("vllm:corrupted_requests_total", "", 1), ("vllm:request_success_total", ",finished_reason=\"error\"", 1), ("deepseekr1:step_faults_total", "", 0));
        Assert.Equal(HttpStatusCode.OK, (await client.GetJsonAsync("/health/ready")).Status);
    }

    [GoldenFact]
    public async Task Readiness_AfterAFault_IsFalse()
    {
        using var kernels = new FailingKernels(hangs: false);
        var options = DeepSeekServer.Options();
        await using var server = ServerHost.Create(options with { Engine = options.Engine with { WrapKernels = (_, _) => kernels } });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var client = Http.Client(server);
        Assert.Equal(HttpStatusCode.OK, (await client.GetJsonAsync("/health/ready")).Status);
        kernels.Begin();
        for (int i = 0; i < 3; i++)
            Assert.Equal(HttpStatusCode.InternalServerError, (await client.PostAsync("/v1/completions", Request(stream: false))).StatusCode);
        await AssertCountedAsync(client, ("deepseekr1:step_faults_total", "", 3));
        var health = await client.GetJsonAsync("/health/ready");
        Assert.Equal(HttpStatusCode.InternalServerError, health.Status);
        Assert.Contains("Restart the server", health.Error, StringComparison.Ordinal);
        Assert.Equal("failed", (await client.GetJsonAsync("/health/live")).Json["status"]!.GetValue<string>());
    }

    /// <summary>What arrives before the connection breaks: after the error event the body does not end, so that nobody takes it for complete.</summary>
    private static async Task<string> BrokenStreamAsync(HttpClient client, int tokens = 60)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = Request(stream: true, tokens: tokens) };
        using var response = await client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var text = new System.Text.StringBuilder();
        try
        {
            while (await reader.ReadLineAsync() is { } line)
                text.AppendLine(line);
            Assert.False(response.IsSuccessStatusCode, "the stream ended as if it were complete");
        }
        catch (HttpIOException)
        {
            Assert.DoesNotContain("[DONE]", text.ToString(), StringComparison.Ordinal);
        }

        return text.ToString();
    }

    /// <summary>A single rank is given up after three failed steps in a row, so it takes more requests.</summary>
    private static async Task UntilGivenUpAsync(HttpClient client, Task program)
    {
        try
        {
            for (int i = 0; i < 5 && !program.IsCompleted; i++)
                Assert.Equal(HttpStatusCode.InternalServerError, (await client.PostAsync("/v1/completions", Request(stream: false))).StatusCode);
        }
        catch (HttpRequestException)
        {
            // The port is closed.
        }
    }

    private static async Task AssertCountedAsync(HttpClient client, params (string Name, string Labels, int Value)[] counters)
    {
        string page = await client.GetStringAsync("/metrics");
        Assert.All(counters, c => Assert.Contains($"\n{c.Name}{{model_name=\"{DeepSeekServer.Model}\",engine=\"0\"{c.Labels}}} {c.Value}\n", page, StringComparison.Ordinal));
    }

    private static StringContent Request(bool stream, int first = 5, int tokens = 60) => Http.Body(Json(stream, first, tokens));

    private static string Json(bool stream, int first, int tokens = 60)
        => $$"""{"prompt":[{{first}},6,7],"max_tokens":{{tokens}},"temperature":0,"ignore_eos":true,"stream":{{(stream ? "true" : "false")}}}""";

    private static async Task UntilReadyAsync(HttpClient client)
    {
        for (int i = 0; i < 600; i++)
        {
            try
            {
                if ((await client.GetAsync("/health/ready")).IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException)
            {
                // The port is not open yet.
            }

            await Task.Delay(50);
        }

        throw new TimeoutException("The server does not become ready.");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>The reference until it is told to fail; then it throws, or never returns.</summary>
    private sealed class FailingKernels(bool hangs, bool once = false) : TorchKernels, IDisposable
    {
        private readonly ManualResetEventSlim _gate = new();
        private volatile bool _begun;

        public void Begin() => _begun = true;

        public void Dispose() => _gate.Set();

        public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
        {
            if (!_begun)
            {
                // Slow enough for requests to be under way when it fails.
                Thread.Sleep(1);
                return base.Linear(x, weight, bias);
            }

            _begun = !once;
            if (!hangs)
                throw new InvalidOperationException("out of luck");
            _gate.Wait();
            return base.Linear(x, weight, bias);
        }
    }
    /// <summary>The reference; once, when it is armed, the first of so many rows of logits is not numbers.</summary>
    private sealed class PoisonKernels(int rows) : TorchKernels
    {
        private const int Vocabulary = 512;
        private volatile bool _armed;

        public void Arm() => _armed = true;

        public override Tensor Linear(Tensor x, LinearWeight weight, Tensor? bias)
        {
            var y = base.Linear(x, weight, bias);
            if (!_armed)
                return y;
            if (y.shape[0] != rows || y.shape[1] != Vocabulary)
            {
                // Slow enough for requests to meet in a step.
                Thread.Sleep(1);
                return y;
            }

            _armed = false;
            using var row = y.select(0, 0);
            row.fill_(Scalars.Of(double.NaN));
            return y;
        }
    }
}
