using System.Buffers;
using System.Numerics.Tensors;
using Tensor = TorchSharp.torch.Tensor;

namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>
/// Logits to tokens: the reference, on the host. Rows are independent and run in parallel; a row's result depends on its own logits,
/// settings and position only, so neighbours never change it. Order of operations as in vLLM's sampler: <see cref="LogitEdits"/>,
/// temperature, min_p, top_k, top_p, draw.
/// Log-probabilities are those of the untouched logits. Runs on the rank thread; one device-to-host copy per step.
/// </summary>
internal static unsafe class Sampler
{
    /// <summary>Below this temperature the best token is taken.</summary>
    private const float GreedyTemperature = 1e-5f;

    /// <summary>Chooses one token per row.</summary>
    /// <param name="logits">[R, vocabulary] float32 on any device.</param>
    /// <param name="batch">R descriptions.</param>
    /// <exception cref="ArgumentException">They do not fit the logits.</exception>
    public static SampledToken[] Sample(Tensor logits, SamplingBatch batch)
    {
        using var host = logits.cpu();
        using var dense = host.contiguous();
        int vocabulary = (int)dense.shape[1];
        batch.Check((int)dense.shape[0], vocabulary);
        var data = (float*)TorchShim.Data(dense);
        var results = new SampledToken[batch.Count];
        TorchShim.ParallelFor(0, batch.Count, 1, (begin, end) =>
        {
            for (long r = begin; r < end; r++)
                results[r] = SampleRow(new ReadOnlySpan<float>(data + r * vocabulary, vocabulary), batch[(int)r]);
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
        var edited = Edit(logits, row, scratch);
        int token = row.Settings.Temperature < GreedyTemperature ? Greedy(edited) : Draw(edited, row);
        if (token < 0)
            return new SampledToken(-1, Fault: FaultOf(logits));
        return row.Settings.TopLogprobs is { } count ? Score(logits, token, count) : new SampledToken(token);
    }

    /// <summary>
    /// Ids with a probability above 0 after all filters, ascending, and their probabilities. Empty when nothing is left.
    /// </summary>
    public static (int[] Ids, double[] Probabilities) Distribution(ReadOnlySpan<float> logits, SamplingRow row)
    {
        using var scratch = new Scratch(logits.Length);
        var edited = Edit(logits, row, scratch);
        if (row.Settings.Temperature < GreedyTemperature)
            return Greedy(edited) is var best and >= 0 ? ([best], [1.0]) : ([], []);
        using var candidates = new Candidates(edited, row.Settings);
        var ids = candidates.Ids;
        var weights = candidates.Weights;
        double total = LogitScan.Sum(weights);
        var kept = new List<int>();
        var probabilities = new List<double>();
        for (int i = 0; i < ids.Length; i++)
            if (weights[i] > 0)
            {
                kept.Add(ids[i]);
                probabilities.Add(weights[i] / total);
            }

        return ([.. kept], [.. probabilities]);
    }

    private static ReadOnlySpan<float> Edit(ReadOnlySpan<float> logits, SamplingRow row, Scratch scratch)
    {
        if (!row.IsEdited)
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

    private static int Draw(ReadOnlySpan<float> logits, SamplingRow row)
    {
        using var candidates = new Candidates(logits, row.Settings);
        return candidates.At(Uniform(row.Settings.Seed, row.Settings.SampleIndex, row.Position));
    }

    /// <summary>A token's log-probability in the untouched distribution, its rank and the best alternatives.</summary>
    public static SampledToken Score(ReadOnlySpan<float> logits, int token, int count)
    {
        float max = TensorPrimitives.Max(logits);
        double normalizer = max + Math.Log(LogitScan.SumExp(logits, max));
        int rank = LogitScan.CountAtLeast(logits, logits[token]);
        int[] top = count > 0 ? LogitScan.Largest(logits, count) : [];
        var logprobs = new float[top.Length];
        for (int i = 0; i < top.Length; i++)
            logprobs[i] = (float)(logits[top[i]] - normalizer);
        return new SampledToken(token, (float)(logits[token] - normalizer), rank, top, logprobs);
    }

    private static SampleFault FaultOf(ReadOnlySpan<float> logits)
    {
        foreach (float value in logits)
            if (float.IsNaN(value) || float.IsPositiveInfinity(value))
                return SampleFault.NotNumbers;
        return SampleFault.NothingLeft;
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

    /// <summary>A row's edited logits in borrowed memory: rows are as long as the vocabulary.</summary>
    private sealed class Scratch(int length) : IDisposable
    {
        private float[]? _edited;

        public Span<float> Edited => (_edited ??= ArrayPool<float>.Shared.Rent(length)).AsSpan(0, length);

        public void Dispose()
        {
            if (_edited is not null)
                ArrayPool<float>.Shared.Return(_edited);
        }
    }
}
