using static TorchSharp.torch;

namespace DeepSeekR1.Compute;

/// <summary>Element types of stored tensors. Ours, because TorchSharp names no FP8.</summary>
public enum DType
{
    /// <summary>One byte, 0 or 1.</summary>
    Bool,

    /// <summary>Unsigned 8-bit integer.</summary>
    UInt8,

    /// <summary>Signed 8-bit integer.</summary>
    Int8,

    /// <summary>8-bit float, 5 exponent and 2 mantissa bits.</summary>
    Float8E5M2,

    /// <summary>8-bit float, 4 exponent and 3 mantissa bits, no infinities (OCP e4m3fn).</summary>
    Float8E4M3,

    /// <summary>8-bit power of two: exponent only.</summary>
    Float8E8M0,

    /// <summary>Signed 16-bit integer.</summary>
    Int16,

    /// <summary>Unsigned 16-bit integer.</summary>
    UInt16,

    /// <summary>IEEE half.</summary>
    Float16,

    /// <summary>bfloat16.</summary>
    BFloat16,

    /// <summary>Signed 32-bit integer.</summary>
    Int32,

    /// <summary>Unsigned 32-bit integer.</summary>
    UInt32,

    /// <summary>IEEE single.</summary>
    Float32,

    /// <summary>IEEE double.</summary>
    Float64,

    /// <summary>Signed 64-bit integer.</summary>
    Int64,

    /// <summary>Unsigned 64-bit integer.</summary>
    UInt64,
}

/// <summary>Sizes and names of element types.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Bytes(this DType type) => type switch
    {
        DType.Bool or DType.UInt8 or DType.Int8 or DType.Float8E5M2 or DType.Float8E4M3 or DType.Float8E8M0 => 1,
        DType.Int16 or DType.UInt16 or DType.Float16 or DType.BFloat16 => 2,
        DType.Int32 or DType.UInt32 or DType.Float32 => 4,
        _ => 8,
    };

    /// <summary>
    /// The libtorch code of the type. FP8 has codes that TorchSharp's enum does not name (c10/core/ScalarType.h).
    /// </summary>
    public static ScalarType ToScalarType(this DType type) => type switch
    {
        DType.Bool => ScalarType.Bool,
        DType.UInt8 => ScalarType.Byte,
        DType.Int8 => ScalarType.Int8,
        DType.Float8E5M2 => (ScalarType)23,
        DType.Float8E4M3 => (ScalarType)24,
        DType.UInt16 => (ScalarType)27,
        DType.UInt32 => (ScalarType)28,
        DType.UInt64 => (ScalarType)29,
        DType.Float8E8M0 => (ScalarType)44,
        DType.Int16 => ScalarType.Int16,
        DType.Float16 => ScalarType.Float16,
        DType.BFloat16 => ScalarType.BFloat16,
        DType.Int32 => ScalarType.Int32,
        DType.Float32 => ScalarType.Float32,
        DType.Float64 => ScalarType.Float64,
        DType.Int64 => ScalarType.Int64,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "no libtorch type"),
    };

    /// <summary>Name as the command line and config.json write it.</summary>
    public static string Name(this DType type) => type.ToString().ToLowerInvariant();

    /// <summary>Compute type by name (float32, bfloat16, float16 and their short forms); null when the name is another.</summary>
    public static DType? ParseComputeType(string? name) => name?.ToLowerInvariant() switch
    {
        "float32" or "float" or "fp32" => DType.Float32,
        "bfloat16" or "bf16" => DType.BFloat16,
        "float16" or "half" or "fp16" => DType.Float16,
        _ => null,
    };
}
