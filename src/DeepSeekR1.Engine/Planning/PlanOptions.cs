using DeepSeekR1.Engine.Options;

namespace DeepSeekR1.Engine.Planning;

/// <summary>What the user asked of the planner.</summary>
public sealed record PlanOptions
{
    /// <summary>Device of the catalogue; null takes this machine.</summary>
    public string? Gpu { get; init; }

    /// <summary>Number of devices; null takes the fewest that fit.</summary>
    public int? Gpus { get; init; }

    /// <summary>Longest sequence in tokens; null takes 32,768, or the model's when that is less.</summary>
    public int? Context { get; init; }

    /// <summary>Sequences of that length at once.</summary>
    public int Concurrency { get; init; } = 8;

    /// <summary>none or fp8; null takes the checkpoint's.</summary>
    public string? Quantization { get; init; }

    /// <summary>Compute type.</summary>
    public string DType { get; init; } = "bfloat16";

    /// <summary>File with further devices; null for none.</summary>
    public string? Catalogue { get; init; }

    /// <summary>Only show the devices.</summary>
    public bool ListGpus { get; init; }

    /// <summary>Write JSON.</summary>
    public bool Json { get; init; }
}

/// <summary>The options of the planner, each declared once.</summary>
public static class PlanOptionList
{
    /// <summary>Device.</summary>
    public static readonly Option<PlanOptions> Gpu = Of(
        "gpu", OptionType.Text("NAME"), "Device of the catalogue, for example H200", o => o.Gpu, (o, v) => o with { Gpu = v }, "this machine");

    /// <summary>Number of devices.</summary>
    public static readonly Option<PlanOptions> Gpus = Of(
        "gpus", OptionType.Integer(1, 1024), "Number of devices", o => o.Gpus, (o, v) => o with { Gpus = v }, "the fewest that fit, up to two nodes");

    /// <summary>Longest sequence.</summary>
    public static readonly Option<PlanOptions> Context = Of(
        "context", OptionType.Integer(1), "Longest sequence in tokens", o => o.Context, (o, v) => o with { Context = v }, "32768, or the model's when that is less");

    /// <summary>Sequences at once.</summary>
    public static readonly Option<PlanOptions> Concurrency = Of(
        "concurrency", OptionType.Integer(1), "Sequences of that length at once", o => o.Concurrency, (o, v) => o with { Concurrency = v });

    /// <summary>Format of the weights.</summary>
    public static readonly Option<PlanOptions> Quantization = Of(
        "quantization", OptionType.Choice("F", "none", "fp8"), "Format of the large matrices", o => o.Quantization, (o, v) => o with { Quantization = v }, "the checkpoint's");

    /// <summary>Compute type.</summary>
    public static readonly Option<PlanOptions> DType = Of(
        "dtype", OptionType.Choice("TYPE", "float32", "bfloat16", "float16") with { Wanted = "float32, bfloat16 or float16" }, "Compute type", o => o.DType, (o, v) => o with { DType = v });

    /// <summary>Further devices.</summary>
    public static readonly Option<PlanOptions> Catalogue = Of(
        "catalogue", OptionType.Text("FILE"), "JSON file with devices of your own", o => o.Catalogue, (o, v) => o with { Catalogue = v });

    /// <summary>Only the devices.</summary>
    public static readonly Option<PlanOptions> ListGpus = Of(
        "list-gpus", OptionType.Switch(), "Show the catalogue and stop", o => o.ListGpus, (o, v) => o with { ListGpus = v });

    /// <summary>For programs.</summary>
    public static readonly Option<PlanOptions> Json = Of(
        "json", OptionType.Switch(), "Print JSON for programs", o => o.Json, (o, v) => o with { Json = v });

    /// <summary>All of them.</summary>
    public static OptionList<PlanOptions> All { get; } = new(new PlanOptions(), Gpu, Gpus, Context, Concurrency, Quantization, DType, Catalogue, ListGpus, Json);

    private static Option<PlanOptions, T> Of<T>(
        string name, OptionType<T> type, string help, Func<PlanOptions, object?> get, Func<PlanOptions, T, PlanOptions> set, string? byDefault = null)
        => new(name, type, help, get, set) { DefaultInWords = byDefault };
}
