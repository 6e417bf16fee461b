using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace DeepSeekR1.Compute.Kernels.Sampling;

/// <summary>
/// Passes over a row of logits, 16 lanes at a time. Rows are as long as the vocabulary and there are many, so each pass reads the row
/// once and writes only what is wanted of it. Lanes behind the end of a row hold minus infinity, which no pass counts.
/// </summary>
internal static class LogitScan
{
    private const int Lanes = 16;

    /// <summary>Sum of exp(l - max), added up in double precision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double SumExp(ReadOnlySpan<float> logits, float max)
    {
        Vector512<double> low = default, high = default;
        for (int i = 0; i < logits.Length; i += Lanes)
            Add(VectorMath.Exp(Load(logits, i) - Vector512.Create(max)), ref low, ref high);
        return Vector512.Sum(low + high);
    }

    /// <summary>Sum of values in double precision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Sum(ReadOnlySpan<float> values)
    {
        Vector512<double> low = default, high = default;
        int i = 0;
        for (; i + Lanes <= values.Length; i += Lanes)
            Add(Load(values, i), ref low, ref high);
        double sum = Vector512.Sum(low + high);
        for (; i < values.Length; i++)
            sum += values[i];
        return sum;
    }

    /// <summary>How many logits are at least as large as a value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int CountAtLeast(ReadOnlySpan<float> logits, float value)
    {
        int count = 0;
        for (int i = 0; i < logits.Length; i += Lanes)
            count += (int)ulong.PopCount(Vector512.GreaterThanOrEqual(Load(logits, i), Vector512.Create(value)).ExtractMostSignificantBits());
        return count;
    }

    /// <summary>Ids of the largest logits, largest first and lower ids before equal ones.</summary>
    public static int[] Largest(ReadOnlySpan<float> logits, int count)
    {
        // Smallest logit first; of equal ones the larger id leaves first, so the order is always the same.
        var heap = new PriorityQueue<int, (float Logit, int Order)>(count + 1);
        int id = 0;
        for (; id < logits.Length && heap.Count < count; id++)
            heap.Enqueue(id, (logits[id], -id));
        while (id < logits.Length)
        {
            heap.TryPeek(out _, out var worst);
            id = FirstAbove(logits, id, worst.Logit);
            if (id < logits.Length)
                heap.DequeueEnqueue(id, (logits[id], -id));
            id++;
        }

        var largest = new int[heap.Count];
        for (int i = largest.Length - 1; i >= 0; i--)
            largest[i] = heap.Dequeue();
        return largest;
    }

    /// <summary>The k-th largest of l / T, by a heap of the k best.</summary>
    public static float KthLargest(ReadOnlySpan<float> logits, float temperature, int k)
    {
        if (k > 4096)
        {
            var sorted = logits.ToArray();
            Array.Sort(sorted);
            return sorted[^k] / temperature;
        }

        // Division by the temperature keeps the order, so the k-th largest logit gives the k-th largest quotient.
        return logits[Largest(logits, k)[^1]] / temperature;
    }

    /// <summary>
    /// Gathers ids, ascending, and weights exp(l / T - max) of the tokens whose l / T and weight are large enough; a finite logit has at
    /// least the smallest weight there is, because 0 means dropped.
    /// </summary>
    /// <param name="logits">The row [V].</param>
    /// <param name="temperature">T.</param>
    /// <param name="max">Largest l / T.</param>
    /// <param name="leastScaled">Smallest l / T that stays.</param>
    /// <param name="leastWeight">Smallest weight that stays.</param>
    /// <param name="ids">Receives the ids; V long.</param>
    /// <param name="weights">Receives the weights; V long.</param>
    /// <returns>How many they are, and the sum of the weights that were left out.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (int Count, double Left) Gather(
        ReadOnlySpan<float> logits, float temperature, float max, float leastScaled, float leastWeight, Span<int> ids, Span<float> weights)
    {
        Vector512<double> low = default, high = default;
        var (divisor, shift, least) = (Vector512.Create(temperature), Vector512.Create(max), Vector512.Create(Math.Max(leastWeight, float.Epsilon)));
        var (scaledFloor, nothing, epsilon) = (Vector512.Create(leastScaled), Vector512.Create(float.NegativeInfinity), Vector512.Create(float.Epsilon));
        int count = 0;
        for (int i = 0; i < logits.Length; i += Lanes)
        {
            var scaled = Load(logits, i) / divisor;
            var weight = VectorMath.Exp(scaled - shift);
            weight = Vector512.ConditionalSelect(Vector512.GreaterThan(scaled, nothing), Vector512.Max(weight, epsilon), Vector512<float>.Zero);
            var kept = Vector512.GreaterThanOrEqual(scaled, scaledFloor) & Vector512.GreaterThanOrEqual(weight, least);
            ulong lanes = kept.ExtractMostSignificantBits();
            Add(Vector512.AndNot(weight, kept), ref low, ref high);
            if (lanes == 0xFFFF)
            {
                (Vector512<int>.Indices + Vector512.Create(i)).CopyTo(ids[count..]);
                weight.CopyTo(weights[count..]);
                count += Lanes;
                continue;
            }

            for (; lanes != 0; lanes &= lanes - 1)
            {
                int lane = (int)ulong.TrailingZeroCount(lanes);
                ids[count] = i + lane;
                weights[count++] = weight[lane];
            }
        }

        return (count, Vector512.Sum(low + high));
    }

    /// <summary>Index of the first value above a limit, at or after a place; the length when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int FirstAbove(ReadOnlySpan<float> values, int start, float limit)
    {
        for (int i = start; i < values.Length; i += Lanes)
        {
            ulong above = Vector512.GreaterThan(Load(values, i), Vector512.Create(limit)).ExtractMostSignificantBits();
            if (above != 0)
                return i + (int)ulong.TrailingZeroCount(above);
        }

        return values.Length;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector512<float> values, ref Vector512<double> low, ref Vector512<double> high)
    {
        var (lower, upper) = Vector512.Widen(values);
        low += lower;
        high += upper;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load(ReadOnlySpan<float> values, int start)
        => start + Lanes <= values.Length ? Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(values), (nuint)start) : LoadEnd(values[start..]);

    private static Vector512<float> LoadEnd(ReadOnlySpan<float> values)
    {
        Span<float> last = stackalloc float[Lanes];
        last.Fill(float.NegativeInfinity);
        values.CopyTo(last);
        return Vector512.Create<float>(last);
    }
}
