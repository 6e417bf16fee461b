namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// Tells when a step hangs: no rank has begun an operation for too long. A long step whose ranks work is left alone. Ranks that wait for
/// each other give up a moment earlier and say which one is missing. Runs on a timer thread.
/// </summary>
internal sealed class StepWatch : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private readonly Func<long> _progress;
    private readonly double _limitMilliseconds;
    private readonly Action _hung;
    private readonly Timer _timer;
    private long _began, _seen, _seenAt;

    /// <summary>Begins to watch.</summary>
    /// <param name="progress">A number that changes while any rank works.</param>
    /// <param name="timeout">Longest time for which it may stand still within a step.</param>
    /// <param name="hung">Called once when it does.</param>
    public StepWatch(Func<long> progress, TimeSpan timeout, Action hung)
    {
        _progress = progress;
        _hung = hung;
        _limitMilliseconds = (timeout + 2 * Interval).TotalMilliseconds;
        _timer = new Timer(_ => Look(), null, Interval, Interval);
    }

    /// <summary>A step begins.</summary>
    public void StepBegins() => Volatile.Write(ref _began, Environment.TickCount64);

    /// <summary>It has ended.</summary>
    public void StepEnds() => Volatile.Write(ref _began, 0);

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        long began = Volatile.Read(ref _began), now = Environment.TickCount64, progress = _progress();
        if (began == 0 || progress != _seen)
            (_seen, _seenAt) = (progress, now);
        if (began == 0 || now - Math.Max(began, _seenAt) < _limitMilliseconds)
            return;
        _timer.Dispose();
        _hung();
    }
}
