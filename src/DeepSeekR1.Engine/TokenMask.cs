using System.Buffers;

namespace DeepSeekR1.Engine;

/// <summary>Sets of token ids as bits: bit i % 32 of word i / 32 stands for id i. Ids outside the words are in no set and are ignored.</summary>
public static class TokenMask
{
    private const int WordBits = 32;

    /// <summary>Words of a mask over a vocabulary.</summary>
    public static int Words(int vocabulary) => (vocabulary + WordBits - 1) / WordBits;

    /// <summary>Whether an id is in the set.</summary>
    public static bool Allows(ReadOnlySpan<uint> bits, int id) => (uint)id / WordBits < (uint)bits.Length && (bits[id / WordBits] >> (id % WordBits) & 1) != 0;

    /// <summary>Takes an id out.</summary>
    public static void Forbid(Span<uint> bits, int id)
    {
        if ((uint)id / WordBits < (uint)bits.Length)
            bits[id / WordBits] &= ~(1u << (id % WordBits));
    }

    /// <summary>Leaves only ids that are in the list as well.</summary>
    public static void KeepOnly(Span<uint> bits, ReadOnlySpan<int> ids)
    {
        uint[] rented = ArrayPool<uint>.Shared.Rent(bits.Length);
        var kept = rented.AsSpan(0, bits.Length);
        kept.Clear();
        foreach (int id in ids)
            if ((uint)id / WordBits < (uint)kept.Length)
                kept[id / WordBits] |= 1u << (id % WordBits);
        KeepOnly(bits, kept);
        ArrayPool<uint>.Shared.Return(rented);
    }

    /// <summary>Leaves only ids that are in the other set as well; words that it lacks hold none.</summary>
    public static void KeepOnly(Span<uint> bits, ReadOnlySpan<uint> other)
    {
        for (int i = 0; i < bits.Length; i++)
            bits[i] &= i < other.Length ? other[i] : 0;
    }
}
