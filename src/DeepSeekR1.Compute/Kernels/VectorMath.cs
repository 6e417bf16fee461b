using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>Functions of 16 float32 lanes that attention and sampling share; each lane by itself, so there are no masks.</summary>
public static class VectorMath
{
    /// <summary>e^x for x up to 0, relative error below 2e-7; 0 below -87. Scalar equivalent: 2^n times a polynomial of x - n ln 2. NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        var n = Vector512.Round(x * 1.44269504f);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693145752f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-1.42860677e-6f), r);
        var p = Vector512.Create(1.98756915e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.39819995e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.33345194e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.16657962e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.66666655e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r + Vector512<float>.One);
        var power = Vector512.ShiftLeft(Vector512.ConvertToInt32(n) + Vector512.Create(127), 23).AsSingle();
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(-87f)), Vector512<float>.Zero, p * power);
    }
}
