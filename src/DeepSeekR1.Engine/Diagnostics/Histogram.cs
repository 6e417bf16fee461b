namespace DeepSeekR1.Engine.Diagnostics;

/// <summary>What a histogram holds at one moment.</summary>
/// <param name="Edges">Upper edges, each one included in its bucket.</param>
/// <param name="Counts">Values up to each edge, and last all values.</param>
/// <param name="Sum">Sum of all values.</param>
public sealed record HistogramValues(IReadOnlyList<double> Edges, IReadOnlyList<long> Counts, double Sum);

/// <summary>Counts values by size, as Prometheus does. One thread writes, any thread reads; a reader may miss the value being written.</summary>
/// <param name="edges">Upper edges, ascending; one more bucket takes what is above.</param>
public sealed class Histogram(IReadOnlyList<double> edges)
{
    private readonly double[] _edges = [.. edges];
    private readonly long[] _counts = new long[edges.Count + 1];
    private double _sum;

    /// <summary>Counts a value.</summary>
    public void Observe(double value)
    {
        // Most times are short and lie in the first buckets: walking there is quicker than halving.
        int bucket = 0;
        while (bucket < _edges.Length && value > _edges[bucket])
            bucket++;
        _counts[bucket]++;
        _sum += value;
    }

    /// <summary>The state now. Counts add up, whatever is being written.</summary>
    public HistogramValues Read()
    {
        long[] counts = new long[_counts.Length];
        long total = 0;
        for (int i = 0; i < counts.Length; i++)
            counts[i] = total += Volatile.Read(ref _counts[i]);
        return new HistogramValues(_edges, counts, Volatile.Read(ref _sum));
    }
}

/// <summary>Edges of vLLM's histograms (vllm/v1/metrics/loggers.py), so that its dashboards show the same picture. Times in seconds.</summary>
public static class Buckets
{
    /// <summary>Time to the first token.</summary>
    public static readonly double[] FirstToken =
        [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];

    /// <summary>Time between tokens, and time per token.</summary>
    public static readonly double[] PerToken = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];

    /// <summary>Parts of a request's life.</summary>
    public static readonly double[] Request =
        [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];

    /// <summary>Tokens in a step.</summary>
    public static readonly double[] StepTokens = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

    /// <summary>Answers per request.</summary>
    public static readonly double[] Answers = [1, 2, 5, 10, 20];

    /// <summary>1, 2, 5, 10, ... up to a number of tokens.</summary>
    public static double[] Tokens(int most)
    {
        var edges = new List<double>();
        for (long power = 1; power <= most; power *= 10)
            foreach (int mantissa in (ReadOnlySpan<int>)[1, 2, 5])
                if (mantissa * power <= most)
                    edges.Add(mantissa * power);
        return [.. edges];
    }
}
