using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>Decoding of ggml's row formats to float32 (ggml-quants). Blocks of 32 values: scale, maybe a minimum, codes.</summary>
internal static unsafe class GgmlBlocks
{
    private const int BlockValues = 32;

    /// <summary>Whether <see cref="DecodeRow"/> knows the type.</summary>
    public static bool CanDecode(GgmlType type) => type is GgmlType.F32 or GgmlType.F16 or GgmlType.BF16 or GgmlType.Q4_0 or GgmlType.Q4_1 or GgmlType.Q8_0;

    /// <summary>Decodes one row of <paramref name="count"/> values.</summary>
    public static void DecodeRow(GgmlType type, byte* source, float* target, long count)
    {
        switch (type)
        {
            case GgmlType.F32:
                Buffer.MemoryCopy(source, target, count * sizeof(float), count * sizeof(float));
                break;
            case GgmlType.F16:
                for (long i = 0; i < count; i++)
                    target[i] = (float)ReadHalf(source + 2 * i);
                break;
            case GgmlType.BF16:
                for (long i = 0; i < count; i++)
                    target[i] = BitConverter.Int32BitsToSingle((source[2 * i] | source[2 * i + 1] << 8) << 16);
                break;
            case GgmlType.Q8_0:
                for (long i = 0; i < count; i += BlockValues, source += 34, target += BlockValues)
                    DecodeQ8(source, target);
                break;
            case GgmlType.Q4_0:
                for (long i = 0; i < count; i += BlockValues, source += 18, target += BlockValues)
                    DecodeQ4(source + 2, target, (float)ReadHalf(source), -8 * (float)ReadHalf(source));
                break;
            case GgmlType.Q4_1:
                for (long i = 0; i < count; i += BlockValues, source += 20, target += BlockValues)
                    DecodeQ4(source + 4, target, (float)ReadHalf(source), (float)ReadHalf(source + 2));
                break;
            default:
                throw new ModelLoadException($"GGUF tensor type {type} cannot be decoded; known are F32, F16, BF16, Q4_0, Q4_1 and Q8_0.");
        }
    }

    private static void DecodeQ8(byte* block, float* target)
    {
        float scale = (float)ReadHalf(block);
        var codes = (sbyte*)(block + 2);
        for (int i = 0; i < BlockValues; i++)
            target[i] = codes[i] * scale;
    }

    /// <summary>Low nibbles are the first 16 values, high nibbles the last 16.</summary>
    private static void DecodeQ4(byte* codes, float* target, float scale, float minimum)
    {
        for (int i = 0; i < BlockValues / 2; i++)
        {
            target[i] = (codes[i] & 15) * scale + minimum;
            target[i + BlockValues / 2] = (codes[i] >> 4) * scale + minimum;
        }
    }

    private static Half ReadHalf(byte* at) => BitConverter.UInt16BitsToHalf((ushort)(at[0] | at[1] << 8));
}
