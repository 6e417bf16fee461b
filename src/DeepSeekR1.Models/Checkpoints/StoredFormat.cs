using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>One tensor of a checkpoint: what is wanted, or what will be written.</summary>
/// <param name="Name">Hub name.</param>
/// <param name="Shape">Dimensions.</param>
/// <param name="Types">Types that it may have; the first is written.</param>
public sealed record TensorLayout(string Name, long[] Shape, IReadOnlyList<DType> Types);

/// <summary>
/// How a quantized matrix lies in a checkpoint: which tensors it takes, and how it is read and written. One format per published
/// layout.
/// </summary>
public abstract class StoredFormat
{
    /// <summary>Types that a tensor of numbers may have.</summary>
    public static readonly IReadOnlyList<DType> FloatTypes = [DType.Float32, DType.BFloat16, DType.Float16, DType.Float64];

    /// <summary>The format in which the checkpoint holds a declared matrix; null when it is dense, or missing.</summary>
    public static StoredFormat? Of(Checkpoint checkpoint, WeightSpec spec, ModelConfig config)
    {
        if (spec.Shape.Length != 2 || !checkpoint.Tensors.TryGetValue(spec.Name, out var stored))
            return null;
        return stored.Type switch
        {
            DType.Float8E4M3 when config.Fp8Block is { } block => new StoredFp8(block),
            DType.Int8 when config.QuantizationMethod == "int8" => new StoredInt8(config.OutlierThreshold),
            DType.UInt8 when config.QuantizationMethod == "nf4" => new StoredNf4(checkpoint.Tensors.ContainsKey(spec.Name + StoredNf4.NestedSuffix)),
            DType.UInt8 when config.QuantizationMethod == "int4" => new StoredInt4(config.QuantizationGroup),
            _ => null,
        };
    }

    /// <summary>Every tensor that the matrix takes.</summary>
    /// <param name="name">Hub name of the matrix.</param>
    /// <param name="shape">Its dimensions [N, K].</param>
    public abstract IReadOnlyList<TensorLayout> Tensors(string name, long[] shape);

    /// <summary>Reads the slice that the declaration asks for; the caller owns it.</summary>
    /// <exception cref="ModelLoadException">The data are no numbers. The message does not name the tensor.</exception>
    public virtual QuantizedTensor Read(Checkpoint checkpoint, WeightSpec spec)
    {
        var whole = ReadWhole(checkpoint, spec);
        var slice = spec.Slice;
        if (slice == TensorSlice.Whole(spec.Shape))
            return whole;
        using (whole)
            return whole.Slice(slice.Row, slice.Rows, slice.Column, slice.Columns);
    }

    /// <summary>Rounds a dense matrix and yields its tensors in the order of <see cref="Tensors"/>, in the caller's scope.</summary>
    public abstract IReadOnlyList<Tensor> Write(Tensor weight);

    /// <summary>quantization_config for config.json.</summary>
    public abstract Dictionary<string, object> Config();

    /// <summary>Reads the whole matrix.</summary>
    protected abstract QuantizedTensor ReadWhole(Checkpoint checkpoint, WeightSpec spec);

    /// <summary>The name without ".weight".</summary>
    protected static string Layer(string name) => name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : name;

    /// <summary>A copy that no mapping is behind.</summary>
    protected static Tensor Own(Checkpoint checkpoint, string name)
    {
        using var read = checkpoint.Read(name);
        return read.clone();
    }
}

/// <summary>
/// Block FP8 of DeepSeek-V3: <c>X.weight</c> in e4m3 and <c>X.weight_scale_inv</c> with one float per block, in whichever shard.
/// </summary>
/// <param name="block">quantization_config.weight_block_size.</param>
internal sealed class StoredFp8((int Rows, int Columns) block) : StoredFormat
{
    private const string ScaleSuffix = "_scale_inv";

    /// <inheritdoc/>
    public override IReadOnlyList<TensorLayout> Tensors(string name, long[] shape) =>
    [
        new(name, shape, [DType.Float8E4M3]),
        new(name + ScaleSuffix, [(shape[0] + block.Rows - 1) / block.Rows, (shape[1] + block.Columns - 1) / block.Columns], FloatTypes),
    ];

    /// <summary>Reads no more than the slice, and the scales of every block that it touches.</summary>
    public override QuantizedTensor Read(Checkpoint checkpoint, WeightSpec spec)
    {
        var slice = spec.Slice;
        long firstRow = slice.Row / block.Rows, lastRow = (slice.Row + slice.Rows - 1) / block.Rows;
        long firstColumn = slice.Column / block.Columns, lastColumn = (slice.Column + slice.Columns - 1) / block.Columns;
        using var codes = checkpoint.Read(spec.Name, slice);
        using var scales = checkpoint.Read(
            spec.Name + ScaleSuffix, new TensorSlice(firstRow, lastRow - firstRow + 1, firstColumn, lastColumn - firstColumn + 1));

        // Copies: what was read may be a view of the file.
        var ownCodes = empty(codes.shape, ScalarType.Byte);
        using (var bytes = TorchShim.ViewAs(codes, DType.UInt8))
            ownCodes.copy_(bytes);
        return new Fp8Tensor(
            ownCodes, scales.to(ScalarType.Float32, copy: true).contiguous(), block, (int)(slice.Row % block.Rows), (int)(slice.Column % block.Columns));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Write(Tensor weight)
    {
        var (codes, scales) = Fp8Codes.Quantize(weight, block);
        return [codes, scales];
    }

    /// <inheritdoc/>
    public override Dictionary<string, object> Config() => new()
    {
        ["quant_method"] = "fp8",
        ["fmt"] = "e4m3",
        ["activation_scheme"] = "dynamic",
        ["weight_block_size"] = new[] { block.Rows, block.Columns },
    };

    /// <inheritdoc/>
    protected override QuantizedTensor ReadWhole(Checkpoint checkpoint, WeightSpec spec) => Read(checkpoint, spec);
}

/// <summary>LLM.int8() as bitsandbytes saves it: <c>X.weight</c> in int8 and <c>X.SCB</c>, the largest magnitude of every row.</summary>
/// <param name="outlierThreshold">llm_int8_threshold.</param>
internal sealed class StoredInt8(float outlierThreshold) : StoredFormat
{
    /// <inheritdoc/>
    public override IReadOnlyList<TensorLayout> Tensors(string name, long[] shape) =>
        [new(name, shape, [DType.Int8]), new(Layer(name) + ".SCB", [shape[0]], FloatTypes)];

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Write(Tensor weight)
    {
        using var quantized = Int8Tensor.Quantize(weight);
        return [quantized.Codes.clone(), quantized.Scales * Scalars.Of(127L)];
    }

    /// <inheritdoc/>
    public override Dictionary<string, object> Config() => new()
    {
        ["quant_method"] = "bitsandbytes",
        ["load_in_8bit"] = true,
        ["load_in_4bit"] = false,
        ["llm_int8_threshold"] = outlierThreshold,
    };

    /// <inheritdoc/>
    protected override QuantizedTensor ReadWhole(Checkpoint checkpoint, WeightSpec spec)
    {
        using var absmax = checkpoint.Read(Layer(spec.Name) + ".SCB");
        using var wide = absmax.to(ScalarType.Float32);
        return new Int8Tensor(Own(checkpoint, spec.Name).contiguous(), wide / Scalars.Of(127L), outlierThreshold);
    }
}

/// <summary>
/// nf4 as bitsandbytes saves it: <c>X.weight</c> packed bytes [n / 2, 1] of the flattened matrix, first number in the high half, and beside
/// it absmax (float, or bytes of a double quantization with its tables), the code's table and a JSON text with the rest.
/// </summary>
/// <param name="nested">Whether the largest magnitudes are quantized too.</param>
internal sealed class StoredNf4(bool nested) : StoredFormat
{
    /// <summary>Ends the name of a tensor that only double quantization has.</summary>
    public const string NestedSuffix = ".nested_absmax";

    /// <summary>Ends the name of the tensor that holds the JSON text; its length is free.</summary>
    public const string StateSuffix = ".quant_state.bitsandbytes__nf4";
    private const int Run = 64, NestedRun = 256, StateBytes = 192;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorLayout> Tensors(string name, long[] shape)
    {
        long count = shape[0] * shape[1], runs = (count + Run - 1) / Run;
        var tensors = new List<TensorLayout>
        {
            new(name, [(count + 1) / 2, 1], [DType.UInt8]),
            new(name + ".absmax", [runs], nested ? [DType.UInt8] : FloatTypes),
            new(name + ".quant_map", [16], FloatTypes),
        };
        if (nested)
        {
            tensors.Add(new(name + NestedSuffix, [(runs + NestedRun - 1) / NestedRun], FloatTypes));
            tensors.Add(new(name + ".nested_quant_map", [NestedRun], FloatTypes));
        }

        // The text's length is the file's; this one is what we write.
        tensors.Add(new(name + StateSuffix, [StateBytes], [DType.UInt8]));
        return tensors;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Write(Tensor weight)
    {
        var (codes, absmax) = FourBitTensor.RoundNf4(weight, Run);
        var packed = FourBitTensor.Pack(codes.reshape(1, -1)).reshape(-1, 1);
        var levels = tensor(FourBitTensor.Nf4Levels.ToArray());
        var state = new Dictionary<string, object> { ["quant_type"] = "nf4", ["blocksize"] = Run, ["dtype"] = "bfloat16", ["shape"] = weight.shape };
        if (!nested)
            return [packed, absmax, levels, Text(state)];
        var inner = NestedAbsmax.Encode(absmax);
        (state["nested_blocksize"], state["nested_dtype"], state["nested_offset"]) = (NestedRun, "float32", inner.Offset);
        return [packed, inner.Bytes, levels, inner.Absmax, inner.Code, Text(state)];
    }

    /// <inheritdoc/>
    public override Dictionary<string, object> Config() => new()
    {
        ["quant_method"] = "bitsandbytes",
        ["load_in_8bit"] = false,
        ["load_in_4bit"] = true,
        ["bnb_4bit_quant_type"] = "nf4",
        ["bnb_4bit_use_double_quant"] = nested,
        ["bnb_4bit_compute_dtype"] = "bfloat16",
        ["bnb_4bit_quant_storage"] = "uint8",
    };

    /// <inheritdoc/>
    protected override QuantizedTensor ReadWhole(Checkpoint checkpoint, WeightSpec spec)
    {
        using var scope = NewDisposeScope();
        using var state = ReadState(checkpoint, spec);
        int run = Int(state, "blocksize");
        long count = spec.Count;
        var codes = FourBitTensor.Unpack(checkpoint.Read(spec.Name).reshape(1, -1), count).view(spec.Shape);
        var absmax = checkpoint.Read(spec.Name + ".absmax");
        if (nested)
            absmax = NestedAbsmax.Decode(
                absmax, checkpoint.Read(spec.Name + NestedSuffix).to(ScalarType.Float32), checkpoint.Read(spec.Name + ".nested_quant_map").to(ScalarType.Float32),
                (float)Number(state, "nested_offset"));
        return FourBitTensor.Nf4(codes, absmax.to(ScalarType.Float32), run);
    }

    private static JsonDocument ReadState(Checkpoint checkpoint, WeightSpec spec)
    {
        JsonDocument? state = null;
        try
        {
            state = JsonDocument.Parse(checkpoint.Read(spec.Name + StateSuffix).data<byte>().ToArray());
            string type = state.RootElement.GetProperty("quant_type").GetString() ?? "";
            var shape = state.RootElement.GetProperty("shape").EnumerateArray().Select(e => e.GetInt64()).ToArray();
            if (type != "nf4")
                throw new ModelLoadException($"its quant_state says quant_type '{type}'; implemented is nf4.");
            if (!shape.SequenceEqual(spec.Shape))
                throw new ModelLoadException($"its quant_state says shape [{string.Join(", ", shape)}], wanted is [{string.Join(", ", spec.Shape)}].");
            if (Int(state, "blocksize") != Run)
                throw new ModelLoadException($"its quant_state says blocksize {Int(state, "blocksize")}; implemented is {Run}.");
            return state;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            state?.Dispose();
            throw new ModelLoadException($"its quant_state is not the JSON text of bitsandbytes: {e.Message}", e);
        }
    }

    private static int Int(JsonDocument state, string name) => (int)Number(state, name);

    private static double Number(JsonDocument state, string name) => state.RootElement.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number
        ? value.GetDouble()
        : throw new ModelLoadException($"its quant_state has no number '{name}'.");

    private static Tensor Text(Dictionary<string, object> state)
    {
        // Padded with blanks, which JSON allows, so that every matrix takes the same room.
        var bytes = new byte[StateBytes];
        Array.Fill(bytes, (byte)' ');
        JsonSerializer.SerializeToUtf8Bytes(state).CopyTo(bytes, 0);
        return tensor(bytes);
    }
}

/// <summary>
/// int4 with scale and zero point per group of a row; the layout is our own: <c>X.weight</c> packed bytes [N, ceil(K / 2)], first number in the
/// high half, <c>X.weight_scale</c> float32 and <c>X.weight_zero</c> bytes [N, groups].
/// </summary>
/// <param name="group">quantization_config.group_size.</param>
internal sealed class StoredInt4(int group) : StoredFormat
{
    /// <inheritdoc/>
    public override IReadOnlyList<TensorLayout> Tensors(string name, long[] shape)
    {
        long groups = (shape[1] + group - 1) / group;
        return
        [
            new(name, [shape[0], (shape[1] + 1) / 2], [DType.UInt8]),
            new(name + "_scale", [shape[0], groups], FloatTypes),
            new(name + "_zero", [shape[0], groups], [DType.UInt8]),
        ];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Write(Tensor weight)
    {
        var (codes, scales, zeros) = FourBitTensor.RoundInt4(weight, group);
        return [FourBitTensor.Pack(codes), scales, zeros];
    }

    /// <inheritdoc/>
    public override Dictionary<string, object> Config() => new() { ["quant_method"] = "deepseek-r1-int4", ["bits"] = 4, ["group_size"] = group, ["zero_point"] = true };

    /// <inheritdoc/>
    protected override QuantizedTensor ReadWhole(Checkpoint checkpoint, WeightSpec spec)
    {
        using var scope = NewDisposeScope();
        var codes = FourBitTensor.Unpack(checkpoint.Read(spec.Name), spec.Shape[1]);
        return FourBitTensor.Int4(codes, checkpoint.Read(spec.Name + "_scale").to(ScalarType.Float32), checkpoint.Read(spec.Name + "_zero"), group);
    }
}
