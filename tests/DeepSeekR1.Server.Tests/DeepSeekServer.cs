using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// One running server on a golden DeepSeek-V3 checkpoint in float32, shared by all tests that need an engine. A request whose
/// <c>user</c> names a script generates exactly the ids of that script: the real engine under a test-only mask.
/// </summary>
public sealed class DeepSeekServer : IAsyncLifetime
{
    private readonly ConcurrentDictionary<string, int[]> _scripts = new();
    private readonly CollectedLog _log = new();
    private ServerHost? _server;
    private HttpClient? _client;

    /// <summary>End-of-sequence id of the golden checkpoints.</summary>
    public const int Eos = 1;

    /// <summary>Name under which the model is served.</summary>
    public const string Model = "deepseek-v3-yarn";

    /// <summary>The server.</summary>
    internal ServerHost Server => _server!;

    /// <summary>A client for it.</summary>
    internal HttpClient Client => _client!;

    /// <summary>Messages logged so far.</summary>
    internal IReadOnlyCollection<string> LogLines => _log.Lines;

    /// <summary>Options of the shared server; tests with a server of their own start from them.</summary>
    internal static ServerOptions Options(string model = Model) => new()
    {
        Engine = new EngineOptions
        {
            ModelPath = Goldens.At("models", model),
            DType = "float32",
            NumThreads = 1,
            KvCacheMemoryBytes = 16 << 20,
        },
        Port = 0,
        ShutdownTimeoutSeconds = 20,
        Logger = Logger.None,
    };

    /// <inheritdoc/>
    public async Task InitializeAsync()
    {
        if (Goldens.Missing is not null)
            return;
        _server = ServerHost.Create(Options() with
        {
            TestConstraint = (user, sample) => user.StartsWith("slow", StringComparison.Ordinal) ? new Slow()
                : _scripts.TryGetValue($"{user}/{sample}", out int[]? ids) || _scripts.TryGetValue(user, out ids) ? new Script(ids) : null,
            Logger = new LoggerConfiguration().WriteTo.Sink(_log).CreateLogger(),
        });
        await _server.StartAsync();
        await _server.WaitUntilReadyAsync();
        _client = Http.Client(_server);
    }

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        _client?.Dispose();
        if (_server is null)
            return;
        await _server.StopAsync();
        await _server.DisposeAsync();
    }

    /// <summary>Registers what requests with this user generate: the ids of a text (tags count), then EOS unless told otherwise.</summary>
    internal async Task<int[]> ScriptAsync(string user, string text, bool eos = true)
    {
        int[] ids = [.. await TokenizeAsync(text), .. eos ? (int[])[Eos] : []];
        _scripts[user] = ids;
        return ids;
    }

    /// <summary>Registers the very ids that requests with this user generate.</summary>
    internal void Force(string user, int[] ids) => _scripts[user] = ids;

    /// <summary>Ids of a plain text.</summary>
    internal async Task<int[]> TokenizeAsync(string text)
    {
        var request = new JsonObject { ["prompt"] = text, ["add_special_tokens"] = false };
        var answer = await Client.PostAsync("/tokenize", request.ToJsonString());
        return answer.Json["tokens"]!.Deserialize<int[]>()!;
    }

    /// <summary>A chat request that generates a script.</summary>
    internal static string Chat(string user, string members = "") => Request(user, """[{"role":"user","content":"hi"}]""", members);

    /// <summary>A chat request with given messages that generates a script.</summary>
    internal static string Request(string user, string messages, string members = "")
        => $$"""{"user":"{{user}}","messages":{{messages}}{{(members.Length > 0 ? "," + members : "")}}}""";

    /// <summary>Waits until the engine is idle and returns its counters.</summary>
    internal async Task<EngineSnapshot> IdleAsync()
    {
        for (int i = 0; i < 1000; i++)
        {
            var snapshot = Server.Snapshot()!;
            if (snapshot is { Running: 0, Waiting: 0, BlocksUsed: 0 })
                return snapshot;
            await Task.Delay(10);
        }
        throw new TimeoutException("The engine does not become idle: " + Server.Snapshot());
    }

    /// <summary>Forces the ids of a script; afterwards only EOS.</summary>
    private sealed class Script(int[] ids) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            allowed.Add(outputIds.Length < ids.Length ? ids[outputIds.Length] : Eos);
            return true;
        }
    }

    /// <summary>Allows everything, five milliseconds a token: time for a client to leave.</summary>
    internal sealed class Slow : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            Thread.Sleep(5);
            return false;
        }
    }

    private sealed class CollectedLog : ILogEventSink
    {
        public ConcurrentQueue<string> Lines { get; } = new();

        public void Emit(LogEvent logEvent) => Lines.Enqueue(logEvent.RenderMessage());
    }
}

/// <summary>Tests that share the server.</summary>
[CollectionDefinition(Name)]
public sealed class ServerCollection : ICollectionFixture<DeepSeekServer>
{
    /// <summary>Name of the collection.</summary>
    public const string Name = "server";
}
