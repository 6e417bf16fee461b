using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using DeepSeekR1.Engine;
using DeepSeekR1.Server;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Tokenization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DeepSeekR1.Benchmarks;

/// <summary>
/// The way of a token from the engine's channel to a client's socket, without a model: channel, detokenizer, thought splitter, JSON,
/// Kestrel, loopback. A thread plays the engine and hands every stream one token a step, as fast as it can or at a given pace.
/// </summary>
internal static class SseBenchmark
{
    private const int TokensPerStream = 1000, Pace = 50000;

    /// <summary>Runs several numbers of streams and prints tokens a second.</summary>
    public static async Task<int> Run(string model, string[] arguments)
    {
        int[] counts = arguments.Length > 0 ? [.. arguments.Select(int.Parse)] : [1, 16, 64, 256];
        var loaded = LlmEngine.Load(new EngineOptions { ModelPath = model, DType = "float32", KvCacheMemoryBytes = 1 << 20, NumThreads = 1 });
        var tokenizer = Tokenizer.Create(loaded.TextAssets);
        await using var engine = new ChatEngine(loaded);
        using var served = new Served(engine, tokenizer);
        await served.StartAsync();
        Console.WriteLine("As fast as it goes (the first line warms up):");
        foreach (int streams in (int[])[counts[^1], .. counts])
            await MeasureAsync(served, streams, 0);
        Console.WriteLine($"At the pace of an engine that makes {Pace:N0} tokens a second:");
        foreach (int streams in counts.Where(c => c > 1))
            await MeasureAsync(served, streams, Pace);
        return 0;
    }

    private static async Task MeasureAsync(Served served, int streams, int pace)
    {
        served.Begin(streams, pace);
        long allocated = GC.GetTotalAllocatedBytes();
        var cpu = Process.GetCurrentProcess().TotalProcessorTime;
        var watch = Stopwatch.StartNew();
        long[] events = await Task.WhenAll(Enumerable.Range(0, streams).Select(_ => Task.Run(() => ReadAsync(served.Port))));
        double seconds = watch.Elapsed.TotalSeconds, tokens = (double)streams * TokensPerStream;
        double cores = (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalSeconds;
        Console.WriteLine($"{streams,4} streams: {tokens / seconds,9:N0} tokens/s, {1e6 * cores / tokens:F1} us of CPU and {(GC.GetTotalAllocatedBytes() - allocated) / tokens:N0} bytes allocated a token, client included; {events.Sum():N0} events");
    }

    /// <summary>Counts events with as little work as possible.</summary>
    private static async Task<long> ReadAsync(int port)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        await socket.SendAsync("POST /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"u8.ToArray());
        byte[] buffer = new byte[64 << 10];
        long events = 0;
        for (int read = -1; read != 0;)
        {
            read = await socket.ReceiveAsync(buffer);
            events += buffer.AsSpan(0, read).Count("data: "u8);
        }
        return events;
    }

    /// <summary>A server whose only route streams an answer that a thread makes up.</summary>
    private sealed class Served(ChatEngine engine, Tokenizer tokenizer) : IDisposable
    {
        private readonly WebApplication _app = Build();
        private readonly List<ChannelWriter<TokenOutput>> _writers = [];
        private int _expected, _pace;

        public int Port { get; private set; }

        /// <summary>The next answers begin when this many clients are there.</summary>
        public void Begin(int streams, int pace)
        {
            lock (_writers)
                (_expected, _pace) = (streams, pace);
        }

        public async Task StartAsync()
        {
            var options = new ServerOptions { Engine = new EngineOptions { ModelPath = "model" }, LogStats = false };
            var writer = new AnswerWriter(options, new RequestCounters(), NullLogger<AnswerWriter>.Instance);
            var tenant = new Tenant("all", null, TimeProvider.System);
            _app.Run(context => AnswerAsync(context, writer, tenant));
            await _app.StartAsync();
            Port = new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Port;
        }

        public void Dispose() => _app.DisposeAsync().AsTask().GetAwaiter().GetResult();

        private static WebApplication Build()
        {
            var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
            builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
            return builder.Build();
        }

        private async Task AnswerAsync(HttpContext context, AnswerWriter writer, Tenant tenant)
        {
            var channel = Channel.CreateUnbounded<TokenOutput>(new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = false });
            var stream = new GenerationStream(channel.Reader, () => { }, () => { }, _ => Task.FromResult(false));
            var plan = new ChoicePlan(0, tokenizer, new GenerationSettings(), Dialect.R1);
            var generation = new TextGeneration([[1, 2, 3]], [new ChoiceStream(plan, stream)]);
            var answer = new AnswerOptions("model", Stream: true, IncludeUsage: true, ContinuousUsage: false, Logprobs: false, ReturnTokenIds: false);
            Register(channel.Writer);
            await writer.WriteAsync(context, "chatcmpl-0", generation, new ChatFormat("chatcmpl-0", 0, answer, engine, ReasoningField.Both), answer, tenant);
        }

        private void Register(ChannelWriter<TokenOutput> writer)
        {
            lock (_writers)
            {
                _writers.Add(writer);
                if (_writers.Count < _expected)
                    return;
                var (all, pace) = (_writers.ToArray(), _pace);
                _writers.Clear();
                new Thread(() => Produce(all, pace)) { IsBackground = true }.Start();
            }
        }

        /// <summary>One token for every stream, step by step.</summary>
        private static void Produce(ChannelWriter<TokenOutput>[] writers, int pace)
        {
            long start = Stopwatch.GetTimestamp();
            for (int step = 0; step < TokensPerStream; step++)
            {
                bool last = step == TokensPerStream - 1;
                foreach (var writer in writers)
                {
                    writer.TryWrite(new TokenOutput(40 + step % 50, FinishReason: last ? FinishReason.Length : null));
                    if (last)
                        writer.TryComplete();
                }
                if (pace == 0)
                    continue;
                double ahead = (double)(step + 1) * writers.Length / pace - Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (ahead > 0.0005)
                    Thread.Sleep(TimeSpan.FromSeconds(ahead));
            }
        }
    }
}
