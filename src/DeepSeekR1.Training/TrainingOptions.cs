using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using DeepSeekR1.Engine;
using DeepSeekR1.Training.Lora;
using DeepSeekR1.Training.Optimization;

namespace DeepSeekR1.Training;

/// <summary>What every kind of training has in common. Immutable; names in files are those below in snake_case, as in TRL where it has them.</summary>
public record TrainingOptions
{
    internal static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        WriteIndented = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>Checkpoint folder to start from: config.json, weights, tokenizer, chat template. Without weights in it, the model starts from random ones.</summary>
    public string ModelNameOrPath { get; init; } = "";

    /// <summary>Folder for checkpoints, metrics, report and the result.</summary>
    public string OutputDir { get; init; } = "";

    /// <summary>Optimizer steps of the whole run, at least 1.</summary>
    public long MaxSteps { get; init; } = 1000;

    /// <summary>Ends the run after so many minutes with a checkpoint from which it goes on; 0 for no limit.</summary>
    public double MaxMinutes { get; init; }

    /// <summary>Tokens of an optimizer step.</summary>
    public int TokensPerStep { get; init; } = 8192;

    /// <summary>Most tokens computed at once; a step of more is accumulated from several micro-batches.</summary>
    public int MicroBatchTokens { get; init; } = 8192;

    /// <summary>Peak learning rate.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>constant, linear or cosine.</summary>
    public string LrSchedulerType { get; init; } = "cosine";

    /// <summary>Steps of linear warm-up.</summary>
    public long WarmupSteps { get; init; }

    /// <summary>Share of the peak rate that is left at the end.</summary>
    public double MinLrRate { get; init; } = 0.1;

    /// <summary>AdamW's decay of weights.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>AdamW's decay of means.</summary>
    public double AdamBeta1 { get; init; } = 0.9;

    /// <summary>AdamW's decay of squares.</summary>
    public double AdamBeta2 { get; init; } = 0.95;

    /// <summary>AdamW's epsilon.</summary>
    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>Longest gradient; longer ones are shortened to it. 0 for no limit.</summary>
    public double MaxGradNorm { get; init; } = 1;

    /// <summary>float32, or bfloat16 with float32 masters.</summary>
    public string Dtype { get; init; } = "float32";

    /// <summary>Standard deviation of new matrices (initializer_range).</summary>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>Change of a router's bias per step; 0 leaves the biases alone.</summary>
    public double RouterBiasSpeed { get; init; }

    /// <summary>Share of the run after which router biases stay as they are (DeepSeek-V3 paper, section 4.2).</summary>
    public double RouterBiasUntil { get; init; } = 0.9;

    /// <summary>Weight of the sequence-wise balance of experts.</summary>
    public double BalanceWeight { get; init; }

    /// <summary>Keeps only the inputs of layers for the backward pass and computes the rest again: less memory, one more forward pass.</summary>
    public bool ActivationCheckpointing { get; init; }

    /// <summary>Rank of low-rank adapters, which are trained instead of the model's own weights; 0 trains the weights.</summary>
    public int LoraR { get; init; }

    /// <summary>Adapters are scaled by lora_alpha / lora_r; unset is twice lora_r.</summary>
    public double? LoraAlpha { get; init; }

    /// <summary>Linear layers that get adapters: names as in the checkpoint or regular expressions, one or a list; unset is "all-linear", all but the output layer.</summary>
    [JsonConverter(typeof(OneOrManyConverter))]
    public IReadOnlyList<string>? LoraTargetModules { get; init; }

    /// <summary>Seed of weights and data.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Threads of an operation; one thread makes runs repeatable bit by bit.</summary>
    public int NumThreads { get; init; } = 1;

    /// <summary>Steps between lines of metrics.</summary>
    public int LoggingSteps { get; init; } = 10;

    /// <summary>Steps between checkpoints; 0 for one at the end only.</summary>
    public int SaveSteps { get; init; }

    /// <summary>Checkpoints that are kept; 0 keeps all.</summary>
    public int SaveTotalLimit { get; init; } = 2;

    /// <summary>The learning rate's course.</summary>
    [JsonIgnore]
    public LearningRateSchedule Schedule => new()
    {
        Peak = LearningRate,
        Shape = LrSchedulerType,
        WarmupSteps = WarmupSteps,
        TotalSteps = MaxSteps,
        FinalShare = MinLrRate,
    };

    /// <summary>The optimizer's settings.</summary>
    [JsonIgnore]
    public AdamWOptions Optimizer => new() { Beta1 = AdamBeta1, Beta2 = AdamBeta2, Epsilon = AdamEpsilon, WeightDecay = WeightDecay };

    /// <summary>The adapters' settings; only with lora_r above 0.</summary>
    [JsonIgnore]
    public LoraOptions Lora => new(LoraR, LoraAlpha ?? 2 * LoraR, LoraTargetModules ?? [LoraAdapters.AllLinear]);

    /// <summary>Reads options from JSON text with overrides of single fields.</summary>
    /// <param name="json">An object.</param>
    /// <param name="overrides">Field and value, the value as it would stand in JSON or as bare text.</param>
    /// <exception cref="StartupException">The text is no JSON, a field is unknown, or a value does not fit.</exception>
    /// <param name="source">Where the text comes from, for messages.</param>
    public static T Parse<T>(string json, IReadOnlyList<(string Field, string Value)> overrides, string source = "the configuration")
        where T : TrainingOptions
    {
        try
        {
            var documentOptions = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false };
            var root = JsonNode.Parse(json, documentOptions: documentOptions) as JsonObject ?? throw new StartupException($"{source} is no object of fields, like {{\"max_steps\": 100}}.");
            foreach (var (field, value) in overrides)
                Set(root, field, value);
            OptionFields.Check(root, typeof(T), Format, source);
            var options = root.Deserialize<T>(Format)!;
            options.Check();
            return options;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new StartupException($"{source} is not a configuration: {e.Message}", e);
        }
    }

    /// <summary>The options as JSON, as they are written beside the result.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, GetType(), Format);

    /// <summary>Refuses values that make no sense.</summary>
    /// <exception cref="StartupException">Names the field, its value and what is allowed.</exception>
    public virtual void Check()
    {
        Require(ModelNameOrPath.Length > 0, "model_name_or_path", ModelNameOrPath, "a checkpoint folder");
        Require(OutputDir.Length > 0, "output_dir", OutputDir, "a folder");
        Require(MaxSteps >= 1, "max_steps", MaxSteps, "at least 1");
        Require(TokensPerStep >= 1, "tokens_per_step", TokensPerStep, "at least 1");
        Require(MaxMinutes >= 0, "max_minutes", MaxMinutes, "at least 0");
        Require(WarmupSteps >= 0, "warmup_steps", WarmupSteps, "at least 0");
        Require(MicroBatchTokens >= 1, "micro_batch_tokens", MicroBatchTokens, "at least 1");
        Require(LearningRate > 0 && double.IsFinite(LearningRate), "learning_rate", LearningRate, "a number above 0");
        Require(LrSchedulerType is "constant" or "linear" or "cosine", "lr_scheduler_type", LrSchedulerType, "constant, linear or cosine");
        Require(MinLrRate is >= 0 and <= 1, "min_lr_rate", MinLrRate, "0 to 1");
        Require(WeightDecay is >= 0 and < 1, "weight_decay", WeightDecay, "at least 0 and below 1");
        Require(AdamBeta1 is >= 0 and < 1, "adam_beta1", AdamBeta1, "at least 0 and below 1");
        Require(AdamBeta2 is >= 0 and < 1, "adam_beta2", AdamBeta2, "at least 0 and below 1");
        Require(AdamEpsilon > 0, "adam_epsilon", AdamEpsilon, "above 0");
        Require(InitializerRange >= 0 && double.IsFinite(InitializerRange), "initializer_range", InitializerRange, "a number of at least 0");
        Require(RouterBiasSpeed >= 0, "router_bias_speed", RouterBiasSpeed, "at least 0");
        Require(RouterBiasUntil is >= 0 and <= 1, "router_bias_until", RouterBiasUntil, "0 to 1");
        Require(BalanceWeight >= 0, "balance_weight", BalanceWeight, "at least 0");
        Require(MaxGradNorm >= 0, "max_grad_norm", MaxGradNorm, "at least 0");
        Require(Dtype is "float32" or "bfloat16", "dtype", Dtype, "float32 or bfloat16");
        Require(LoraR is >= 0 and <= 4096, "lora_r", LoraR, "0 to 4096");
        Require(LoraR > 0 || LoraAlpha is null, "lora_alpha", LoraAlpha ?? 0, "unset while lora_r is 0: there are no adapters");
        Require(LoraR > 0 || LoraTargetModules is null, "lora_target_modules", string.Join(", ", LoraTargetModules ?? []), "unset while lora_r is 0: there are no adapters");
        Require(LoraAlpha is null || (LoraAlpha > 0 && double.IsFinite(LoraAlpha.Value)), "lora_alpha", LoraAlpha ?? 0, "a number above 0");
        Require(LoraTargetModules is null or { Count: > 0 }, "lora_target_modules", "[]", "at least one name");
        Require(LoraR == 0 || RouterBiasSpeed == 0, "router_bias_speed", RouterBiasSpeed, "0 with adapters: the model's own weights stay as they are");
        Require(NumThreads is >= 1 and <= 1024, "num_threads", NumThreads, "1 to 1024");
        Require(LoggingSteps >= 1, "logging_steps", LoggingSteps, "at least 1");
        Require(SaveSteps >= 0, "save_steps", SaveSteps, "at least 0");
        Require(SaveTotalLimit >= 0, "save_total_limit", SaveTotalLimit, "at least 0");
    }

    /// <summary>Makes output_dir if it is not there.</summary>
    /// <exception cref="StartupException">It is a file, or cannot be written.</exception>
    internal void CreateOutput()
    {
        try
        {
            Directory.CreateDirectory(OutputDir);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new StartupException($"output_dir '{OutputDir}' cannot be made: {e.Message} Name a folder that may be written.", e);
        }
    }

    /// <summary>One check.</summary>
    protected internal static void Require(bool holds, string field, object value, string allowed)
    {
        if (!holds)
            throw new StartupException($"{field} is '{value}'; it must be {allowed}.");
    }

    private static void Set(JsonObject root, string field, string value)
    {
        var parts = field.Split('.');
        foreach (var part in parts[..^1])
            root = root[part] as JsonObject ?? (JsonObject)(root[part] = new JsonObject());
        JsonNode? node;
        try
        {
            node = JsonNode.Parse(value);
        }
        catch (JsonException)
        {
            node = JsonValue.Create(value);
        }

        root[parts[^1]] = node;
    }
}
