using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>Names of element types in safetensors headers.</summary>
internal static class SafetensorsTypes
{
    private static readonly Dictionary<string, DType> ByName = new()
    {
        ["BOOL"] = DType.Bool,
        ["U8"] = DType.UInt8,
        ["I8"] = DType.Int8,
        ["F8_E5M2"] = DType.Float8E5M2,
        ["F8_E4M3"] = DType.Float8E4M3,
        ["F8_E8M0"] = DType.Float8E8M0,
        ["I16"] = DType.Int16,
        ["U16"] = DType.UInt16,
        ["F16"] = DType.Float16,
        ["BF16"] = DType.BFloat16,
        ["I32"] = DType.Int32,
        ["U32"] = DType.UInt32,
        ["F32"] = DType.Float32,
        ["F64"] = DType.Float64,
        ["I64"] = DType.Int64,
        ["U64"] = DType.UInt64,
    };

    /// <summary>The type of a name; null when there is none.</summary>
    public static DType? Parse(string name) => ByName.TryGetValue(name, out var type) ? type : null;

    /// <summary>The name of a type.</summary>
    public static string Name(DType type) => ByName.First(pair => pair.Value == type).Key;
}
