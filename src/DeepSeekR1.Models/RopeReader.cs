using System.Text.Json;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Models;

/// <summary>
/// The rotary part of config.json. Spellings: rope_scaling (old) or rope_parameters (new), type or rope_type, rope_theta at
/// the top or inside. Sources of the formulas: the YaRN paper (section 3.4), DeepSeek-V3's published code for mscale.
/// </summary>
internal sealed class RopeReader(JsonElement root, string source)
{
    private const double StandardTheta = 10000;

    /// <summary>Reads and validates.</summary>
    /// <param name="width">Rotated width.</param>
    /// <param name="positions">max_position_embeddings.</param>
    /// <param name="deepseek">DeepSeek-V3: interleaved pairs, and mscale_all_dim acts on the softmax scale.</param>
    public RopeConfig Read(int width, int positions, bool deepseek)
    {
        if (width % 2 != 0)
            throw new ModelLoadException($"{source}: the rotated head width is {width}; it must be even.");
        var scaling = Object("rope_parameters") ?? Object("rope_scaling");
        double theta = Positive(scaling, "rope_theta") ?? Positive(root, "rope_theta") ?? StandardTheta;
        bool interleaved = deepseek && (!root.TryGetProperty("rope_interleave", out var flag) || flag.ValueKind != JsonValueKind.False);
        if ((Number(scaling, "partial_rotary_factor") ?? Number(root, "partial_rotary_factor")) is { } part && part != 1)
            throw new ModelLoadException($"{source}: partial_rotary_factor is {part}; implemented is 1.");
        var plain = new RopeConfig { Theta = theta, Width = width, Interleaved = interleaved };
        if (scaling is not { } rules)
            return plain;
        return Kind(rules) switch
        {
            "default" or null => plain,
            "linear" => plain with { Kind = RopeKind.Linear, Factor = Factor(rules) },
            "yarn" => Yarn(plain, rules, positions, deepseek),
            "llama3" => plain with
            {
                Kind = RopeKind.Llama3,
                Factor = Factor(rules),
                LowFrequencyFactor = Needed(rules, "low_freq_factor"),
                HighFrequencyFactor = Needed(rules, "high_freq_factor"),
                OriginalContext = (int)Needed(rules, "original_max_position_embeddings"),
            },
            var other => throw new ModelLoadException($"{source}: rope_scaling type is {other}; implemented is default, linear, yarn or llama3."),
        };
    }

    private RopeConfig Yarn(RopeConfig plain, JsonElement rules, int positions, bool deepseek)
    {
        double factor = Factor(rules);
        double? mscale = Number(rules, "mscale"), allDim = Number(rules, "mscale_all_dim");
        double gain = mscale is > 0 && allDim is > 0 ? Gain(factor, mscale.Value) / Gain(factor, allDim.Value) : Gain(factor, 1);

        // attn_factor multiplies YaRN's own gain; attention_factor replaces it. Libraries that know only the latter scale
        // DeepSeek-R1-0528-Qwen3-8B by 1.1386 where its authors cancelled the gain to 1.
        double cosSin = Number(rules, "attention_factor") ?? gain * (Number(rules, "attn_factor") ?? 1);
        double softmax = deepseek && allDim is > 0 ? Math.Pow(Gain(factor, allDim.Value), 2) : 1;
        return plain with
        {
            Kind = RopeKind.Yarn,
            Factor = factor,
            OriginalContext = (int)(Positive(rules, "original_max_position_embeddings") ?? positions),
            BetaFast = Number(rules, "beta_fast") ?? 32,
            BetaSlow = Number(rules, "beta_slow") ?? 1,
            CosSinFactor = cosSin,
            SoftmaxFactor = softmax,
        };
    }

    /// <summary>YaRN's attention gain: 0.1 m ln(factor) + 1.</summary>
    private static double Gain(double factor, double mscale) => factor <= 1 ? 1 : 0.1 * mscale * Math.Log(factor) + 1;

    private double Factor(JsonElement rules)
    {
        double factor = Needed(rules, "factor");
        return factor >= 1 ? factor : throw new ModelLoadException($"{source}: rope_scaling.factor is {factor}; it must be at least 1.");
    }

    private double Needed(JsonElement rules, string name)
        => Positive(rules, name) ?? throw new ModelLoadException($"{source}: rope_scaling has no '{name}', which its type needs.");

    private string? Kind(JsonElement rules)
    {
        if (!rules.TryGetProperty("rope_type", out var kind) && !rules.TryGetProperty("type", out kind))
            return null;
        return kind.ValueKind == JsonValueKind.String ? kind.GetString() : throw new ModelLoadException($"{source}: rope_scaling type is {kind}; it must be a text.");
    }

    private JsonElement? Object(string name)
    {
        if (!root.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.Object ? value : throw new ModelLoadException($"{source}: {name} is {value}; it must be an object.");
    }

    private double? Positive(JsonElement? owner, string name)
    {
        var number = Number(owner, name);
        return number is null or > 0 ? number : throw new ModelLoadException($"{source}: {name} is {number}; it must be above 0.");
    }

    private double? Number(JsonElement? owner, string name)
    {
        if (owner is not { } element || !element.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.Number
            ? value.GetDouble()
            : throw new ModelLoadException($"{source}: {name} is {value}; it must be a number.");
    }
}
