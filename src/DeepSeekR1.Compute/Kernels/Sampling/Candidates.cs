using System.Buffers;
using System.Numerics.Tensors;

namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>
/// The tokens of a row that temperature, min_p, top_k and top_p leave, ids ascending, with unnormalized weights exp(l / T - max): the best
/// has weight 1, a dropped one 0. Owns borrowed memory.
/// </summary>
internal sealed class Candidates : IDisposable
{
    private const int WalkedWeights = 512, Buckets = 1024;
    private readonly int[] _ids;
    private readonly float[] _weights;
    private readonly int _count;

    /// <summary>Filters a row.</summary>
    /// <param name="logits">Edited logits [V].</param>
    /// <param name="settings">Temperature above 0, and the filters.</param>
    public Candidates(ReadOnlySpan<float> logits, SamplingSettings settings)
    {
        _ids = ArrayPool<int>.Shared.Rent(logits.Length);
        _weights = ArrayPool<float>.Shared.Rent(logits.Length);
        int best = TensorPrimitives.IndexOfMax(logits);
        if (!float.IsFinite(logits[best]))
            return;
        float temperature = settings.Temperature, max = logits[best] / temperature;
        bool hasTopK = settings.TopK > 0 && settings.TopK < logits.Length, hasMinP = settings.MinP > 0, hasTopP = settings.TopP < 1;

        // Both filters keep whatever is large enough, so their order does not matter. Ties with the k-th largest all stay.
        float floor = settings.Floor(logits), leastScaled = hasTopK ? LogitScan.KthLargest(logits, temperature, settings.TopK) : float.NegativeInfinity;
        bool cuts = hasTopK || floor > float.NegativeInfinity;
        leastScaled = Math.Max(leastScaled, floor / temperature);

        // All weights below (1 - p) / V together are below 1 - p, and the sum of all weights is at least 1: top_p alone drops them for certain.
        float leastWeight = hasMinP ? settings.MinP : hasTopP && !cuts ? 0.5f * (1 - settings.TopP) / logits.Length : 0;
        (_count, double left) = LogitScan.Gather(logits, temperature, max, leastScaled, leastWeight, _ids, _weights);
        if (hasTopP)
            KeepMass(settings.TopP, hasMinP || cuts ? 0 : left);
    }

    /// <summary>Ids, ascending.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, _count);

    /// <summary>Their weights; 0 for those that were dropped.</summary>
    public ReadOnlySpan<float> Weights => _weights.AsSpan(0, _count);

    /// <summary>The id at a point of the sum of all weights, in ascending order of ids; -1 when there are no candidates.</summary>
    /// <param name="point">In [0, 1).</param>
    public int At(double point)
    {
        var weights = Weights;
        double target = point * LogitScan.Sum(weights), sum = 0;
        for (int start = 0; start < weights.Length; start += WalkedWeights)
        {
            var piece = weights[start..Math.Min(weights.Length, start + WalkedWeights)];
            double whole = LogitScan.Sum(piece);
            if (sum + whole <= target)
            {
                sum += whole;
                continue;
            }

            for (int i = 0; i < piece.Length; i++)
                if ((sum += piece[i]) > target)
                    return _ids[start + i];
        }

        // Rounding may leave the target just behind the last sum.
        int last = weights.LastIndexOfAnyExcept(0f);
        return last < 0 ? -1 : _ids[last];
    }

    /// <summary>
    /// top_p: in ascending order drops while the running sum of probabilities is at most 1 - p; the best always stays. Only the
    /// range of weights in which the sum crosses is sorted: weights are first gathered by magnitude.
    /// </summary>
    /// <param name="p">The share that stays.</param>
    /// <param name="dropped">Weight that is dropped already.</param>
    private void KeepMass(float p, double dropped)
    {
        Span<double> mass = stackalloc double[Buckets];
        mass.Clear();
        var weights = _weights.AsSpan(0, _count);
        foreach (float weight in weights)
            mass[Bucket(weight)] += weight;
        double total = dropped;
        foreach (double sum in mass)
            total += sum;
        double budget = (double)(1 - p) * total;
        int crossing = Buckets - 1;
        while (crossing > 0 && dropped + mass[crossing] <= budget)
            dropped += mass[crossing--];
        var border = new List<(float Weight, int Index)>();
        for (int i = 0; i < weights.Length; i++)
        {
            int bucket = Bucket(weights[i]);
            if (bucket == crossing)
                border.Add((weights[i], i));
            if (bucket > crossing)
                weights[i] = 0;
        }

        border.Sort();
        bool holdsBest = crossing == 0;
        for (int i = 0; i < border.Count - (holdsBest ? 1 : 0); i++)
        {
            dropped += border[i].Weight;
            if (dropped > budget)
                break;
            weights[border[i].Index] = 0;
        }
    }

    /// <summary>
    /// 32 buckets for each factor of 2, from weight 1 in bucket 0 down; the last one holds all that is below 2^-32. The bits of positive
    /// floats are ordered as their values. The best one's may be rounded to just above 1.
    /// </summary>
    private static int Bucket(float weight) => Math.Clamp((BitConverter.SingleToInt32Bits(1f) - BitConverter.SingleToInt32Bits(weight)) >> 18, 0, Buckets - 1);

    /// <inheritdoc/>
    public void Dispose()
    {
        ArrayPool<int>.Shared.Return(_ids);
        ArrayPool<float>.Shared.Return(_weights);
    }
}
