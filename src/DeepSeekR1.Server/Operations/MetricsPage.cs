using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// What /metrics shows: vLLM's names where it has one for a thing (so that its dashboards work), <c>deepseekr1:</c> for what it lacks.
/// </summary>
internal sealed class MetricsPage(Lifecycle lifecycle, RequestCounters counters, ApiKeys keys, OpenAi.ServedModels models, ServerOptions options)
{
    private static readonly EngineSnapshot Nothing = new(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    /// <summary>The page now.</summary>
    public string Write()
    {
        var page = new PrometheusText(("model_name", models.Names[0]), ("engine", "0"));
        var engine = lifecycle.EngineOrNull;
        var snapshot = engine?.Snapshot() ?? Nothing;
        Gauges(page, snapshot);
        Counters(page, snapshot);
        if (engine is not null)
            Measured(page, engine);
        Ours(page, snapshot);
        PerKey(page);
        OfProcess(page);
        return page.ToString();
    }

    private void Gauges(PrometheusText page, EngineSnapshot s)
    {
        double usage = s.BlocksTotal > 0 ? (double)s.BlocksUsed / s.BlocksTotal : 0;
        page.Gauge("vllm:num_requests_running", "Sequences in the running batch.", s.Running);
        page.Gauge("vllm:num_requests_waiting", "Sequences waiting for room.", s.Waiting);
        page.Family("vllm:num_requests_waiting_by_reason", "gauge", "Sequences waiting, by reason.", ("reason=\"capacity\"", s.Waiting), ("reason=\"deferred\"", 0));
        page.Gauge("vllm:kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1.", usage);
        page.Gauge("vllm:gpu_cache_usage_perc", "Older name of kv_cache_usage_perc.", usage);
        if (lifecycle.EngineOrNull?.Facts is not { } facts)
            return;
        string config = PrometheusText.Labels(
            ("block_size", Number(facts.BlockSize)), ("cache_dtype", facts.DType),
            ("enable_prefix_caching", options.Engine.EnablePrefixCaching ? "True" : "False"), ("num_gpu_blocks", Number(facts.NumBlocks)));
        page.Family("vllm:cache_config_info", "gauge", "Settings of the KV cache.", (config, 1));
    }

    private static void Counters(PrometheusText page, EngineSnapshot s)
    {
        page.Counter("vllm:prompt_tokens_total", "Prompt tokens of requests.", s.PromptTokens);
        page.Family("vllm:prompt_tokens_by_source_total", "counter", "Prompt tokens of requests that have begun, by source.",
            ("source=\"local_compute\"", s.PrefixQueries - s.PrefixHits), ("source=\"local_cache_hit\"", s.PrefixHits), ("source=\"external_kv_transfer\"", 0));
        page.Counter("vllm:prompt_tokens_cached_total", "Prompt tokens found in the prefix cache.", s.PrefixHits);
        page.Counter("vllm:generation_tokens_total", "Tokens generated.", s.GeneratedTokens);
        page.Counter("vllm:num_preemptions_total", "Sequences put back because blocks ran out.", s.Preemptions);
        page.Counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.", s.PrefixQueries);
        page.Counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.", s.PrefixHits);
    }

    private void Measured(PrometheusText page, ChatEngine engine)
    {
        var m = engine.Metrics;
        int context = engine.Facts.MaxModelLen;
        page.Family("vllm:request_success_total", "counter", "Sequences that ended, by reason.",
            ("finished_reason=\"stop\"", m.Ended(FinishReason.Stop)), ("finished_reason=\"length\"", m.Ended(FinishReason.Length)),
            ("finished_reason=\"abort\"", m.Ended(FinishReason.Cancelled)), ("finished_reason=\"error\"", m.Failed));
        page.Counter("vllm:corrupted_requests_total", "Sequences whose logits were not numbers.", m.Corrupted);
        page.Histogram("vllm:request_prompt_tokens", "Prompt tokens of a sequence.", m.PromptTokens.Read());
        page.Histogram("vllm:request_generation_tokens", "Generated tokens of a sequence.", m.GeneratedTokens.Read());
        page.Histogram("vllm:iteration_tokens_total", "Tokens computed in a step.", m.StepTokens.Read());
        page.Histogram("vllm:request_max_num_generation_tokens", "Tokens of the longest answer of a request.", counters.Longest(context));
        page.Histogram("vllm:request_params_n", "Answers per prompt (n).", counters.Answers);
        page.Histogram("vllm:request_params_max_tokens", "Most tokens that a sequence may generate.", m.MaxTokens.Read());
        page.Histogram("vllm:time_to_first_token_seconds", "Arrival to first token.", m.TimeToFirstToken.Read());
        page.Histogram("vllm:inter_token_latency_seconds", "Time between two tokens.", m.InterTokenLatency.Read());
        page.Histogram("vllm:time_per_output_token_seconds", "Older name of inter_token_latency_seconds.", m.InterTokenLatency.Read());
        page.Histogram("vllm:request_time_per_output_token_seconds", "Decode time per token of a sequence.", m.TimePerOutputToken.Read());
        page.Histogram("vllm:e2e_request_latency_seconds", "Arrival to end.", m.EndToEnd.Read());
        page.Histogram("vllm:request_queue_time_seconds", "Arrival to begin.", m.Queue.Read());
        page.Histogram("vllm:request_inference_time_seconds", "Begin to end.", m.Inference.Read());
        page.Histogram("vllm:request_prefill_time_seconds", "Begin to first token.", m.Prefill.Read());
        page.Histogram("vllm:request_decode_time_seconds", "First to last token.", m.Decode.Read());
        page.Histogram("vllm:request_prefill_kv_computed_tokens", "Prompt tokens of a sequence that were not found in the cache.", m.ComputedTokens.Read());
    }

    private void Ours(PrometheusText page, EngineSnapshot s)
    {
        page.Gauge("deepseekr1:ready", "1 while requests are answered.", lifecycle.State == ServerState.Ready ? 1 : 0);
        page.Gauge("deepseekr1:kv_blocks_used", "KV blocks in use.", s.BlocksUsed);
        page.Gauge("deepseekr1:kv_blocks_total", "KV blocks in the cache.", s.BlocksTotal);
        page.Counter("deepseekr1:steps_total", "Engine steps.", s.Steps);
        page.Counter("deepseekr1:step_faults_total", "Engine steps that failed with the requests in them, that which ended the engine included.", s.StepFaults);
        page.Counter("deepseekr1:sequences_finished_total", "Sequences that ended by themselves.", s.RequestsFinished);
        page.Counter("deepseekr1:sequences_cancelled_total", "Sequences that were cancelled.", s.RequestsCancelled);
        page.Counter("deepseekr1:http_requests_finished_total", "Requests answered to the end.", counters.FinishedTotal);
        page.Family("deepseekr1:http_responses_total", "counter", "Responses by status; 499: the client had left.",
            counters.Responses.Select(r => ($"code=\"{Number(r.Status)}\"", (double)r.Count)));
        page.Counter("deepseekr1:clients_left_total", "Requests whose client left early.", counters.LeftTotal);
        page.Counter("deepseekr1:clients_cut_total", "Requests whose client did not read and was cut off.", counters.CutTotal);
        page.Counter("deepseekr1:tokens_after_client_left_total", "Tokens generated after their client had left.", counters.WastedTokens);
        page.Counter("deepseekr1:reasoning_tokens_total", "Generated tokens of thoughts.", counters.ReasoningTokens);
        page.Counter("deepseekr1:answer_tokens_total", "Generated tokens that were no thought.", counters.AnswerTokens);
    }

    private void PerKey(PrometheusText page)
    {
        var tenants = keys.Tenants.DistinctBy(t => t.Name).ToArray();
        void Add(string name, string help, Func<Tenant, double> value)
            => page.Family(name, "counter", help, tenants.Select(t => (PrometheusText.Labels(("key", t.Name)), value(t))));
        Add("deepseekr1:key_requests_total", "Requests of a key that passed its limits.", t => t.Requests.Admitted);
        Add("deepseekr1:key_requests_refused_total", "Requests of a key above its limits.", t => t.Requests.Refused);
        Add("deepseekr1:key_prompt_tokens_total", "Prompt tokens of a key.", t => t.Tokens.Prompt);
        Add("deepseekr1:key_generation_tokens_total", "Tokens generated for a key.", t => t.Tokens.Completion);
        Add("deepseekr1:key_reasoning_tokens_total", "Generated tokens of thoughts, by key.", t => t.Tokens.Reasoning);
        Add("deepseekr1:key_tokens_after_client_left_total", "Tokens generated for a key after its client had left.", t => t.Tokens.Wasted);
    }

    private static void OfProcess(PrometheusText page)
    {
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        page.Process("process_cpu_seconds_total", "counter", "CPU time of the process.", process.TotalProcessorTime.TotalSeconds);
        page.Process("process_resident_memory_bytes", "gauge", "Memory of the process.", process.WorkingSet64);
        page.Process("process_start_time_seconds", "gauge", "Start of the process since 1970.",
            (process.StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds);
        page.Process("process_threads", "gauge", "Threads of the process.", process.Threads.Count);
        if (Directory.Exists("/proc/self/fd"))
            page.Process("process_open_fds", "gauge", "Open files and sockets.", Directory.EnumerateFileSystemEntries("/proc/self/fd").Count());
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
