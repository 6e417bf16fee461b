using System.Collections.Concurrent;
using DeepSeekR1.Engine.Diagnostics;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.Operations;

/// <summary>Counters that only the HTTP side knows. Safe for many threads.</summary>
internal sealed class RequestCounters
{
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<int, long> _responses = new();
    private readonly Histogram _answers = new(Buckets.Answers);
    private Histogram? _longest;
    private long _finished, _left, _wasted, _cut, _reasoning, _answered;

    /// <summary>Requests answered to the end.</summary>
    public long FinishedTotal => Interlocked.Read(ref _finished);

    /// <summary>Requests whose client left early.</summary>
    public long LeftTotal => Interlocked.Read(ref _left);

    /// <summary>Requests whose client read too slowly and was cut off.</summary>
    public long CutTotal => Interlocked.Read(ref _cut);

    /// <summary>Tokens generated after their client had left.</summary>
    public long WastedTokens => Interlocked.Read(ref _wasted);

    /// <summary>Generated tokens of thoughts.</summary>
    public long ReasoningTokens => Interlocked.Read(ref _reasoning);

    /// <summary>Generated tokens that were no thought.</summary>
    public long AnswerTokens => Interlocked.Read(ref _answered);

    /// <summary>Responses by status.</summary>
    public IEnumerable<(int Status, long Count)> Responses => _responses.OrderBy(r => r.Key).Select(r => (r.Key, r.Value));

    /// <summary>A response has ended.</summary>
    public void Responded(int status) => _responses.AddOrUpdate(status, 1, (_, count) => count + 1);

    /// <summary>A request was answered.</summary>
    public void Finished(TextGeneration generation, int maxModelLen)
    {
        Interlocked.Increment(ref _finished);
        lock (_lock)
        {
            _answers.Observe(generation.ChoiceCount / generation.Prompts.Count);
            (_longest ??= new Histogram(Buckets.Tokens(maxModelLen))).Observe(generation.LongestAnswer);
        }
    }

    /// <summary>A request has ended, however it did.</summary>
    public void Ended(TokenUsage usage)
    {
        Interlocked.Add(ref _reasoning, usage.ReasoningTokens);
        Interlocked.Add(ref _answered, usage.CompletionTokens - usage.ReasoningTokens);
    }

    /// <summary>A client left.</summary>
    public void ClientLeft(int wastedTokens)
    {
        Interlocked.Increment(ref _left);
        Interlocked.Add(ref _wasted, wastedTokens);
    }

    /// <summary>A client was cut off, because it did not read.</summary>
    public void ClientCut() => Interlocked.Increment(ref _cut);

    /// <summary>Answers per request.</summary>
    public HistogramValues Answers
    {
        get
        {
            lock (_lock)
                return _answers.Read();
        }
    }

    /// <summary>Tokens of the longest answer of each request.</summary>
    public HistogramValues Longest(int maxModelLen)
    {
        lock (_lock)
            return (_longest ??= new Histogram(Buckets.Tokens(maxModelLen))).Read();
    }
}
