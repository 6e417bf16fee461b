using System.Text.RegularExpressions;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Quantization;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>What a load did.</summary>
/// <param name="Parameters">Elements of all declared tensors, each counted once.</param>
/// <param name="Bytes">Bytes that they take in memory in the compute type, on this rank.</param>
/// <param name="Ignored">Names in the checkpoint that were left out on purpose.</param>
public sealed record LoadReport(long Parameters, long Bytes, IReadOnlyList<string> Ignored);

/// <summary>
/// Fills a model from a checkpoint, strictly: every declared tensor must be there in its shape, and nothing else may be, known
/// leftovers apart. All faults are found before the first byte is read and reported in one exception. Reads only this rank's
/// slices; peak memory beyond the model is one fused weight.
/// </summary>
public static partial class WeightLoader
{
    private const string ScaleSuffix = "_scale_inv";
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
    public static LoadReport Load(CausalLm model, Checkpoint checkpoint, Action<double>? progress = null, CancellationToken cancellation = default)
    {
        var ignored = CheckNames(model, checkpoint);
        long total = Math.Max(1, model.Weights.Sum(s => s.Slice.Rows * s.Slice.Columns)), done = 0;
        foreach (var spec in model.Weights)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            spec.Target.Fill(spec.TargetRow, ReadDense(checkpoint, spec, model.Config));
            done += spec.Slice.Rows * spec.Slice.Columns;
            progress?.Invoke((double)done / total);
        }

        long bytes = model.Weights.Sum(s => s.Slice.Rows * s.Slice.Columns * (s.Target.Type == ScalarType.Float32 ? 4 : 2));
        return new LoadReport(model.Weights.Sum(s => s.Count), bytes, ignored);
    }

    private static Tensor ReadDense(Checkpoint checkpoint, WeightSpec spec, ModelConfig config)
    {
        var stored = checkpoint.Find(spec.Name);
        var part = checkpoint.Read(spec.Name, spec.Slice);
        return stored.Type == DType.Float8E4M3 ? Dequantize(checkpoint, spec, part, config.Fp8Block!.Value) : part;
    }

    /// <summary>Reads the scales of every block that the slice touches, from whichever shard holds them.</summary>
    private static Tensor Dequantize(Checkpoint checkpoint, WeightSpec spec, Tensor codes, (int Rows, int Columns) block)
    {
        var slice = spec.Slice;
        long firstRow = slice.Row / block.Rows, lastRow = (slice.Row + slice.Rows - 1) / block.Rows;
        long firstColumn = slice.Column / block.Columns, lastColumn = (slice.Column + slice.Columns - 1) / block.Columns;
        using var scales = checkpoint.Read(
            spec.Name + ScaleSuffix, new TensorSlice(firstRow, lastRow - firstRow + 1, firstColumn, lastColumn - firstColumn + 1));
        using var typed = scales.to(ScalarType.Float32);
        return Fp8Blocks.Dequantize(codes, typed, block, (int)(slice.Row % block.Rows), (int)(slice.Column % block.Columns));
    }

    /// <summary>Compares names and shapes. Returns the leftovers that are known and harmless.</summary>
    private static List<string> CheckNames(CausalLm model, Checkpoint checkpoint)
    {
        var wanted = new HashSet<string>();
        List<string> missing = [], misshaped = [];
        foreach (var spec in model.Weights)
        {
            wanted.Add(spec.Name);
            if (!checkpoint.Tensors.TryGetValue(spec.Name, out var stored))
                missing.Add(spec.Name);
            else if (!stored.Shape.SequenceEqual(spec.Shape))
                misshaped.Add($"{spec.Name} is [{string.Join(", ", stored.Shape)}], wanted is [{string.Join(", ", spec.Shape)}]");
            else
                CheckType(checkpoint, stored, model.Config, wanted, missing, misshaped);
        }

        var extra = checkpoint.Tensors.Keys.Where(name => !wanted.Contains(name)).Order().ToList();
        var unexpected = extra.Where(name => !IsLeftover(name, model.Config)).ToList();
        if (missing.Count + unexpected.Count + misshaped.Count > 0)
            throw new ModelLoadException(
                $"'{checkpoint.Location}' does not fit {model.Config.Architecture} as its config.json describes it."
                + List("Missing", missing) + List("Unexpected", unexpected) + List("Of another shape or type", misshaped));
        return extra;
    }

    private static void CheckType(
        Checkpoint checkpoint, StoredTensor stored, ModelConfig config, HashSet<string> wanted, List<string> missing, List<string> misshaped)
    {
        switch (stored.Type)
        {
            case DType.Float32 or DType.BFloat16 or DType.Float16 or DType.Float64:
                return;
            case DType.Float8E4M3 when stored.Shape.Length == 2 && config.Fp8Block is { } block:
                var name = stored.Name + ScaleSuffix;
                long[] shape = [(stored.Shape[0] + block.Rows - 1) / block.Rows, (stored.Shape[1] + block.Columns - 1) / block.Columns];
                wanted.Add(name);
                if (!checkpoint.Tensors.TryGetValue(name, out var scales))
                    missing.Add(name);
                else if (!scales.Shape.SequenceEqual(shape))
                    misshaped.Add($"{name} is [{string.Join(", ", scales.Shape)}], wanted is [{string.Join(", ", shape)}]");
                else if (scales.Type is not (DType.Float32 or DType.BFloat16 or DType.Float16 or DType.Float64))
                    misshaped.Add($"{name} is {scales.Type}, wanted is a float type");
                return;
            case DType.Float8E4M3:
                misshaped.Add($"{stored.Name} is FP8, but config.json has no quantization_config with weight_block_size");
                return;
            default:
                misshaped.Add($"{stored.Name} is {stored.Type}, wanted is a float type");
                return;
        }
    }

    private static bool IsLeftover(string name, ModelConfig config)
    {
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
