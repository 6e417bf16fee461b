using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>
/// The two matrix products of a tile of attention: four rows at once, whose sums stay in registers. All are float32; widths are padded by
/// the caller, so there are no remainders and no masks.
/// </summary>
internal static unsafe class TileProducts
{
    /// <summary>scores [rows, 64] = q [rows, D] times keys [D, 64]; rows is a multiple of 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scores(float* q, float* keys, float* scores, int rows, int width)
    {
        for (int r = 0; r < rows; r += TiledAttention.RowBlock)
        {
            float* a = q + (long)r * width, b = a + width, c = b + width, e = c + width, k = keys;
            Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
            Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, e0 = default, e1 = default, e2 = default, e3 = default;
            for (int d = 0; d < width; d++, k += TiledAttention.KeyTile)
            {
                Vector512<float> k0 = Vector512.Load(k), k1 = Vector512.Load(k + 16), k2 = Vector512.Load(k + 32), k3 = Vector512.Load(k + 48);
                Vector512<float> x = Vector512.Create(a[d]), y = Vector512.Create(b[d]), z = Vector512.Create(c[d]), w = Vector512.Create(e[d]);
                a0 = Vector512.FusedMultiplyAdd(x, k0, a0);
                a1 = Vector512.FusedMultiplyAdd(x, k1, a1);
                a2 = Vector512.FusedMultiplyAdd(x, k2, a2);
                a3 = Vector512.FusedMultiplyAdd(x, k3, a3);
                b0 = Vector512.FusedMultiplyAdd(y, k0, b0);
                b1 = Vector512.FusedMultiplyAdd(y, k1, b1);
                b2 = Vector512.FusedMultiplyAdd(y, k2, b2);
                b3 = Vector512.FusedMultiplyAdd(y, k3, b3);
                c0 = Vector512.FusedMultiplyAdd(z, k0, c0);
                c1 = Vector512.FusedMultiplyAdd(z, k1, c1);
                c2 = Vector512.FusedMultiplyAdd(z, k2, c2);
                c3 = Vector512.FusedMultiplyAdd(z, k3, c3);
                e0 = Vector512.FusedMultiplyAdd(w, k0, e0);
                e1 = Vector512.FusedMultiplyAdd(w, k1, e1);
                e2 = Vector512.FusedMultiplyAdd(w, k2, e2);
                e3 = Vector512.FusedMultiplyAdd(w, k3, e3);
            }

            Store(scores + (long)r * TiledAttention.KeyTile, a0, a1, a2, a3);
            Store(scores + (long)(r + 1) * TiledAttention.KeyTile, b0, b1, b2, b3);
            Store(scores + (long)(r + 2) * TiledAttention.KeyTile, c0, c1, c2, c3);
            Store(scores + (long)(r + 3) * TiledAttention.KeyTile, e0, e1, e2, e3);
        }
    }

    /// <summary>mixed [rows, E] = decay * mixed + weights [rows, 64] times values [64, E]; E is a multiple of 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Mix(float* weights, float* values, float* mixed, float* decay, int rows, int stride)
    {
        for (int r = 0; r < rows; r += TiledAttention.RowBlock)
            for (int column = 0; column < stride; column += 2 * TiledAttention.Lanes)
            {
                // The last column of an odd number of vectors is computed twice with the same result.
                int second = column + TiledAttention.Lanes < stride ? TiledAttention.Lanes : 0;
                float* to = mixed + (long)r * stride + column, v = values + column, p = weights + (long)r * TiledAttention.KeyTile;
                var (a0, a1) = Decayed(to, second, decay[r]);
                var (b0, b1) = Decayed(to + stride, second, decay[r + 1]);
                var (c0, c1) = Decayed(to + 2 * stride, second, decay[r + 2]);
                var (e0, e1) = Decayed(to + 3 * stride, second, decay[r + 3]);
                for (int j = 0; j < TiledAttention.KeyTile; j++, v += stride)
                {
                    Vector512<float> v0 = Vector512.Load(v), v1 = Vector512.Load(v + second);
                    Vector512<float> x = Vector512.Create(p[j]), y = Vector512.Create(p[TiledAttention.KeyTile + j]);
                    Vector512<float> z = Vector512.Create(p[2 * TiledAttention.KeyTile + j]), w = Vector512.Create(p[3 * TiledAttention.KeyTile + j]);
                    a0 = Vector512.FusedMultiplyAdd(x, v0, a0);
                    a1 = Vector512.FusedMultiplyAdd(x, v1, a1);
                    b0 = Vector512.FusedMultiplyAdd(y, v0, b0);
                    b1 = Vector512.FusedMultiplyAdd(y, v1, b1);
                    c0 = Vector512.FusedMultiplyAdd(z, v0, c0);
                    c1 = Vector512.FusedMultiplyAdd(z, v1, c1);
                    e0 = Vector512.FusedMultiplyAdd(w, v0, e0);
                    e1 = Vector512.FusedMultiplyAdd(w, v1, e1);
                }

                Store(to, second, a0, a1);
                Store(to + stride, second, b0, b1);
                Store(to + 2 * stride, second, c0, c1);
                Store(to + 3 * stride, second, e0, e1);
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float>, Vector512<float>) Decayed(float* from, int second, float factor)
        => (Vector512.Load(from) * factor, Vector512.Load(from + second) * factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* to, int second, Vector512<float> x, Vector512<float> y)
    {
        x.Store(to);
        y.Store(to + second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* to, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        a.Store(to);
        b.Store(to + 16);
        c.Store(to + 32);
        d.Store(to + 48);
    }
}
