using System.Globalization;
using DeepSeekR1.Server.OpenAi;
using DeepSeekR1.Text;
using Microsoft.AspNetCore.Http;

namespace DeepSeekR1.Server.Operations;

/// <summary>Limits of one key; null sets none.</summary>
/// <param name="RequestsPerMinute">Requests a minute.</param>
/// <param name="TokensPerMinute">Tokens a minute, prompt and answer.</param>
internal readonly record struct RateLimits(int? RequestsPerMinute, int? TokensPerMinute);

/// <summary>An allowance that refills evenly over a minute and can be overdrawn. Safe for many threads.</summary>
internal sealed class MinuteBucket(int perMinute, TimeProvider clock)
{
    private readonly Lock _lock = new();
    private double _left = perMinute;
    private long _at = clock.GetTimestamp();

    /// <summary>What a minute gives, and the most that is ever there.</summary>
    public int PerMinute => perMinute;

    /// <summary>Whole units left; 0 when it is overdrawn.</summary>
    public long Left => (long)Math.Max(0, Math.Floor(Balance()));

    /// <summary>Seconds until one unit is there; 0 when it is.</summary>
    public double SecondsUntilOne => Math.Max(0, 1 - Balance()) * 60 / perMinute;

    /// <summary>Seconds until all of it is there again.</summary>
    public double SecondsUntilFull => (perMinute - Balance()) * 60 / perMinute;

    /// <summary>Takes an amount, whether it is there or not.</summary>
    public void Charge(long amount) => Balance(amount);

    private double Balance(long taken = 0)
    {
        lock (_lock)
        {
            long now = clock.GetTimestamp();
            _left = Math.Min(perMinute, _left + clock.GetElapsedTime(_at, now).TotalSeconds * perMinute / 60) - taken;
            _at = now;
            return _left;
        }
    }
}

/// <summary>
/// Whose requests are counted and limited together: those with one API key, or everybody where no keys are configured. Safe for many
/// threads.
/// </summary>
/// <param name="name">Name in metrics; never the key.</param>
/// <param name="id">Identity in the queue's turns; null where nobody is told apart.</param>
/// <param name="clock">Clock of the limits.</param>
internal sealed class Tenant(string name, string? id, TimeProvider clock)
{
    private RateLimits _limits;
    private MinuteBucket? _requests, _tokens;
    private long _admitted, _refused, _promptTokens, _completionTokens, _reasoningTokens, _wastedTokens;

    /// <summary>Name in metrics.</summary>
    public string Name { get; set; } = name;

    /// <summary>Identity in the queue's turns.</summary>
    public string? Id => id;

    /// <summary>Requests that passed the limits, and those that did not.</summary>
    public (long Admitted, long Refused) Requests => (Interlocked.Read(ref _admitted), Interlocked.Read(ref _refused));

    /// <summary>Tokens so far.</summary>
    public (long Prompt, long Completion, long Reasoning, long Wasted) Tokens => (Interlocked.Read(ref _promptTokens),
        Interlocked.Read(ref _completionTokens), Interlocked.Read(ref _reasoningTokens), Interlocked.Read(ref _wastedTokens));

    /// <summary>Sets the limits; balances are kept while they stay the same.</summary>
    public Tenant WithLimits(RateLimits limits)
    {
        if (limits == _limits)
            return this;
        _limits = limits;
        _requests = limits.RequestsPerMinute is { } requests ? new MinuteBucket(requests, clock) : null;
        _tokens = limits.TokensPerMinute is { } tokens ? new MinuteBucket(tokens, clock) : null;
        return this;
    }

    /// <summary>Lets one request pass, or not; tells the client what is left in OpenAI's headers.</summary>
    /// <exception cref="OpenAiException">429: a limit is used up.</exception>
    public void Admit(IHeaderDictionary headers)
    {
        // One request may pass while something is left; what it costs is known afterwards and may overdraw the tokens.
        bool full = _requests is { Left: 0 } || _tokens is { Left: 0 };
        if (!full)
            _requests?.Charge(1);
        Describe(headers, "requests", _requests);
        Describe(headers, "tokens", _tokens);
        if (!full)
        {
            Interlocked.Increment(ref _admitted);
            return;
        }
        Interlocked.Increment(ref _refused);
        var (bucket, what) = _requests is { Left: 0 } ? (_requests, "requests") : (_tokens!, "tokens");
        int seconds = (int)Math.Max(1, Math.Ceiling(bucket.SecondsUntilOne));
        throw new OpenAiException(new OpenAiError(429, "rate_limit_error", "rate_limit_exceeded", null, string.Create(CultureInfo.InvariantCulture,
            $"The limit of {bucket.PerMinute} {what} a minute is used up. Try again in {seconds} s."), seconds));
    }

    /// <summary>Books what a request has cost.</summary>
    public void Charge(TokenUsage usage, int wastedTokens)
    {
        Interlocked.Add(ref _promptTokens, usage.PromptTokens);
        Interlocked.Add(ref _completionTokens, usage.CompletionTokens);
        Interlocked.Add(ref _reasoningTokens, usage.ReasoningTokens);
        Interlocked.Add(ref _wastedTokens, wastedTokens);
        _tokens?.Charge(usage.PromptTokens + usage.CompletionTokens);
    }

    private static void Describe(IHeaderDictionary headers, string what, MinuteBucket? bucket)
    {
        if (bucket is null)
            return;
        headers["x-ratelimit-limit-" + what] = bucket.PerMinute.ToString(CultureInfo.InvariantCulture);
        headers["x-ratelimit-remaining-" + what] = bucket.Left.ToString(CultureInfo.InvariantCulture);
        headers["x-ratelimit-reset-" + what] = Duration(bucket.SecondsUntilFull);
    }

    /// <summary>As OpenAI writes it: 20ms, 1s, 6m0s.</summary>
    internal static string Duration(double seconds)
    {
        long milliseconds = (long)Math.Ceiling(1000 * Math.Max(0, seconds));
        if (milliseconds < 1000)
            return string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms");
        long whole = (milliseconds + 999) / 1000;
        return whole < 60
            ? string.Create(CultureInfo.InvariantCulture, $"{whole}s")
            : string.Create(CultureInfo.InvariantCulture, $"{whole / 60}m{whole % 60}s");
    }
}
