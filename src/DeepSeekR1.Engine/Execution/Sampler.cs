using System.Numerics.Tensors;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine.Scheduling;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// Logits to tokens. Rows are independent and run in parallel; a row's result depends on its own logits, parameters and position
/// only, so neighbours never change it. Order of operations as in vLLM's sampler: masks, temperature, min_p, top_k, top_p, draw.
/// Log-probabilities are those of the untouched logits. Runs on the rank thread; one device-to-host copy per step.
/// </summary>
public static unsafe class Sampler
{
    /// <summary>Below this temperature the best token is taken.</summary>
    private const float GreedyTemperature = 1e-5f;

    /// <summary>Chooses one token per row.</summary>
    /// <param name="logits">[R, vocabulary] float32 on any device.</param>
    /// <param name="rows">R descriptions.</param>
    public static SampledToken[] Sample(Tensor logits, IReadOnlyList<SamplingRow> rows)
    {
        using var host = logits.cpu();
        using var dense = host.contiguous();
        int vocabulary = (int)dense.shape[1];
        var data = (float*)TorchShim.Data(dense);
        var results = new SampledToken[rows.Count];
        TorchShim.ParallelFor(0, rows.Count, 1, (begin, end) =>
        {
            for (long r = begin; r < end; r++)
                results[r] = SampleRow(new ReadOnlySpan<float>(data + r * vocabulary, vocabulary), rows[(int)r]);
        });
        return results;
    }

    /// <summary>Chooses one token from the logits of one row.</summary>
    public static SampledToken SampleRow(ReadOnlySpan<float> logits, SamplingRow row)
    {
        var candidates = Mask(logits, row);
        int token = row.Params.Temperature < GreedyTemperature ? Greedy(candidates) : Draw(candidates, row);
        if (token < 0)
            return new SampledToken(-1, float.NaN, 0, null, WhyNothing(logits));
        return row.Params.TopLogprobs is { } count
            ? WithLogprobs(logits, token, count)
            : new SampledToken(token, float.NaN, 0, null);
    }

    /// <summary>
    /// Ids with a probability above 0 after all filters, ascending, and their probabilities. Empty when nothing is left.
    /// </summary>
    public static (int[] Ids, double[] Probabilities) Distribution(ReadOnlySpan<float> logits, SamplingRow row)
    {
        var masked = Mask(logits, row);
        if (row.Params.Temperature < GreedyTemperature)
            return Greedy(masked) is var best and >= 0 ? ([best], [1.0]) : ([], []);
        return Filter(masked, row.Params);
    }

    /// <summary>The logits, copied and masked only where a row asks for it.</summary>
    private static ReadOnlySpan<float> Mask(ReadOnlySpan<float> logits, SamplingRow row)
    {
        if (row.Allowed is null && row.Forbidden is null)
            return logits;
        var masked = new float[logits.Length];
        if (row.Allowed is { } allowed)
        {
            Array.Fill(masked, float.NegativeInfinity);
            foreach (int id in allowed)
                if ((uint)id < (uint)masked.Length)
                    masked[id] = logits[id];
        }
        else
        {
            logits.CopyTo(masked);
        }

        foreach (int id in row.Forbidden ?? [])
            if ((uint)id < (uint)masked.Length)
                masked[id] = float.NegativeInfinity;
        return masked;
    }

    /// <summary>Lowest id of the largest logit; -1 when none is finite or one is NaN.</summary>
    private static int Greedy(ReadOnlySpan<float> logits)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        return float.IsFinite(logits[best]) ? best : -1;
    }

    private static int Draw(ReadOnlySpan<float> logits, SamplingRow row)
    {
        var (ids, probabilities) = Filter(logits, row.Params);
        if (ids.Length == 0)
            return -1;
        double target = Uniform(row.Params.Seed, row.Params.SampleIndex, row.Position), sum = 0;
        for (int i = 0; i < ids.Length; i++)
        {
            sum += probabilities[i];
            if (target < sum)
                return ids[i];
        }

        return ids[^1];
    }

    /// <summary>
    /// Temperature, min_p, top_k, top_p. Weights are exp(l / T - max), so min_p compares with the weight itself.
    /// </summary>
    private static (int[] Ids, double[] Probabilities) Filter(ReadOnlySpan<float> logits, SamplingParams parameters)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        if (!float.IsFinite(logits[best]))
            return ([], []);
        var scaled = new float[logits.Length];
        TensorPrimitives.Divide(logits, parameters.Temperature, scaled);
        float max = scaled[best];
        var weights = new float[logits.Length];
        TensorPrimitives.Subtract(scaled, max, weights);
        TensorPrimitives.Exp<float>(weights, weights);
        KeepUnderflowed(weights, scaled);
        if (parameters.MinP > 0)
            Drop(weights, scaled, parameters.MinP);
        if (parameters.TopK > 0 && parameters.TopK < logits.Length)
            KeepLargest(weights, scaled, parameters.TopK);
        if (parameters.TopP < 1)
            KeepMass(weights, scaled, parameters.TopP);
        return Normalize(weights);
    }

    /// <summary>A weight of 0 means dropped, so a token that nothing has dropped gets the smallest weight there is.</summary>
    private static void KeepUnderflowed(Span<float> weights, ReadOnlySpan<float> scaled)
    {
        for (int i = 0; i < weights.Length; i++)
            if (weights[i] == 0 && scaled[i] > float.NegativeInfinity)
                weights[i] = float.Epsilon;
    }

    /// <summary>min_p: drops weights below a fraction of the best one, which is 1.</summary>
    private static void Drop(Span<float> weights, Span<float> scaled, float fraction)
    {
        for (int i = 0; i < weights.Length; i++)
            if (weights[i] < fraction)
            {
                weights[i] = 0;
                scaled[i] = float.NegativeInfinity;
            }
    }

    /// <summary>top_k: drops everything below the k-th largest value; ties with it all stay.</summary>
    private static void KeepLargest(Span<float> weights, Span<float> scaled, int k)
    {
        float threshold = KthLargest(scaled, k);
        for (int i = 0; i < weights.Length; i++)
            if (scaled[i] < threshold)
                weights[i] = 0;
    }

    /// <summary>The k-th largest value, by a heap of the k best.</summary>
    private static float KthLargest(ReadOnlySpan<float> values, int k)
    {
        if (k > 4096)
        {
            var sorted = values.ToArray();
            Array.Sort(sorted);
            return sorted[^k];
        }

        var heap = new PriorityQueue<float, float>(k + 1);
        foreach (float value in values)
        {
            if (heap.Count < k)
                heap.Enqueue(value, value);
            else if (value > heap.Peek())
                heap.DequeueEnqueue(value, value);
        }

        return heap.Peek();
    }

    /// <summary>
    /// top_p: in ascending order drops while the running sum of probabilities is at most 1 - p; the best always stays. Only the
    /// range of weights in which the sum crosses is sorted: weights are first gathered by magnitude.
    /// </summary>
    private static void KeepMass(Span<float> weights, ReadOnlySpan<float> scaled, float p)
    {
        const int Buckets = 1024;
        const float BucketsPerUnit = 32;
        Span<double> mass = stackalloc double[Buckets];
        mass.Clear();
        float max = TensorPrimitives.Max(scaled);
        double total = 0;
        for (int i = 0; i < weights.Length; i++)
            if (weights[i] > 0)
            {
                mass[Bucket(scaled[i])] += weights[i];
                total += weights[i];
            }

        int Bucket(float value) => Math.Min(Buckets - 1, (int)((max - value) * BucketsPerUnit));

        double budget = (double)(1 - p) * total, dropped = 0;
        int crossing = Buckets - 1;
        while (crossing > 0 && dropped + mass[crossing] <= budget)
            dropped += mass[crossing--];
        var border = new List<(float Weight, int Id)>();
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0)
                continue;
            int bucket = Bucket(scaled[i]);
            if (bucket > crossing)
                weights[i] = 0;
            else if (bucket == crossing)
                border.Add((weights[i], i));
        }

        border.Sort();
        bool holdsBest = crossing == 0;
        for (int i = 0; i < border.Count - (holdsBest ? 1 : 0); i++)
        {
            dropped += border[i].Weight;
            if (dropped > budget)
                break;
            weights[border[i].Id] = 0;
        }
    }

    private static (int[] Ids, double[] Probabilities) Normalize(ReadOnlySpan<float> weights)
    {
        double total = 0;
        int count = 0;
        foreach (float weight in weights)
            if (weight > 0)
            {
                total += weight;
                count++;
            }

        var ids = new int[count];
        var probabilities = new double[count];
        int next = 0;
        for (int i = 0; i < weights.Length; i++)
            if (weights[i] > 0)
            {
                ids[next] = i;
                probabilities[next++] = weights[i] / total;
            }

        return (ids, probabilities);
    }

    private static SampledToken WithLogprobs(ReadOnlySpan<float> logits, int token, int count)
    {
        float max = TensorPrimitives.Max(logits);
        var shifted = new float[logits.Length];
        TensorPrimitives.Subtract(logits, max, shifted);
        var weights = new float[logits.Length];
        TensorPrimitives.Exp<float>(shifted, weights);
        double sum = 0;
        foreach (float weight in weights)
            sum += weight;
        double logSum = Math.Log(sum);
        double normalizer = max + logSum;
        int rank = 0;
        foreach (float value in logits)
            if (value >= logits[token])
                rank++;
        return new SampledToken(token, (float)(logits[token] - normalizer), rank, count > 0 ? Top(logits, count, normalizer) : []);
    }

    private static TokenLogprob[] Top(ReadOnlySpan<float> logits, int count, double normalizer)
    {
        // Smallest logit first; of equal ones the larger id leaves first, so the order is always the same.
        var heap = new PriorityQueue<int, (float Logit, int Order)>(count + 1);
        for (int id = 0; id < logits.Length; id++)
            if (heap.Count < count)
                heap.Enqueue(id, (logits[id], -id));
            else if (heap.TryPeek(out _, out var worst) && logits[id] > worst.Logit)
                heap.DequeueEnqueue(id, (logits[id], -id));
        var top = new TokenLogprob[heap.Count];
        for (int i = top.Length - 1; i >= 0; i--)
        {
            int id = heap.Dequeue();
            top[i] = new TokenLogprob(id, (float)(logits[id] - normalizer));
        }

        return top;
    }

    private static string WhyNothing(ReadOnlySpan<float> logits)
    {
        foreach (float value in logits)
            if (float.IsNaN(value) || float.IsPositiveInfinity(value))
                return "The model produced logits that are not numbers for this request. Try another --dtype, for example float32.";
        return "No token is left to choose from: the request's masks exclude every token of the vocabulary.";
    }

    /// <summary>
    /// A number in [0, 1) that depends on the key alone (SplitMix64 finalizer over seed, sample and position), so the same request
    /// draws the same tokens whatever shares its steps.
    /// </summary>
    internal static double Uniform(ulong seed, int sample, int position)
    {
        ulong state = Scramble(seed + 0x9E3779B97F4A7C15);
        state = Scramble(state ^ (ulong)(uint)sample * 0xD1B54A32D192ED03);
        state = Scramble(state ^ (ulong)(uint)position * 0x8CB92BA72F3D8DD7);
        return (state >> 11) * (1.0 / (1UL << 53));
    }

    private static ulong Scramble(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
