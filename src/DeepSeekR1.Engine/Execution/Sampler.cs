using System.Buffers;
using System.Numerics.Tensors;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine.Scheduling;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Engine.Execution;

/// <summary>
/// Logits to tokens. Rows are independent and run in parallel; a row's result depends on its own logits, parameters and position
/// only, so neighbours never change it. Order of operations as in vLLM's sampler: <see cref="LogitEdits"/>, temperature, min_p, top_k,
/// top_p, draw.
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

    /// <summary>Log-probabilities of given tokens: logits [R, vocabulary] float32, one id per row.</summary>
    public static SampledToken[] Score(Tensor logits, ReadOnlyMemory<int> ids, int count)
    {
        using var host = logits.cpu();
        using var dense = host.contiguous();
        int vocabulary = (int)dense.shape[1];
        var data = (float*)TorchShim.Data(dense);
        var results = new SampledToken[ids.Length];
        TorchShim.ParallelFor(0, ids.Length, 1, (begin, end) =>
        {
            for (long r = begin; r < end; r++)
                results[r] = Score(new ReadOnlySpan<float>(data + r * vocabulary, vocabulary), ids.Span[(int)r], count);
        });
        return results;
    }

    /// <summary>Chooses one token from the logits of one row.</summary>
    public static SampledToken SampleRow(ReadOnlySpan<float> logits, SamplingRow row)
    {
        using var scratch = new Scratch(logits.Length);
        var candidates = Edit(logits, row, scratch);
        int token = row.Params.Temperature < GreedyTemperature ? Greedy(candidates) : Draw(candidates, row, scratch);
        if (token < 0)
            return Nothing(logits);
        return row.Params.TopLogprobs is { } count
            ? Score(logits, token, count)
            : new SampledToken(token, float.NaN, 0, null);
    }

    /// <summary>
    /// Ids with a probability above 0 after all filters, ascending, and their probabilities. Empty when nothing is left.
    /// </summary>
    public static (int[] Ids, double[] Probabilities) Distribution(ReadOnlySpan<float> logits, SamplingRow row)
    {
        using var scratch = new Scratch(logits.Length);
        var edited = Edit(logits, row, scratch);
        if (row.Params.Temperature < GreedyTemperature)
            return Greedy(edited) is var best and >= 0 ? ([best], [1.0]) : ([], []);
        var weights = Filter(edited, row.Params, scratch);
        double total = Sum(weights);
        var kept = new List<int>();
        var probabilities = new List<double>();
        for (int id = 0; id < weights.Length; id++)
            if (weights[id] > 0)
            {
                kept.Add(id);
                probabilities.Add(weights[id] / total);
            }

        return ([.. kept], [.. probabilities]);
    }

    private static ReadOnlySpan<float> Edit(ReadOnlySpan<float> logits, SamplingRow row, Scratch scratch)
    {
        if (!LogitEdits.IsNeeded(row))
            return logits;
        LogitEdits.Apply(logits, row, scratch.Edited);
        return scratch.Edited;
    }

    /// <summary>Lowest id of the largest logit; -1 when none is finite or one is NaN.</summary>
    private static int Greedy(ReadOnlySpan<float> logits)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        return float.IsFinite(logits[best]) ? best : -1;
    }

    private static int Draw(ReadOnlySpan<float> logits, SamplingRow row, Scratch scratch)
    {
        var weights = Filter(logits, row.Params, scratch);
        if (weights.Length == 0)
            return -1;
        double target = Uniform(row.Params.Seed, row.Params.SampleIndex, row.Position) * Sum(weights), sum = 0;
        int last = -1;
        for (int id = 0; id < weights.Length; id++)
        {
            if (weights[id] == 0)
                continue;
            sum += weights[id];
            last = id;
            if (target < sum)
                break;
        }

        return last;
    }

    private static double Sum(ReadOnlySpan<float> weights)
    {
        double total = 0;
        foreach (float weight in weights)
            total += weight;
        return total;
    }

    /// <summary>
    /// Temperature, min_p, top_k, top_p: unnormalized weights, 0 for what is dropped; empty when nothing is left. Weights are
    /// exp(l / T - max), so min_p compares with the weight itself.
    /// </summary>
    private static Span<float> Filter(ReadOnlySpan<float> logits, SamplingParams parameters, Scratch scratch)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        if (!float.IsFinite(logits[best]))
            return [];
        var scaled = scratch.Scaled;
        TensorPrimitives.Divide(logits, parameters.Temperature, scaled);
        float max = scaled[best];
        var weights = scratch.Weights;
        TensorPrimitives.Subtract(scaled, max, weights);
        TensorPrimitives.Exp<float>(weights, weights);
        KeepUnderflowed(weights, scaled);
        if (parameters.MinP > 0)
            Drop(weights, scaled, parameters.MinP);
        if (parameters.TopK > 0 && parameters.TopK < logits.Length)
            KeepLargest(weights, scaled, parameters.TopK);
        if (parameters.TopP < 1)
            KeepMass(weights, scaled, parameters.TopP);
        return weights;
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

    /// <summary>A token's log-probability in the untouched distribution, its rank and the best alternatives.</summary>
    public static SampledToken Score(ReadOnlySpan<float> logits, int token, int count)
    {
        using var scratch = new Scratch(logits.Length);
        float max = TensorPrimitives.Max(logits);
        var weights = scratch.Weights;
        TensorPrimitives.Subtract(logits, max, weights);
        TensorPrimitives.Exp<float>(weights, weights);
        double normalizer = max + Math.Log(Sum(weights));
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

    private static SampledToken Nothing(ReadOnlySpan<float> logits)
    {
        bool isFault = false;
        foreach (float value in logits)
            isFault |= float.IsNaN(value) || float.IsPositiveInfinity(value);
        return new SampledToken(-1, float.NaN, 0, null, isFault
            ? "The model produced logits that are not numbers for this request. Send it again; if it fails again, try another --dtype, for example float32."
            : "No token is left to choose from: the request's masks exclude every token of the vocabulary.", isFault);
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

    /// <summary>A row's working memory, borrowed: rows are as long as the vocabulary.</summary>
    private sealed class Scratch(int length) : IDisposable
    {
        private float[]? _edited, _scaled, _weights;

        public Span<float> Edited => Borrow(ref _edited);

        public Span<float> Scaled => Borrow(ref _scaled);

        public Span<float> Weights => Borrow(ref _weights);

        public void Dispose()
        {
            foreach (var array in (ReadOnlySpan<float[]?>)[_edited, _scaled, _weights])
                if (array is not null)
                    ArrayPool<float>.Shared.Return(array);
        }

        private Span<float> Borrow(ref float[]? array) => (array ??= ArrayPool<float>.Shared.Rent(length)).AsSpan(0, length);
    }
}
