using System.Numerics.Tensors;
using System.Runtime.Intrinsics;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>
/// Rows of float32 or bfloat16 memory in float32 arithmetic. Lanes: 16 floats at a time, then one by one; the scalar loop is the
/// meaning of the vector one up to the order of summation.
/// </summary>
internal static unsafe class CpuMath
{
    private const int Lanes = 16;

    /// <summary>A bfloat16 is the upper half of a float32.</summary>
    public static float Widen(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    /// <summary>Round to nearest, ties to even; NaN stays NaN.</summary>
    public static ushort Narrow(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>16 numbers rounded to bfloat16. Not for NaN.</summary>
    public static Vector256<ushort> Narrow16(Vector512<float> values)
    {
        var bits = values.AsUInt32();
        var odd = Vector512.ShiftRightLogical(bits, 16) & Vector512<uint>.One;
        var rounded = Vector512.ShiftRightLogical(bits + Vector512.Create(0x7FFFu) + odd, 16);
        return Vector256.Narrow(rounded.GetLower(), rounded.GetUpper());
    }

    /// <summary>16 bfloat16 values as floats.</summary>
    public static Vector512<float> Widen16(ushort* at)
        => Vector512.ShiftLeft(Vector512.Create(Vector256.WidenLower(Vector256.Load(at)), Vector256.WidenUpper(Vector256.Load(at))), 16).AsSingle();

    /// <summary>Copies a row to floats.</summary>
    public static void Load(float* source, Span<float> target) => new ReadOnlySpan<float>(source, target.Length).CopyTo(target);

    /// <summary>Widens a row to floats.</summary>
    public static void Load(ushort* source, Span<float> target)
    {
        int i = 0;
        fixed (float* to = target)
            for (; i + Lanes <= target.Length; i += Lanes)
                Widen16(source + i).Store(to + i);
        for (; i < target.Length; i++)
            target[i] = Widen(source[i]);
    }

    /// <summary>Copies floats to a row.</summary>
    public static void Store(ReadOnlySpan<float> source, float* target) => source.CopyTo(new Span<float>(target, source.Length));

    /// <summary>Rounds floats to a row.</summary>
    public static void Store(ReadOnlySpan<float> source, ushort* target)
    {
        for (int i = 0; i < source.Length; i++)
            target[i] = Narrow(source[i]);
    }

    /// <summary>Sum of a[i] * b[i].</summary>
    public static float Dot(float* a, float* b, int count)
    {
        var (first, second) = (Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i + 2 * Lanes <= count; i += 2 * Lanes)
        {
            first = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), first);
            second = Vector512.FusedMultiplyAdd(Vector512.Load(a + i + Lanes), Vector512.Load(b + i + Lanes), second);
        }

        for (; i + Lanes <= count; i += Lanes)
            first = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), first);
        float sum = Vector512.Sum(first + second);
        for (; i < count; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>Sum of a[i] * b[i] with b in bfloat16.</summary>
    public static float Dot(float* a, ushort* b, int count)
    {
        var (first, second) = (Vector512<float>.Zero, Vector512<float>.Zero);
        int i = 0;
        for (; i + 2 * Lanes <= count; i += 2 * Lanes)
        {
            first = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Widen16(b + i), first);
            second = Vector512.FusedMultiplyAdd(Vector512.Load(a + i + Lanes), Widen16(b + i + Lanes), second);
        }

        for (; i + Lanes <= count; i += Lanes)
            first = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Widen16(b + i), first);
        float sum = Vector512.Sum(first + second);
        for (; i < count; i++)
            sum += a[i] * Widen(b[i]);
        return sum;
    }

    /// <summary>target[i] += factor * x[i].</summary>
    public static void AddScaled(float* target, float factor, float* x, int count)
    {
        var wide = Vector512.Create(factor);
        int i = 0;
        for (; i + Lanes <= count; i += Lanes)
            Vector512.FusedMultiplyAdd(wide, Vector512.Load(x + i), Vector512.Load(target + i)).Store(target + i);
        for (; i < count; i++)
            target[i] += factor * x[i];
    }

    /// <summary>target[i] += factor * x[i] with x in bfloat16.</summary>
    public static void AddScaled(float* target, float factor, ushort* x, int count)
    {
        var wide = Vector512.Create(factor);
        int i = 0;
        for (; i + Lanes <= count; i += Lanes)
            Vector512.FusedMultiplyAdd(wide, Widen16(x + i), Vector512.Load(target + i)).Store(target + i);
        for (; i < count; i++)
            target[i] += factor * Widen(x[i]);
    }

    /// <summary>Softmax in place: exp(x - max) / sum.</summary>
    public static void Softmax(Span<float> x)
    {
        TensorPrimitives.Subtract(x, TensorPrimitives.Max<float>(x), x);
        TensorPrimitives.Exp<float>(x, x);
        TensorPrimitives.Multiply(x, 1 / TensorPrimitives.Sum<float>(x), x);
    }
}
