using System.Text.RegularExpressions;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>What a load did.</summary>
/// <param name="Parameters">Elements of all declared tensors, each counted once.</param>
/// <param name="Bytes">Bytes that they take in memory on this rank, as they are kept: dense, packed or quantized.</param>
/// <param name="Formats">The same by format in memory, largest first.</param>
/// <param name="Ignored">Names in the checkpoint that were left out on purpose.</param>
public sealed record LoadReport(long Parameters, long Bytes, IReadOnlyList<FormatShare> Formats, IReadOnlyList<string> Ignored);

/// <summary>What a rank keeps in one format.</summary>
/// <param name="Format">fp8, ..., or the type of dense weights.</param>
/// <param name="Parameters">Numbers that it holds.</param>
/// <param name="Bytes">Memory that they take.</param>
/// <param name="IsQuantized">Codes and scales.</param>
/// <param name="IsPacked">A layout of the library's own.</param>
public sealed record FormatShare(string Format, long Parameters, long Bytes, bool IsQuantized, bool IsPacked);

/// <summary>How to load.</summary>
/// <param name="Dequantize">Decode quantized weights to the compute type instead of keeping them.</param>
/// <param name="Quantization">Format to round dense matrices to while they are loaded; null leaves them.</param>
public sealed record LoadOptions(bool Dequantize = false, string? Quantization = null);

/// <summary>
/// Fills a model from a checkpoint, strictly: every declared tensor must be there in its shape, and nothing else may be, known
/// leftovers apart. All faults are found before the first byte is read and reported in one exception. Reads only this rank's
/// slices; peak memory beyond the model is one fused weight.
/// </summary>
public static partial class WeightLoader
{
    private const int NamesInMessage = 20;

    /// <summary>
    /// Names that published checkpoints hold and no forward needs: rotary buffers of old exporters, and an output layer beside tied
    /// embeddings. The one list of them.
    /// </summary>
    [GeneratedRegex(@"^(model\.layers\.\d+\.self_attn\.|model\.)?rotary_emb\.inv_freq$|\.masked_bias$|\.attn\.bias$")]
    private static partial Regex Buffers();

    [GeneratedRegex(@"^model\.layers\.(\d+)\.")]
    private static partial Regex LayerNumber();

    /// <summary>Loads all weights.</summary>
    /// <exception cref="ModelLoadException">Names or shapes differ; the message lists all of them.</exception>
    public static LoadReport Load(
        CausalLm model, Checkpoint checkpoint, LoadOptions? options = null, Action<double>? progress = null, CancellationToken cancellation = default)
    {
        options ??= new LoadOptions();
        var formats = new Dictionary<string, StoredFormat?>();
        var ignored = CheckNames(model, checkpoint, formats);
        long total = Math.Max(1, model.Weights.Sum(s => s.Slice.Rows * s.Slice.Columns)), done = 0;
        foreach (var spec in model.Weights)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            if (!spec.IsElsewhere)
                Fill(spec, checkpoint, formats[spec.Name], options);
            done += spec.Slice.Rows * spec.Slice.Columns;
            progress?.Invoke((double)done / total);
        }

        var targets = model.Weights.Where(s => !s.IsElsewhere).Select(s => s.Target).Distinct().ToList();
        var byFormat = targets.GroupBy(t => t.Format)
            .Select(g => new FormatShare(g.Key, g.Sum(t => t.Elements), g.Sum(t => t.Bytes), g.First().IsQuantized, g.First().IsPacked))
            .OrderByDescending(share => share.Bytes).ToList();
        return new LoadReport(model.Weights.Sum(s => s.Count), byFormat.Sum(share => share.Bytes), byFormat, ignored);
    }

    private static void Fill(WeightSpec spec, Checkpoint checkpoint, StoredFormat? format, LoadOptions options)
    {
        if (format is null)
        {
            if (options.Quantization is { } wanted && spec.Target.Quantizable && spec.Shape.Length == 2)
                spec.Target.Fill(spec.TargetRow, Quantize(wanted, checkpoint, spec));
            else
                spec.Target.Fill(spec.TargetRow, checkpoint.Read(spec.Name, spec.Slice));
            return;
        }

        try
        {
            var part = format.Read(checkpoint, spec);
            if (spec.Target.KeepsQuantized && !options.Dequantize)
                spec.Target.Fill(spec.TargetRow, part);
            else
                using (part)
                    spec.Target.Fill(spec.TargetRow, part.Dequantize());
        }
        catch (ModelLoadException e)
        {
            throw new ModelLoadException($"'{checkpoint.Location}', tensor {spec.Name}: {e.Message}", e);
        }
    }

    /// <summary>The whole matrix decides on scales, so every number of ranks computes with the same ones.</summary>
    private static QuantizedTensor Quantize(string format, Checkpoint checkpoint, WeightSpec spec)
    {
        var slice = spec.Slice;
        using var dense = checkpoint.Read(spec.Name);
        var whole = QuantizedTensor.Quantize(format, dense);
        if (slice == TensorSlice.Whole(spec.Shape))
            return whole;
        using (whole)
            return whole.Slice(slice.Row, slice.Rows, slice.Column, slice.Columns);
    }

    /// <summary>Compares names and shapes. Returns the leftovers that are known and harmless.</summary>
    private static List<string> CheckNames(CausalLm model, Checkpoint checkpoint, Dictionary<string, StoredFormat?> formats)
    {
        var wanted = new HashSet<string>();
        List<string> missing = [], misshaped = [];
        foreach (var spec in model.Weights)
        {
            formats[spec.Name] = StoredFormat.Of(checkpoint, spec, model.Config);
            foreach (var (name, shape, types) in formats[spec.Name]?.Tensors(spec.Name, spec.Shape) ?? [new TensorLayout(spec.Name, spec.Shape, StoredFormat.FloatTypes)])
            {
                wanted.Add(name);
                if (!checkpoint.Tensors.TryGetValue(name, out var stored))
                    missing.Add(name);
                else if (!stored.Shape.SequenceEqual(shape) && !name.EndsWith(StoredNf4.StateSuffix, StringComparison.Ordinal))
                    misshaped.Add($"{name} is [{string.Join(", ", stored.Shape)}], wanted is [{string.Join(", ", shape)}]");
                else if (!types.Contains(stored.Type))
                    misshaped.Add(WrongType(stored, types));
            }
        }

        var extra = checkpoint.Tensors.Keys.Where(name => !wanted.Contains(name)).Order().ToList();
        var unexpected = extra.Where(name => !IsLeftover(name, model.Config)).ToList();
        if (missing.Count + unexpected.Count + misshaped.Count > 0)
            throw new ModelLoadException(
                $"'{checkpoint.Location}' does not fit {model.Config.Architecture} as its config.json describes it."
                + List("Missing", missing) + List("Unexpected", unexpected) + List("Of another shape or type", misshaped));
        return extra;
    }

    private static string WrongType(StoredTensor stored, IReadOnlyList<DType> types) => stored.Type == DType.Float8E4M3
        ? $"{stored.Name} is FP8, but config.json has no quantization_config with weight_block_size"
        : $"{stored.Name} is {stored.Type}, wanted is {(types == StoredFormat.FloatTypes ? "a float type" : string.Join(" or ", types))}";

    private static bool IsLeftover(string name, ModelConfig config)
    {
        // bitsandbytes notes the layout of its int8 matrices; there is only one.
        if (config.QuantizationMethod == "int8" && name.EndsWith(".weight_format", StringComparison.Ordinal))
            return true;
        if (Buffers().IsMatch(name) || (config.TieWordEmbeddings && name == Layers.Embedding.HeadName))
            return true;
        var layer = LayerNumber().Match(name);
        return layer.Success && int.TryParse(layer.Groups[1].ValueSpan, out int number)
            && number >= config.NumLayers && number < config.NumLayers + config.NumMtpLayers;
    }

    private static string List(string title, List<string> names) => names.Count == 0
        ? ""
        : $"\n  {title} ({names.Count}): {string.Join("; ", names.Take(NamesInMessage))}{(names.Count > NamesInMessage ? "; ..." : "")}";
}
