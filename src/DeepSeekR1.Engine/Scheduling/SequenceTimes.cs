using System.Diagnostics;
using DeepSeekR1.Engine.Diagnostics;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>Moments in a sequence's life as <see cref="Stopwatch"/> stamps; 0 while they lie ahead. Engine thread only, but for the arrival.</summary>
internal sealed class SequenceTimes
{
    /// <summary>It was submitted.</summary>
    public long Arrived { get; } = Stopwatch.GetTimestamp();

    /// <summary>The span of the request that submitted it.</summary>
    public ActivityContext Parent { get; } = EngineTracing.Parent;

    /// <summary>It was scheduled for the first time.</summary>
    public long Began { get; set; }

    /// <summary>Its first token came.</summary>
    public long FirstToken { get; set; }

    /// <summary>Its latest token came.</summary>
    public long LastToken { get; set; }
}
