using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>Tensors that true_shape/README.md defines by a seed: value i is a hash of i, so gigabytes need no file.</summary>
internal static unsafe class HashTensor
{
    /// <summary>u in [-1, 1) of element i.</summary>
    public static float Unit(ulong seed, long i)
    {
        ulong z = (seed << 40) + (ulong)i + 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        z ^= z >> 31;
        return (z >> 40) * (1f / (1 << 23)) - 1;
    }

    /// <summary>A fresh float32 tensor; rounded to bfloat16 and back when <paramref name="round"/> is set.</summary>
    public static Tensor Make(int seed, double amplitude, double offset, bool round, params long[] shape)
    {
        var result = empty(shape, ScalarType.Float32);
        var target = (float*)TorchShim.Data(result);
        long count = result.numel();
        float scale = (float)amplitude, shift = (float)offset;
        for (long i = 0; i < count; i++)
        {
            float value = Unit((ulong)seed, i) * scale + shift;
            target[i] = round ? ToBFloat16(value) : value;
        }

        return result;
    }

    /// <summary>A matrix [outputs, inputs] in bfloat16's values, of the spread that keeps activations at 1.</summary>
    public static Tensor Matrix(int seed, long outputs, long inputs, double gain = 1) => Make(seed, gain * Math.Sqrt(3.0 / inputs), 0, true, outputs, inputs);

    private static float ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000);
    }
}
