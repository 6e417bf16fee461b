using System.Globalization;
using System.Text.RegularExpressions;
using DeepSeekR1.Engine.Diagnostics;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>/metrics: the format to the letter, vLLM's names and buckets, values after known requests, the dashboard's queries.</summary>
[Collection(ServerCollection.Name)]
public sealed partial class MetricsTests(DeepSeekServer server)
{
    [Fact]
    public void Text_IsPrometheusFormat()
    {
        var page = new PrometheusText(("model_name", "a\"b\\c\nd"), ("engine", "0"));
        page.Gauge("x:use", "Share.", 0.25);
        page.Family("x:by_reason_total", "counter", "By reason.", ("reason=\"a\"", 1), ("reason=\"b\"", 20000000000));
        var histogram = new Histogram([0.001, 1, 20]);
        foreach (double value in (double[])[0.001, 0.0011, 1, 7, 30])
            histogram.Observe(value);
        page.Histogram("x:seconds", "Time.", histogram.Read());
        const string labels = "model_name=\"a\\\"b\\\\c\\nd\",engine=\"0\"";
        Assert.Equal($$"""
            # HELP x:use Share.
            # TYPE x:use gauge
            x:use{{{labels}}} 0.25
            # HELP x:by_reason_total By reason.
            # TYPE x:by_reason_total counter
            x:by_reason_total{{{labels}},reason="a"} 1
            x:by_reason_total{{{labels}},reason="b"} 20000000000
            # HELP x:seconds Time.
            # TYPE x:seconds histogram
            x:seconds_bucket{{{labels}},le="0.001"} 1
            x:seconds_bucket{{{labels}},le="1.0"} 3
            x:seconds_bucket{{{labels}},le="20.0"} 4
            x:seconds_bucket{{{labels}},le="+Inf"} 5
            x:seconds_sum{{{labels}}} 38.0021
            x:seconds_count{{{labels}}} 5

            """.ReplaceLineEndings("\n").Replace("{{{labels}}}", "{" + labels + "}"), page.ToString());
    }

    private const string FirstToken = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 160.0 640.0 2560.0";
    private const string PerToken = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0";
    private const string Request = "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 7680.0";
    private const string Context256 = "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0";

    [GoldenTheory]
    [InlineData("vllm:time_to_first_token_seconds", FirstToken)]
    [InlineData("vllm:inter_token_latency_seconds", PerToken)]
    [InlineData("vllm:time_per_output_token_seconds", PerToken)]
    [InlineData("vllm:request_time_per_output_token_seconds", PerToken)]
    [InlineData("vllm:e2e_request_latency_seconds", Request)]
    [InlineData("vllm:request_queue_time_seconds", Request)]
    [InlineData("vllm:request_inference_time_seconds", Request)]
    [InlineData("vllm:request_prefill_time_seconds", Request)]
    [InlineData("vllm:request_decode_time_seconds", Request)]
    [InlineData("vllm:request_prompt_tokens", Context256)]
    [InlineData("vllm:request_generation_tokens", Context256)]
    [InlineData("vllm:request_max_num_generation_tokens", Context256)]
    [InlineData("vllm:request_params_max_tokens", Context256)]
    [InlineData("vllm:request_prefill_kv_computed_tokens", Context256)]
    [InlineData("vllm:iteration_tokens_total", "1.0 8.0 16.0 32.0 64.0 128.0 256.0 512.0 1024.0 2048.0 4096.0 8192.0 16384.0")]
    [InlineData("vllm:request_params_n", "1.0 2.0 5.0 10.0 20.0")]
    public async Task Histogram_HasTheBucketsOfVllm(string name, string edges)
        => Assert.Equal(edges + " +Inf", string.Join(' ', (await ScrapeAsync()).Keys
            .Where(k => k.StartsWith(name + "_bucket{", StringComparison.Ordinal)).Select(k => Le().Match(k).Groups[1].Value)));

    [GoldenFact]
    public async Task Page_HasTheOtherNamesOfVllm()
    {
        var page = await ScrapeAsync();
        string[] names =
        [
            "num_requests_running", "num_requests_waiting", "num_requests_waiting_by_reason", "kv_cache_usage_perc", "gpu_cache_usage_perc", "cache_config_info",
            "prefix_cache_queries_total", "prefix_cache_hits_total", "num_preemptions_total", "prompt_tokens_total", "prompt_tokens_by_source_total",
            "prompt_tokens_cached_total", "generation_tokens_total", "request_success_total", "corrupted_requests_total",
        ];
        Assert.All(names, name => Assert.Contains(page.Keys, key => key.StartsWith($"vllm:{name}{{model_name=\"{DeepSeekServer.Model}\",engine=\"0\"", StringComparison.Ordinal)));
    }

    [GoldenFact]
    public async Task Page_AfterKnownRequests_HasTheirNumbers()
    {
        await server.ScriptAsync("metrics", "ab</think>cd");
        await server.IdleAsync();
        var before = await ScrapeAsync();

        // One ends by its limit, two answers by EOS after thoughts of 3 tokens, one is refused.
        await server.Client.PostAsync("/v1/completions", """{"prompt":[5,6,7],"max_tokens":5,"ignore_eos":true}""");
        await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("metrics", "\"n\":2"));
        await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("metrics", "\"n\":0"));
        await server.IdleAsync();
        var after = await ScrapeAsync();
        double Grown(string name, string more = "") => after[Key(name, more)] - before.GetValueOrDefault(Key(name, more));

        Assert.Equal((1, 2, 0, 0), (Grown("vllm:request_success_total", "finished_reason=\"length\""), Grown("vllm:request_success_total", "finished_reason=\"stop\""),
            Grown("vllm:request_success_total", "finished_reason=\"abort\""), Grown("vllm:request_success_total", "finished_reason=\"error\"")));
        Assert.Equal(5 + 6 + 6, Grown("vllm:generation_tokens_total"));
        Assert.Equal((3 + 3, 5 + 3 + 3), (Grown("deepseekr1:reasoning_tokens_total"), Grown("deepseekr1:answer_tokens_total")));
        Assert.Equal(3 + 2 * 7, Grown("vllm:prompt_tokens_total"));
        Assert.Equal((3, 3 + 2 * 7), (Grown("vllm:request_prompt_tokens_count"), Grown("vllm:request_prompt_tokens_sum")));
        Assert.Equal((3, 17), (Grown("vllm:request_generation_tokens_count"), Grown("vllm:request_generation_tokens_sum")));
        Assert.Equal((1, 3), (Grown("vllm:request_generation_tokens_bucket", "le=\"5.0\""), Grown("vllm:request_generation_tokens_bucket", "le=\"10.0\"")));
        Assert.Equal((3, 17 - 3), (Grown("vllm:time_to_first_token_seconds_count"), Grown("vllm:inter_token_latency_seconds_count")));
        Assert.Equal((2, 5 + 6), (Grown("vllm:request_params_n_count"), Grown("vllm:request_max_num_generation_tokens_sum")));
        Assert.Equal((2, 1), (Grown("deepseekr1:http_responses_total", "code=\"200\""), Grown("deepseekr1:http_responses_total", "code=\"400\"")));
        // A prompt with two answers counts once in what its sender is charged.
        Assert.Equal((3 + 7, 17), (Grown("deepseekr1:key_prompt_tokens_total", "key=\"all\""), Grown("deepseekr1:key_generation_tokens_total", "key=\"all\"")));
        foreach (string part in (string[])["queue", "prefill", "decode", "inference"])
            Assert.Equal(3, Grown($"vllm:request_{part}_time_seconds_count"));
        Assert.Equal(Grown("vllm:request_inference_time_seconds_sum"),
            Grown("vllm:request_prefill_time_seconds_sum") + Grown("vllm:request_decode_time_seconds_sum"), 0.0001);
        Assert.InRange(Grown("vllm:e2e_request_latency_seconds_sum"), Grown("vllm:request_inference_time_seconds_sum"), 60);
    }

    /// <summary>The text side stops such an answer, but nobody has left: it is a stop and no abort, and nothing is wasted.</summary>
    [GoldenFact]
    public async Task StopString_CountsAsStop()
    {
        await server.ScriptAsync("metrics", "ab</think>cd");
        await server.IdleAsync();
        var before = await ScrapeAsync();
        await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Chat("metrics", "\"stop\":\"c\""));
        await server.IdleAsync();
        var after = await ScrapeAsync();
        foreach (var (reason, count) in (ReadOnlySpan<(string, int)>)[("stop", 1), ("abort", 0), ("length", 0)])
            Assert.Equal(count, after[Key("vllm:request_success_total", $"finished_reason=\"{reason}\"")] - before[Key("vllm:request_success_total", $"finished_reason=\"{reason}\"")]);
        Assert.Equal(before[Key("deepseekr1:tokens_after_client_left_total", "")], after[Key("deepseekr1:tokens_after_client_left_total", "")]);
    }

    [GoldenFact]
    public async Task Dashboard_EveryMetric_Exists()
    {
        string dashboard = File.ReadAllText(Path.Combine(Goldens.Repository, "docker", "grafana-dashboard.json"));
        System.Text.Json.JsonDocument.Parse(dashboard).Dispose();
        string[] asked = [.. MetricName().Matches(dashboard).Select(m => m.Value).Distinct()];
        Assert.InRange(asked.Length, 20, 100);
        string[] names = [.. (await ScrapeAsync()).Keys.Select(k => k.Split('{')[0]).Distinct()];
        Assert.All(asked, name => Assert.Contains(name, names));
    }

    private static string Key(string name, string more) => $"{name}{{model_name=\"{DeepSeekServer.Model}\",engine=\"0\"{(more.Length > 0 ? "," + more : "")}}}";

    /// <summary>Samples in order; checks the page by the format's rules on the way.</summary>
    private async Task<Dictionary<string, double>> ScrapeAsync()
    {
        using var answer = await server.Client.GetAsync("/metrics");
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        string text = await answer.Content.ReadAsStringAsync();
        Assert.EndsWith("\n", text);
        var samples = new Dictionary<string, double>();
        string family = "", kind = "";
        foreach (string line in text[..^1].Split('\n'))
        {
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
                (family, kind) = (line.Split(' ')[2], line.Split(' ')[3]);
            if (line.StartsWith('#'))
                continue;
            var match = Sample().Match(line);
            Assert.True(match.Success, line);
            string name = match.Groups[1].Value;
            Assert.Contains(name, kind == "histogram" ? [family + "_bucket", family + "_sum", family + "_count"] : (string[])[family]);
            Assert.True(kind != "counter" || name.EndsWith("_total", StringComparison.Ordinal), line);
            Assert.True(samples.TryAdd(line[..line.LastIndexOf(' ')], double.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture)), "twice: " + line);
        }
        return samples;
    }

    [GeneratedRegex("^([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{[a-z_]+=\"[^\"]*\"(?:,[a-z_]+=\"[^\"]*\")*\\})? ([0-9.eE+-]+)$")]
    private static partial Regex Sample();

    [GeneratedRegex("le=\"([^\"]+)\"")]
    private static partial Regex Le();

    [GeneratedRegex("(vllm|deepseekr1):[a-z0-9_]+|process_[a-z_]+")]
    private static partial Regex MetricName();
}
