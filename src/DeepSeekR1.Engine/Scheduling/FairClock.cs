namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// Turns for a queue that several tenants share (start-time fair queueing, one unit a request): every tenant's requests are one
/// turn apart, and a tenant that was idle begins at the present turn. So a tenant with a thousand requests and one with a single
/// request are served alternately, and within a tenant the order of arrival stays.
/// </summary>
internal sealed class FairClock
{
    private readonly Dictionary<string, long> _last = [];
    private long _now;

    /// <summary>The turn of a tenant's next request; all requests without a tenant are one.</summary>
    public long Stamp(string? tenant)
    {
        var key = tenant ?? "";
        long turn = Math.Max(_now, _last.GetValueOrDefault(key)) + 1;
        _last[key] = turn;
        return turn;
    }

    /// <summary>A request of this turn begins: the present moves on, and tenants that lie behind it are forgotten.</summary>
    public void Advance(long turn)
    {
        _now = Math.Max(_now, turn);
        if (_last.Count > 1024)
            foreach (var (tenant, last) in _last.Where(pair => pair.Value <= _now).ToList())
                _last.Remove(tenant);
    }
}
