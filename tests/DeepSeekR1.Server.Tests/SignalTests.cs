using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The executable as a process of its own: signals, exit codes, what it tells the service manager, its log as JSON.</summary>
public sealed class SignalTests
{
    private const int Streams = 40;

    [GoldenFact]
    public async Task Sigterm_UnderLoad_RunningFinishAndNewOnesAreRefused()
    {
        using var program = await ServerProcess.StartAsync("--max-num-seqs", "4", "--log-format", "json");
        var running = Enumerable.Range(0, Streams).Select(_ => program.Client.StreamAsync("/v1/completions", Body(60))).ToArray();
        await program.UntilBusyAsync();
        program.Signal("TERM");
        using var probe = new HttpClient { BaseAddress = program.Client.BaseAddress };
        var ready = HttpStatusCode.OK;
        for (int i = 0; i < 400 && ready == HttpStatusCode.OK; i++)
        {
            await Task.Delay(5);
            ready = (await probe.GetAsync("/health/ready")).StatusCode;
        }
        var refused = await probe.PostAsync("/v1/completions", Body(1));
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "shutting_down"), (refused.Status, (string?)refused.Json["error"]!["code"]));
        Assert.All(await Task.WhenAll(running), chunks => Assert.Equal("length", (string?)chunks[^1]["choices"]![0]!["finish_reason"]));
        Assert.Equal(0, await program.ExitAsync());

        var lines = program.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!).ToArray();
        Assert.Contains(lines, line => ((string)line["@m"]!).StartsWith("Shutting down:", StringComparison.Ordinal));
        Assert.Equal(Streams, lines.Count(line => line["CompletionTokens"] is { } tokens && (int)tokens == 60 && line["RequestId"] is not null));
        Assert.Equal(["READY=1", "STOPPING=1"], program.Notified.Where(n => !n.StartsWith("STATUS=Loading", StringComparison.Ordinal)).Select(n => n.Split('\n')[0]));
        Assert.Contains(program.Notified, n => n.Contains("EXTEND_TIMEOUT_USEC="));
    }

    [GoldenFact]
    public async Task SecondSignal_StopsAtOnceAndTellsEverybody()
    {
        using var program = await ServerProcess.StartAsync("--max-num-seqs", "1");
        var running = Enumerable.Range(0, Streams).Select(_ => BrokenAsync(program.Client)).ToArray();
        await program.UntilBusyAsync();
        program.Signal("TERM");
        await Task.Delay(300);
        var watch = Stopwatch.StartNew();
        program.Signal("INT");
        Assert.Equal(0, await program.ExitAsync());
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 10);
        string[] answers = await Task.WhenAll(running);
        Assert.All(answers, text => Assert.True(text.Contains("[DONE]") ^ text.Contains("\"error\""), text));
        Assert.Contains(answers, text => text.Contains("shutting_down"));
        Assert.Contains("Stopping at once", program.Output);
        Assert.Contains("ended with 503: The server is shutting down", program.Output);
        Assert.DoesNotContain("   at ", program.Output);
    }

    private static string Body(int tokens)
        => $$"""{"prompt":[5,6,7],"max_tokens":{{tokens}},"ignore_eos":true,"stream":{{(tokens > 1 ? "true" : "false")}}}""";

    private static async Task<string> BrokenAsync(HttpClient client)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = Http.Body(Body(240)) };
        using var answer = await client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
        var text = new StringBuilder();
        try
        {
            using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync());
            while (await reader.ReadLineAsync() is { } line)
                text.AppendLine(line);
        }
        catch (IOException)
        {
            // An answer that is cut off has an error event and a broken end.
        }
        return text.ToString();
    }

    /// <summary>deepseek-r1 serve in a process of its own.</summary>
    private sealed class ServerProcess : IDisposable
    {
        private readonly Process _process;
        private readonly StringBuilder _output = new();
        private readonly Socket _notify = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        private readonly string _socketPath = Path.Combine(Path.GetTempPath(), $"deepseekr1-{Guid.NewGuid():N}.sock");
        private readonly List<string> _notified = [];
        private readonly Task _listening;

        private ServerProcess(string[] options)
        {
            _notify.Bind(new UnixDomainSocketEndPoint(_socketPath));
            _listening = Task.Run(Listen);
            var start = new ProcessStartInfo("env") { RedirectStandardOutput = true, RedirectStandardError = true };
            string[] arguments =
            [
                // A test run in the background ignores SIGINT, and so would its children.
                "--default-signal=INT", "dotnet", Executable, "serve", Goldens.At("models", "deepseek-v3-yarn"), "--dtype", "float32", "--port", "0", "--num-threads", "1",
                "--kv-cache-memory-bytes", "16777216", "--log-level", "information", .. options,
            ];
            Array.ForEach(arguments, start.ArgumentList.Add);
            start.Environment["NOTIFY_SOCKET"] = _socketPath;
            _process = Process.Start(start)!;
            _process.OutputDataReceived += Collect;
            _process.ErrorDataReceived += Collect;
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        /// <summary>The program beside this test's own assembly, built in the same configuration.</summary>
        private static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, "deepseek-r1.dll");

        public HttpClient Client { get; private set; } = null!;

        public IReadOnlyList<string> Notified => _notified;

        public string Output
        {
            get
            {
                lock (_output)
                    return _output.ToString();
            }
        }

        public static async Task<ServerProcess> StartAsync(params string[] options)
        {
            var program = new ServerProcess(options);
            Uri? address = null;
            for (int i = 0; i < 1000 && address is null; i++)
            {
                await Task.Delay(20);
                address = System.Text.RegularExpressions.Regex.Match(program.Output, "http://127\\.0\\.0\\.1:\\d+") is { Success: true } m ? new Uri(m.Value) : null;
            }
            program.Client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 2 * Streams })
            {
                BaseAddress = address ?? throw new InvalidOperationException(program.Output),
                Timeout = TimeSpan.FromSeconds(60),
            };
            for (int i = 0; i < 1000 && (await program.Client.GetAsync("/health/ready")).StatusCode != HttpStatusCode.OK; i++)
                await Task.Delay(20);
            return program;
        }

        /// <summary>Waits until all streams have reached the server and the first tokens have come.</summary>
        public async Task UntilBusyAsync()
        {
            for (int i = 0; i < 1000; i++)
            {
                string metrics = await Client.GetStringAsync("/metrics");
                if (Value(metrics, "vllm:prompt_tokens_total") >= 3 * Streams && Value(metrics, "vllm:generation_tokens_total") > 0)
                    return;
                await Task.Delay(5);
            }
            throw new TimeoutException(Output);
        }

        private static double Value(string metrics, string name)
            => double.Parse(metrics.Split('\n').First(l => l.StartsWith(name + "{", StringComparison.Ordinal)).Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture);

        public void Signal(string name)
        {
            using var kill = Process.Start("kill", ["-" + name, _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            kill.WaitForExit();
        }

        public async Task<int> ExitAsync()
        {
            await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
            _notify.SendTo("END"u8, new UnixDomainSocketEndPoint(_socketPath));
            await _listening;
            return _process.ExitCode;
        }

        private void Listen()
        {
            byte[] buffer = new byte[4096];
            for (string text = Receive(); text != "END"; text = Receive())
                _notified.Add(text);
            string Receive() => Encoding.UTF8.GetString(buffer, 0, _notify.Receive(buffer));
        }

        public void Dispose()
        {
            if (!_process.HasExited)
                _process.Kill();
            _process.Dispose();
            _notify.Dispose();
            File.Delete(_socketPath);
            Client?.Dispose();
        }

        private void Collect(object sender, DataReceivedEventArgs e)
        {
            lock (_output)
                _output.Append(e.Data).Append('\n');
        }
    }
}
