using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DeepSeekR1.Engine.Diagnostics;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Spans of requests: what they hold, where they hang, and that a collector gets them.</summary>
[Collection(ServerCollection.Name)]
public sealed class TracingTests(DeepSeekServer server)
{
    private const string TraceId = "0af7651916cd43dd8448eb211c80319c";

    [GoldenFact]
    public async Task Spans_OfARequest_CoverQueuePrefillAndDecode()
    {
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is EngineTracing.SourceName or "Microsoft.AspNetCore",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = span =>
            {
                if (span.TraceId.ToHexString() == TraceId)
                    spans.Enqueue(span);
            },
        };
        ActivitySource.AddActivityListener(listener);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = Http.Body("""{"prompt":[5,6,7],"max_tokens":5,"ignore_eos":true}"""),
        };
        request.Headers.Add("traceparent", $"00-{TraceId}-b7ad6b7169203331-01");
        (await server.Client.SendAsync(request)).EnsureSuccessStatusCode();
        for (int i = 0; i < 200 && spans.Count < 5; i++)
            await Task.Delay(10);

        var whole = Assert.Single(spans, s => s.OperationName == "llm_request");
        var http = Assert.Single(spans, s => s.Source.Name == "Microsoft.AspNetCore");
        Assert.Equal(http.SpanId, whole.ParentSpanId);
        Assert.Equal("b7ad6b7169203331", http.ParentSpanId.ToHexString());
        Assert.Equal((3, 5, "length"), ((int)whole.GetTagItem("gen_ai.usage.prompt_tokens")!, (int)whole.GetTagItem("gen_ai.usage.completion_tokens")!,
            (string)whole.GetTagItem("gen_ai.response.finish_reason")!));
        var parts = spans.Where(s => s.ParentSpanId == whole.SpanId).OrderBy(s => s.StartTimeUtc).ToArray();
        Assert.Equal(["queue", "prefill", "decode"], parts.Select(s => s.OperationName));

        // They follow each other without a gap from the beginning, and end before the whole does.
        var tolerance = TimeSpan.FromMilliseconds(0.01);
        Assert.Equal(whole.StartTimeUtc, parts[0].StartTimeUtc, tolerance);
        Assert.Equal(parts[0].StartTimeUtc + parts[0].Duration, parts[1].StartTimeUtc, tolerance);
        Assert.Equal(parts[1].StartTimeUtc + parts[1].Duration, parts[2].StartTimeUtc, tolerance);
        Assert.InRange(parts[2].StartTimeUtc + parts[2].Duration, parts[2].StartTimeUtc, whole.StartTimeUtc + whole.Duration + tolerance);
    }

    [GoldenFact]
    public async Task Exporter_SendsSpansToTheCollector()
    {
        using var collector = new HttpListener();
        int port = FreePort();
        collector.Prefixes.Add($"http://127.0.0.1:{port}/");
        collector.Start();
        var received = ReceiveAsync(collector);
        await using (var own = ServerHost.Create(DeepSeekServer.Options() with { OtlpTracesEndpoint = new Uri($"http://127.0.0.1:{port}/v1/traces") }))
        {
            await own.StartAsync();
            await own.WaitUntilReadyAsync();
            using var client = Http.Client(own);
            await client.PostAsync("/v1/completions", """{"prompt":[5,6,7],"max_tokens":2,"ignore_eos":true}""");
            await own.StopAsync();
        }
        var (path, body) = await received.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal("/v1/traces", path);
        Assert.All((string[])["deepseek-r1", "llm_request", "queue", "prefill", "decode"], name => Assert.Contains(name, body));
    }

    private static async Task<(string Path, string Body)> ReceiveAsync(HttpListener collector)
    {
        var context = await collector.GetContextAsync();
        using var reader = new StreamReader(context.Request.InputStream, Encoding.Latin1);
        string body = await reader.ReadToEndAsync();
        context.Response.Close();
        return (context.Request.Url!.AbsolutePath, body);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
