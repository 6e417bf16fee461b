using System.Collections.Concurrent;
using TorchSharp;
using static TorchSharp.torch;

namespace DeepSeekR1.Compute;

/// <summary>
/// Numbers as TorchSharp wants them, alive for ever. A number that is converted on the fly is garbage as soon as its handle has been
/// read, and its finalizer may free the native value while libtorch still reads it: the call fails, or computes with another number. Even
/// tensor + tensor makes such a number (the factor 1). So tensor code uses these; there are as many as constants in the code and fields
/// in a configuration.
/// </summary>
public static class Scalars
{
    private static readonly ConcurrentDictionary<double, Scalar> Reals = new();
    private static readonly ConcurrentDictionary<long, Scalar> Integers = new();

    /// <summary>A real number.</summary>
    public static Scalar Of(double value) => Reals.GetOrAdd(value, static v => v.ToScalar());

    /// <summary>An integer: integer tensors stay integer.</summary>
    public static Scalar Of(long value) => Integers.GetOrAdd(value, static v => v.ToScalar());

    /// <summary>a + b of two tensors.</summary>
    public static Tensor Plus(this Tensor a, Tensor b) => a.add(b, Of(1L));

    /// <summary>a + b of a tensor and a number of this class: the operator would make the factor 1 on the fly.</summary>
    public static Tensor Plus(this Tensor a, Scalar b) => a.add(b, Of(1L));

    /// <summary>a += b of two tensors; returns a.</summary>
    public static Tensor PlusInPlace(this Tensor a, Tensor b) => a.add_(b, Of(1L));

    /// <summary>a - b of two tensors.</summary>
    public static Tensor Minus(this Tensor a, Tensor b) => a.add(b, Of(-1L));

    /// <summary>first, first + 1, ..., end - 1 as int64.</summary>
    public static Tensor Range(long first, long end, Device? device = null)
    {
        var values = new long[end - first];
        for (int i = 0; i < values.Length; i++)
            values[i] = first + i;
        return tensor(values, ScalarType.Int64, device);
    }
}
