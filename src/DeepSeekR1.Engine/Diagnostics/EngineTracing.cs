using System.Diagnostics;
using DeepSeekR1.Engine.Scheduling;

namespace DeepSeekR1.Engine.Diagnostics;

/// <summary>
/// Traces: one span per sequence with the spans queue, prefill and decode inside, below the span of the request that submitted it.
/// Spans are made when the sequence has ended; without a listener nothing is done. They hold no text.
/// </summary>
public static class EngineTracing
{
    /// <summary>Name of the source, for listeners.</summary>
    public const string SourceName = "DeepSeekR1.Engine";

    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>The span below which a sequence's spans belong; default when nobody listens.</summary>
    internal static ActivityContext Parent => Source.HasListeners() ? Activity.Current?.Context ?? default : default;

    /// <summary>Makes the spans of a sequence that has ended.</summary>
    internal static void Record(Sequence sequence, FinishReason reason, long now)
    {
        if (!Source.HasListeners())
            return;
        var times = sequence.Times;
        var origin = TimeProvider.System.GetUtcNow().UtcDateTime;
        DateTime At(long stamp) => origin - Stopwatch.GetElapsedTime(stamp, now);
        using var whole = Source.StartActivity("llm_request", ActivityKind.Internal, times.Parent, startTime: At(times.Arrived));
        if (whole is null)
            return;
        Describe(whole, sequence, reason);
        Span("queue", times.Arrived, times.Began > 0 ? times.Began : now);
        if (times.Began > 0)
            Span("prefill", times.Began, times.FirstToken > 0 ? times.FirstToken : now);
        if (times.FirstToken > 0)
            Span("decode", times.FirstToken, times.LastToken);
        whole.SetEndTime(At(now));

        void Span(string name, long from, long to)
        {
            using var span = Source.StartActivity(name, ActivityKind.Internal, whole.Context, startTime: At(from));
            span?.SetEndTime(At(to));
        }
    }

    private static void Describe(Activity span, Sequence sequence, FinishReason reason)
    {
        var sampling = sequence.Request.Sampling;
        span.SetTag("gen_ai.request.id", sequence.Request.Id);
        span.SetTag("gen_ai.request.temperature", sampling.Temperature);
        span.SetTag("gen_ai.request.top_p", sampling.TopP);
        span.SetTag("gen_ai.request.max_tokens", sampling.MaxTokens);
        span.SetTag("gen_ai.usage.prompt_tokens", sequence.PromptLength);
        span.SetTag("gen_ai.usage.cached_tokens", sequence.CachedTokens);
        span.SetTag("gen_ai.usage.completion_tokens", sequence.OutputLength);
        span.SetTag("gen_ai.response.finish_reason", reason switch { FinishReason.Stop => "stop", FinishReason.Length => "length", _ => "abort" });
        span.SetTag("deepseekr1.preemptions", sequence.Preemptions);
    }
}
