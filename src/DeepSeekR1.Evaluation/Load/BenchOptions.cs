using DeepSeekR1.Engine.Options;

namespace DeepSeekR1.Evaluation.Load;

/// <summary>What the user asked of a measurement.</summary>
public sealed record BenchOptions
{
    /// <summary>Formats to round to while loading; none keeps the checkpoint's.</summary>
    public IReadOnlyList<string> Formats { get; init; } = ["none"];

    /// <summary>Tokens of each prompt.</summary>
    public int PromptTokens { get; init; } = 256;

    /// <summary>Tokens that each stream generates.</summary>
    public int OutputTokens { get; init; } = 64;

    /// <summary>Streams at once.</summary>
    public int Streams { get; init; } = 1;

    /// <summary>Text file whose perplexity is measured.</summary>
    public string? Text { get; init; }
}

/// <summary>The options of measurements, each declared once.</summary>
public static class BenchOptionList
{
    /// <summary>Formats to compare.</summary>
    public static readonly Option<BenchOptions> Formats = Of(
        "formats", OptionType.List("LIST"), "Formats to round to while loading: none, fp8, int8, int4, nf4", o => o.Formats, (o, v) => o with { Formats = v });

    /// <summary>Text of the perplexity.</summary>
    public static readonly Option<BenchOptions> Text = Of(
        "text", OptionType.Text("FILE"), "UTF-8 text file; as much of it as fits one sequence is used", o => o.Text, (o, v) => o with { Text = v });

    /// <summary>Options of the measurement of speed.</summary>
    public static OptionList<BenchOptions> Decode { get; } = new(
        new BenchOptions(),
        Formats,
        Of("prompt-tokens", OptionType.Integer(1), "Tokens of each prompt", o => o.PromptTokens, (o, v) => o with { PromptTokens = v }),
        Of("output-tokens", OptionType.Integer(1), "Tokens that each stream generates", o => o.OutputTokens, (o, v) => o with { OutputTokens = v }),
        Of("streams", OptionType.Integer(1), "Streams at once", o => o.Streams, (o, v) => o with { Streams = v }));

    /// <summary>Options of the measurement of a text's perplexity.</summary>
    public static OptionList<BenchOptions> Perplexity { get; } = new(new BenchOptions(), Formats, Text);

    private static Option<BenchOptions, T> Of<T>(
        string name, OptionType<T> type, string help, Func<BenchOptions, object?> get, Func<BenchOptions, T, BenchOptions> set)
        => new(name, type, help, get, set);
}
