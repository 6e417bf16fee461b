using DeepSeekR1.Engine.Options;

namespace DeepSeekR1.Evaluation;

/// <summary>What the user asked of an evaluation.</summary>
public sealed record EvalOptions
{
    /// <summary>Checkpoint, or the model's name at a server.</summary>
    public string? Model { get; init; }

    /// <summary>Server to ask; null loads the model into this process.</summary>
    public Uri? BaseUrl { get; init; }

    /// <summary>Key of that server; null takes the environment's.</summary>
    public string? ApiKey { get; init; }

    /// <summary>File or folder of the problems; null takes the environment's.</summary>
    public string? Data { get; init; }

    /// <summary>Only the first problems; null takes all.</summary>
    public int? Limit { get; init; }

    /// <summary>Samples, seed, sampling and concurrency; the model's name and kind are added when it is known.</summary>
    public EvalSettings Settings { get; init; } = new() { Model = "" };

    /// <summary>Folder for samples and report; null derives one.</summary>
    public string? Output { get; init; }
}

/// <summary>The options of an evaluation, each declared once.</summary>
public static class EvalOptionList
{
    /// <summary>All of them.</summary>
    public static OptionList<EvalOptions> All { get; } = new(
        new EvalOptions(),
        Of("model", OptionType.Text("MODEL"), "Checkpoint folder or .gguf file; with base-url the model's name there", o => o.Model, (o, v) => o with { Model = v }),
        Of("base-url", OptionType.Address("URL"), "OpenAI-compatible server, for example http://127.0.0.1:8000/v1", o => o.BaseUrl, (o, v) => o with { BaseUrl = v }),
        Of("api-key", OptionType.Text("KEY"), "Key for the server (or OPENAI_API_KEY)", o => o.ApiKey, (o, v) => o with { ApiKey = v }),
        Of("data", OptionType.Text("PATH"), "JSONL file, or folder with TASK/test.jsonl (or DEEPSEEKR1_DATA)", o => o.Data, (o, v) => o with { Data = v }),
        Of("samples", OptionType.Integer(1), "Samples of each problem", o => o.Settings.Samples, (o, v) => With(o, s => s with { Samples = v })),
        Of("concurrency", OptionType.Integer(1), "Questions under way at once", o => o.Settings.Concurrency, (o, v) => With(o, s => s with { Concurrency = v })),
        Of("max-tokens", OptionType.Integer(1), "Most tokens of an answer, thought included", o => o.Settings.Sampling.MaxTokens, (o, v) => Sampling(o, s => s with { MaxTokens = v }), "32768 or what the context allows; a server decides itself"),
        Of("limit", OptionType.Integer(1), "Only the first N problems; of arithmetic N of each set", o => o.Limit, (o, v) => o with { Limit = v }, "all; of arithmetic 100"),
        Of("temperature", OptionType.Number(0, 2, placeholder: "T"), "Sampling temperature; 0 is greedy", o => o.Settings.Sampling.Temperature, (o, v) => Sampling(o, s => s with { Temperature = v })),
        Of("top-p", OptionType.Number(0, 1, above: true, placeholder: "P"), "Nucleus", o => o.Settings.Sampling.TopP, (o, v) => Sampling(o, s => s with { TopP = v })),
        Of("seed", OptionType.LongInteger(long.MinValue), "Seed of all samples", o => o.Settings.Seed, (o, v) => With(o, s => s with { Seed = v })),
        Of("output", OptionType.Text("FOLDER"), "Folder for samples and report", o => o.Output, (o, v) => o with { Output = v }, "eval/TASK-MODEL"));

    private static EvalOptions With(EvalOptions options, Func<EvalSettings, EvalSettings> change) => options with { Settings = change(options.Settings) };

    private static EvalOptions Sampling(EvalOptions options, Func<EvalSampling, EvalSampling> change) => With(options, s => s with { Sampling = change(s.Sampling) });

    private static Option<EvalOptions, T> Of<T>(
        string name, OptionType<T> type, string help, Func<EvalOptions, object?> get, Func<EvalOptions, T, EvalOptions> set, string? byDefault = null)
        => new(name, type, help, get, set) { DefaultInWords = byDefault };
}
