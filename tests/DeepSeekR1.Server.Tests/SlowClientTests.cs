using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Clients that do not read, do not finish their request, or vanish: they are cut off, and nobody else notices.</summary>
public sealed class SlowClientTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>32 answers with 20 alternatives a token: over 8 MiB when complete.</summary>
    private const string Large =
        """{"user":"slow","messages":[{"role":"user","content":"hi"}],"max_tokens":240,"ignore_eos":true,"n":32,"logprobs":true,"top_logprobs":20,"stream":true}""";

    [GoldenFact]
    public async Task SlowReader_OfALargeStream_IsCutAndItsBlocksAreFreed()
    {
        await using var server = await StartAsync();
        using var client = Http.Client(server);
        long memory = GC.GetTotalMemory(forceFullCollection: true);
        using var sleeper = Open(server, receiveBuffer: 4096);
        await sleeper.SendAsync(Request(Large));
        while (server.Snapshot()!.Running < 32)
            await Task.Delay(5);

        // Somebody else is answered completely while the sleeper holds its place.
        var other = await client.StreamAsync("/v1/completions", """{"prompt":[9,8,7],"max_tokens":10,"ignore_eos":true,"stream":true}""");
        Assert.Equal("length", (string?)other[^1]["choices"]![0]!["finish_reason"]);
        var after = await IdleAsync(server);
        Assert.Equal(32, after.RequestsCancelled);
        Assert.InRange(after.GeneratedTokens, 1, 32 * 200);
        await UntilCutAsync(client);
        Assert.True(await EndsAsync(sleeper), "the connection is still open");
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - memory, long.MinValue, 8 << 20);
        await server.StopAsync();
    }

    [GoldenFact]
    public async Task SlowReader_OfALargeWholeAnswer_IsCut()
    {
        await using var server = await StartAsync();
        using var sleeper = Open(server, receiveBuffer: 4096);
        await sleeper.SendAsync(Request(Large.Replace("\"stream\":true", "\"stream\":false").Replace("slow", "quick")));
        while (server.Snapshot()!.RequestsFinished < 32)
            await Task.Delay(10);
        using var client = Http.Client(server);
        await UntilCutAsync(client);
        Assert.True(await EndsAsync(sleeper), "the connection is still open");
    }

    /// <summary>A client that reads slowly but steadily is no sleeper: it gets all of it.</summary>
    [GoldenFact]
    public async Task SteadyReader_GetsAllOfIt()
    {
        await using var server = await StartAsync();
        using var reader = Open(server, receiveBuffer: 4096);
        await reader.SendAsync(Request(Large.Replace("\"n\":32", "\"n\":24").Replace("slow", "quick")));
        byte[] buffer = new byte[64 << 10];
        long total = 0;
        var end = new StringBuilder();
        for (int read = -1; read != 0 && !end.ToString().EndsWith("0\r\n\r\n", StringComparison.Ordinal); total += read)
        {
            read = await reader.ReceiveAsync(buffer).WaitAsync(TimeSpan.FromSeconds(20));
            end.Append(Encoding.UTF8.GetString(buffer.AsSpan(Math.Max(0, read - 64), Math.Min(64, read))));
            if (total % (512 << 10) < read)
                await Task.Delay(50);
        }
        Assert.Contains("data: [DONE]\n\n", end.ToString());
        Assert.InRange(total, 8 << 20, 64 << 20);
    }

    [GoldenFact]
    public async Task HalfRequestsAndVanishedClients_LeaveNothingBehind()
    {
        const int each = 100;
        await using var server = await StartAsync();
        using var client = Http.Client(server);
        await client.PostAsync("/v1/completions", """{"prompt":[5],"max_tokens":1}""");
        await IdleAsync(server);
        int sockets = NumSockets();
        string request = Encoding.ASCII.GetString(Request("""{"prompt":[5,6,7],"max_tokens":240,"ignore_eos":true,"stream":true}"""));
        List<Socket> halves = [.. Enumerable.Range(0, 2 * each).Select(_ => Open(server))];
        for (int i = 0; i < halves.Count; i++)
            await halves[i].SendAsync(Encoding.ASCII.GetBytes(request[..(i % 2 == 0 ? 20 : request.Length - 10)]));

        // The others: sent whole, and then gone without a word of farewell.
        for (int i = 0; i < each; i++)
        {
            using var vanishing = Open(server);
            await vanishing.SendAsync(Encoding.ASCII.GetBytes(request));
            if (i % 2 == 0)
                await vanishing.ReceiveAsync(new byte[100]);
            vanishing.LingerState = new LingerOption(true, 0);
        }
        using var crowd = Http.Client(server);
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i =>
            crowd.StreamAsync("/v1/completions", $$"""{"prompt":[{{i + 5}},6,7],"max_tokens":30,"ignore_eos":true,"stream":true}""")));
        Assert.All(answers, chunks => Assert.Equal("length", (string?)chunks[^1]["choices"]![0]!["finish_reason"]));

        // A body that does not come is given up after its grace of five seconds, and its sender is told.
        foreach (var half in halves.Where((_, i) => i % 2 == 1).Take(3))
        {
            byte[] buffer = new byte[4096];
            int read = await half.ReceiveAsync(buffer).WaitAsync(TimeSpan.FromSeconds(15));
            Assert.StartsWith("HTTP/1.1 408", Encoding.ASCII.GetString(buffer, 0, read));
        }
        if (Goldens.Long)
            Assert.True(await EndsAsync(halves[0]), "half a head is still waited for");
        halves.ForEach(half => half.Dispose());
        crowd.Dispose();
        await IdleAsync(server);
        for (int i = 0; i < 300 && NumSockets() > sockets; i++)
            await Task.Delay(20);
        Assert.InRange(NumSockets(), 0, sockets + 2);
        await server.StopAsync();
    }

    /// <summary>
    /// What cannot be cut off in a test without a network to pull the plug of: that accepted connections carry the kernel's timers.
    /// </summary>
    [Fact]
    public async Task AcceptedConnections_AskWhetherTheirPeerLives()
    {
        using var listener = Sockets.Listen(new IPEndPoint(IPAddress.Loopback, 0), TimeSpan.FromSeconds(20));
        listener.Listen();
        using var peer = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await peer.ConnectAsync(listener.LocalEndPoint!);
        using var accepted = await listener.AcceptAsync();
        Assert.Equal(1, accepted.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive));
        Assert.Equal(30, accepted.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime));
        Assert.Equal(10, accepted.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval));
        Assert.Equal(3, accepted.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount));
        Assert.InRange(accepted.SendBufferSize, 64 << 10, 512 << 10);
        if (!OperatingSystem.IsLinux())
            return;
        byte[] timeout = new byte[4];
        accepted.GetRawSocketOption((int)SocketOptionLevel.Tcp, 18, timeout);
        Assert.Equal(30000, BinaryPrimitives.ReadInt32LittleEndian(timeout));
    }

    private static async Task UntilCutAsync(HttpClient client)
    {
        const string sample = "deepseekr1:clients_cut_total{model_name=\"deepseek-v3-yarn\",engine=\"0\"} 1\n";
        for (int i = 0; i < 300 && !(await client.GetStringAsync("/metrics")).Contains(sample); i++)
            await Task.Delay(50);
        Assert.Contains(sample, await client.GetStringAsync("/metrics"));
    }

    private static async Task<ServerHost> StartAsync()
    {
        var options = DeepSeekServer.Options();
        var server = ServerHost.Create(options with
        {
            ClientTimeout = Patience,
            TestConstraint = (user, _) => user == "slow" ? new Slow() : null,
            Engine = options.Engine with { KvCacheMemoryBytes = 64 << 20 },
        });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        return server;
    }

    private static Socket Open(ServerHost server, int? receiveBuffer = null)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        if (receiveBuffer is { } bytes)
            socket.ReceiveBufferSize = bytes;
        socket.Connect(IPAddress.Loopback, server.Address.Port);
        return socket;
    }

    private static byte[] Request(string json) => Encoding.ASCII.GetBytes(
        $"POST {(json.Contains("messages") ? "/v1/chat/completions" : "/v1/completions")} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {json.Length}\r\n\r\n{json}");

    /// <summary>Reads what is there until the connection ends, one way or the other.</summary>
    private static async Task<bool> EndsAsync(Socket socket)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            while (await socket.ReceiveAsync(buffer).WaitAsync(TimeSpan.FromSeconds(20)) > 0)
            {
            }
            return true;
        }
        catch (SocketException)
        {
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private static int NumSockets() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(IsSocket);

    private static bool IsSocket(string descriptor)
    {
        try
        {
            return File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.Name.StartsWith("socket:", StringComparison.Ordinal) ?? false;
        }
        catch (IOException)
        {
            // Closed while we looked.
            return false;
        }
    }

    private static async Task<EngineSnapshot> IdleAsync(ServerHost server)
    {
        for (int i = 0; i < 3000; i++)
        {
            if (server.Snapshot() is { Running: 0, Waiting: 0, BlocksUsed: 0 } idle)
                return idle;
            await Task.Delay(10);
        }
        throw new TimeoutException("The engine does not become idle: " + server.Snapshot());
    }

    /// <summary>Allows everything, one millisecond a token: time for a client to be cut off.</summary>
    private sealed class Slow : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            Thread.Sleep(1);
            return false;
        }
    }
}
