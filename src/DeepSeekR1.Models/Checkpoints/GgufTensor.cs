namespace DeepSeekR1.Models.Checkpoints;

/// <summary>One entry of a GGUF tensor table. Immutable; holds no data, only where the data lies.</summary>
/// <param name="Name">Name in the file, for example <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Type">How the elements are stored.</param>
/// <param name="Shape">Row-major shape: the innermost dimension last (the file stores it first).</param>
/// <param name="Offset">Position of the first byte, counted from the start of the file, in bytes.</param>
/// <param name="ByteLength">Number of bytes; the whole range lies inside the file.</param>
public sealed record GgufTensor(string Name, GgmlType Type, IReadOnlyList<long> Shape, long Offset, long ByteLength)
{
    /// <summary>Product of <see cref="Shape"/>.</summary>
    public long NumElements { get; } = Shape.Aggregate(1L, (product, size) => product * size);
}

/// <summary>Storage types of ggml by their number in the file (ggml.h, <c>enum ggml_type</c>). Gaps are types that were removed.</summary>
public enum GgmlType
{
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q8_1 = 9,
    Q2_K = 10,
    Q3_K = 11,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    Q8_K = 15,
    IQ2_XXS = 16,
    IQ2_XS = 17,
    IQ3_XXS = 18,
    IQ1_S = 19,
    IQ4_NL = 20,
    IQ3_S = 21,
    IQ2_S = 22,
    IQ4_XS = 23,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    IQ1_M = 29,
    BF16 = 30,
    TQ1_0 = 34,
    TQ2_0 = 35,
    MXFP4 = 39,
    NVFP4 = 40,
    Q1_0 = 41,
}

/// <summary>Sizes of <see cref="GgmlType"/>: a row is a whole number of blocks.</summary>
public static class GgmlTypes
{
    private const int SuperBlock = 256;

    // (elements, bytes) per block, from the block structs of ggml-common.h.
    private static readonly Dictionary<GgmlType, (int Size, int Bytes)> Blocks = new()
    {
        [GgmlType.F32] = (1, 4),
        [GgmlType.F16] = (1, 2),
        [GgmlType.BF16] = (1, 2),
        [GgmlType.F64] = (1, 8),
        [GgmlType.I8] = (1, 1),
        [GgmlType.I16] = (1, 2),
        [GgmlType.I32] = (1, 4),
        [GgmlType.I64] = (1, 8),
        [GgmlType.Q4_0] = (32, 2 + 16),
        [GgmlType.Q4_1] = (32, 2 + 2 + 16),
        [GgmlType.Q5_0] = (32, 2 + 4 + 16),
        [GgmlType.Q5_1] = (32, 2 + 2 + 4 + 16),
        [GgmlType.Q8_0] = (32, 2 + 32),
        [GgmlType.Q8_1] = (32, 2 + 2 + 32),
        [GgmlType.Q2_K] = (SuperBlock, 2 + 2 + 16 + 64),
        [GgmlType.Q3_K] = (SuperBlock, 2 + 12 + 32 + 64),
        [GgmlType.Q4_K] = (SuperBlock, 2 + 2 + 12 + 128),
        [GgmlType.Q5_K] = (SuperBlock, 2 + 2 + 12 + 32 + 128),
        [GgmlType.Q6_K] = (SuperBlock, 2 + 16 + 64 + 128),
        [GgmlType.Q8_K] = (SuperBlock, 4 + 256 + 32),
        [GgmlType.IQ2_XXS] = (SuperBlock, 2 + 64),
        [GgmlType.IQ2_XS] = (SuperBlock, 2 + 64 + 8),
        [GgmlType.IQ2_S] = (SuperBlock, 2 + 64 + 8 + 8),
        [GgmlType.IQ3_XXS] = (SuperBlock, 2 + 96),
        [GgmlType.IQ3_S] = (SuperBlock, 2 + 64 + 8 + 32 + 4),
        [GgmlType.IQ1_S] = (SuperBlock, 2 + 32 + 16),
        [GgmlType.IQ1_M] = (SuperBlock, 32 + 16 + 8),
        [GgmlType.IQ4_NL] = (32, 2 + 16),
        [GgmlType.IQ4_XS] = (SuperBlock, 2 + 2 + 4 + 128),
        [GgmlType.TQ1_0] = (SuperBlock, 48 + 4 + 2),
        [GgmlType.TQ2_0] = (SuperBlock, 64 + 2),
        [GgmlType.MXFP4] = (32, 1 + 16),
        [GgmlType.NVFP4] = (64, 4 + 32),
        [GgmlType.Q1_0] = (128, 2 + 16),
    };

    /// <summary>True for the types of the enumeration; false for removed and future numbers.</summary>
    public static bool IsKnown(GgmlType type) => Blocks.ContainsKey(type);

    /// <summary>Elements per block; 1 for plain numbers.</summary>
    public static int BlockSize(this GgmlType type) => Blocks[type].Size;

    /// <summary>Bytes per block.</summary>
    public static int BytesPerBlock(this GgmlType type) => Blocks[type].Bytes;
}
