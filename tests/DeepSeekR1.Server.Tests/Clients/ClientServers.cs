using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Xunit;

namespace DeepSeekR1.Server.Tests.Clients;

/// <summary>
/// The servers that client libraries are tried against, shared by all client tests: one that answers by scripts and wants a key, and
/// on demand one that is loading and one whose queue is full, both until they have refused a number of requests.
/// </summary>
/// <remarks>
/// The field <c>user</c> chooses: <c>short</c> thinks "ab" and answers "cd", <c>late</c> does it after pings, <c>slow</c> and
/// <c>slower</c> take their time, <c>fails</c> fails after three tokens.
/// </remarks>
public sealed class ClientServers : IAsyncLifetime
{
    /// <summary>Key of all servers.</summary>
    public const string Key = "right-key";

    private readonly List<ServerHost> _servers = [];
    private int[] _short = [];

    /// <summary>Makes the fixture; nothing runs yet.</summary>
    public ClientServers() => Npm = new NpmRun(this);

    /// <summary>The server that answers.</summary>
    internal ServerHost Main { get; private set; } = null!;

    /// <summary>The run of the npm clients.</summary>
    public NpmRun Npm { get; }

    /// <summary>Base URL of the server that answers.</summary>
    internal Uri BaseUrl => new(Main.Address, "/v1");

    /// <inheritdoc/>
    public async Task InitializeAsync()
    {
        if (Goldens.Missing is not null)
            return;
        Main = await StartAsync(Options() with { PingInterval = TimeSpan.FromMilliseconds(30) });
        await Main.WaitUntilReadyAsync();
        using var client = Http.Client(Main);
        client.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        var answer = await client.PostAsync("/tokenize", """{"prompt":"ab</think>cd","add_special_tokens":false}""");
        _short = [.. answer.Json["tokens"]!.Deserialize<int[]>()!, DeepSeekServer.Eos];
    }

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        foreach (var server in _servers)
        {
            await server.StopAsync();
            await server.DisposeAsync();
        }
    }

    /// <summary>A server that refuses with 503 until it has done so a number of times; then it is ready.</summary>
    internal async Task<ServerHost> LoadingAsync(int refusals)
    {
        var refused = new Refusals(503, refusals);
        return await StartAsync(Options() with
        {
            Logger = refused.Log(),
            LoadEngine = (options, progress, cancellation, log) =>
            {
                refused.Enough.Wait(cancellation);
                return LlmEngine.Load(options, progress, cancellation, log);
            },
        });
    }

    /// <summary>A server that names the thought <c>reasoning</c> and nothing else.</summary>
    internal async Task<ServerHost> RenamedAsync()
    {
        var server = await StartAsync(Options() with { ReasoningField = ReasoningField.Reasoning });
        await server.WaitUntilReadyAsync();
        return server;
    }

    /// <summary>A server whose queue is full until it has refused with 429 a number of times; then it is empty.</summary>
    internal async Task<ServerHost> BusyAsync(int refusals)
    {
        const int running = 16, waiting = 1, tooMany = 3;
        var refused = new Refusals(429, tooMany + refusals, full: tooMany);
        var options = Options() with { Logger = refused.Log() };
        var server = await StartAsync(options with
        {
            TestConstraint = (user, _) => user == "filler" ? new Blocked(refused.Enough) : options.TestConstraint!(user, 0),
            Engine = options.Engine with { MaxNumSeqs = running, MaxQueue = waiting },
        });
        await server.WaitUntilReadyAsync();
        var client = Http.Client(server);
        client.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        var fillers = Enumerable.Range(0, running + waiting + tooMany).Select(_ =>
            client.PostAsync("/v1/completions", Http.Body("""{"user":"filler","prompt":[5],"max_tokens":1}""")));
        _ = Task.WhenAll(fillers).ContinueWith(_ => client.Dispose(), TaskScheduler.Default);
        bool full = await Task.Run(() => refused.Full.Wait(TimeSpan.FromSeconds(20)));
        if (!full)
            refused.Enough.Set();
        Assert.True(full, "the queue does not get full");
        return server;
    }

    /// <summary>Waits until the server that answers has nothing to do and returns its counters.</summary>
    internal async Task<EngineSnapshot> IdleAsync(long cancelled = 0)
    {
        for (int i = 0; i < 1000; i++)
        {
            if (Main.Snapshot() is { Running: 0, Waiting: 0, BlocksUsed: 0 } snapshot && snapshot.RequestsCancelled >= cancelled)
                return snapshot;
            await Task.Delay(10);
        }
        throw new TimeoutException("The engine does not become idle: " + Main.Snapshot());
    }

    private async Task<ServerHost> StartAsync(ServerOptions options)
    {
        var server = ServerHost.Create(options);
        _servers.Add(server);
        await server.StartAsync();
        return server;
    }

    private ServerOptions Options() => DeepSeekServer.Options() with
    {
        ApiKeys = [Key],
        TestConstraint = (user, _) => user switch
        {
            "short" => new Script(_short, TimeSpan.Zero),
            "late" => new Script(_short, TimeSpan.FromMilliseconds(100)),
            "slow" => new DeepSeekServer.Slow(),
            "slower" => new Slower(),
            "fails" => new Script(_short[..3], TimeSpan.Zero, fails: true),
            _ => null,
        },
    };

    /// <summary>Forces the ids of a script, late or not; then EOS, or a failure.</summary>
    private sealed class Script(int[] ids, TimeSpan delay, bool fails = false) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            if (outputIds.Length == 0)
                Thread.Sleep(delay);
            if (outputIds.Length == ids.Length && fails)
                throw new InvalidOperationException("made to fail");
            allowed.Add(outputIds.Length < ids.Length ? ids[outputIds.Length] : DeepSeekServer.Eos);
            return true;
        }
    }

    /// <summary>The same token for ever, 20 ms each: longer than a client reads on to keep its connection.</summary>
    private sealed class Slower : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            Thread.Sleep(20);
            allowed.Add(5);
            return true;
        }
    }

    /// <summary>Holds the engine's thread until enough others were refused.</summary>
    private sealed class Blocked(ManualResetEventSlim gate) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            gate.Wait(TimeSpan.FromSeconds(30));
            return false;
        }
    }

    /// <summary>Counts refusals in the log and opens a gate when there are enough.</summary>
    private sealed class Refusals(int status, int enough, int full = 0) : ILogEventSink
    {
        private int _count;

        public ManualResetEventSlim Enough { get; } = new();

        public ManualResetEventSlim Full { get; } = new();

        public Logger Log() => new LoggerConfiguration().WriteTo.Sink(this).CreateLogger();

        public void Emit(LogEvent logEvent)
        {
            if (!logEvent.Properties.TryGetValue("Status", out var value) || value is not ScalarValue { Value: int sent } || sent != status)
                return;
            int count = Interlocked.Increment(ref _count);
            if (count == full)
                Full.Set();
            if (count == enough)
                Enough.Set();
        }
    }
}

/// <summary>Tests that share the servers.</summary>
[CollectionDefinition(Name)]
public sealed class ClientCollection : ICollectionFixture<ClientServers>
{
    /// <summary>Name of the collection.</summary>
    public const string Name = "clients";
}
