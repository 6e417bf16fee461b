using System.Text.Json;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training;

/// <summary>
/// Where the options of a run come from: a file or a built-in recipe, and single fields of it. The fields themselves are declared by
/// <see cref="TrainingOptions"/>, which validates them.
/// </summary>
public sealed record TrainingSource
{
    /// <summary>JSON file; null takes the recipe.</summary>
    public string? Config { get; init; }

    /// <summary>Name of a built-in recipe; null takes the file.</summary>
    public string? Recipe { get; init; }

    /// <summary>Fields that are set after that, in order; a value as it would stand in JSON or as bare text.</summary>
    public IReadOnlyList<(string Field, string Value)> Fields { get; init; } = [];

    /// <summary>With one more field.</summary>
    public TrainingSource With(string field, string value) => this with { Fields = [.. Fields, (field, value)] };
}

/// <summary>What the user asked of the check of held-out sets.</summary>
public sealed record TrainingCheckOptions
{
    /// <summary>Problems of each set.</summary>
    public int Count { get; init; } = 500;

    /// <summary>Seed of the problems.</summary>
    public long Seed { get; init; } = 2026;

    /// <summary>0 is greedy.</summary>
    public double Temperature { get; init; }

    /// <summary>Sets.</summary>
    public IReadOnlyList<string> Sets { get; init; } = [.. ArithmeticData.SplitNames];
}

/// <summary>What the user asked of the generator.</summary>
public sealed record TrainingDataOptions
{
    /// <summary>Lines to write.</summary>
    public int Count { get; init; } = 1000;

    /// <summary>Seed of the generator.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Number of the first dialogue.</summary>
    public long First { get; init; }

    /// <summary>Set of held-out problems; null writes dialogues.</summary>
    public string? HeldOut { get; init; }
}

/// <summary>The options of <c>train</c>, each declared once.</summary>
public static class TrainingFlags
{
    /// <summary>Options of every training.</summary>
    public static OptionList<TrainingSource> Grpo { get; } = new(
        new TrainingSource(),
        new Option<TrainingSource, string>("config", OptionType.Text("FILE"), "JSON file of options", o => o.Config, (o, v) => o with { Config = v }),
        new Option<TrainingSource, string>("recipe", OptionType.Text("NAME"), "Built-in options instead of a file: r1-tiny", o => o.Recipe, (o, v) => o with { Recipe = v }),
        new Option<TrainingSource, (string Field, string Value)>("set", Assignment(), "One option of the file, for example learning_rate=1e-3; may be repeated", _ => null, (o, v) => o.With(v.Field, v.Value)) { Repeatable = true },
        Field("model", OptionType.Text("DIR"), "model_name_or_path", "Checkpoint folder to start from"),
        Field("output", OptionType.Text("DIR"), "output_dir", "Folder for checkpoints, metrics and the result"));

    /// <summary>Options of supervised training.</summary>
    public static OptionList<TrainingSource> Sft { get; } = new(
        new TrainingSource(),
        [
            .. Grpo,
            Field("loss", OptionType.Text("ce|kd"), "loss", "ce learns the tokens, kd a teacher's distributions"),
            Field("teacher", OptionType.Text("DIR"), "teacher_model_name_or_path", "Checkpoint folder of the teacher for kd"),
            Field("beta", Finite("B"), "beta", "kd from KL(teacher|student), 0, to KL(student|teacher), 1"),
            Field("temperature", Finite("T"), "temperature", "Divides the logits of both models in kd"),
        ]);

    /// <summary>Options of the check.</summary>
    public static OptionList<TrainingCheckOptions> Check { get; } = new(
        new TrainingCheckOptions(),
        new Option<TrainingCheckOptions, int>("count", OptionType.Integer(1), "Problems of each set", o => o.Count, (o, v) => o with { Count = v }),
        new Option<TrainingCheckOptions, long>("seed", OptionType.LongInteger(long.MinValue), "Seed of the problems", o => o.Seed, (o, v) => o with { Seed = v }),
        new Option<TrainingCheckOptions, double>("temperature", OptionType.Number(0, double.PositiveInfinity, placeholder: "T"), "0 is greedy; else top-p is 0.95", o => o.Temperature, (o, v) => o with { Temperature = v }),
        new Option<TrainingCheckOptions, IReadOnlyList<string>>("sets", OptionType.List("LIST"), "Sets", o => o.Sets, (o, v) => o with { Sets = v }));

    /// <summary>Options of the generator.</summary>
    public static OptionList<TrainingDataOptions> Data { get; } = new(
        new TrainingDataOptions(),
        new Option<TrainingDataOptions, int>("count", OptionType.Integer(1), "Lines to write", o => o.Count, (o, v) => o with { Count = v }),
        new Option<TrainingDataOptions, long>("seed", OptionType.LongInteger(long.MinValue), "Seed of the generator", o => o.Seed, (o, v) => o with { Seed = v }),
        new Option<TrainingDataOptions, long>("first", OptionType.LongInteger(0), "Number of the first dialogue", o => o.First, (o, v) => o with { First = v }),
        new Option<TrainingDataOptions, string>("held-out", OptionType.Text("SET"), $"Write held-out problems of a set instead: {string.Join(", ", ArithmeticData.SplitNames)}", o => o.HeldOut, (o, v) => o with { HeldOut = v }));

    /// <summary>A flag that stands for one field of the file.</summary>
    private static Option<TrainingSource, T> Field<T>(string name, OptionType<T> type, string field, string help)
        => new(name, type, $"{help} ({field})", _ => null, (o, v) => o.With(field, JsonSerializer.Serialize(v)));

    /// <summary>A number; its range is the field's.</summary>
    private static OptionType<double> Finite(string placeholder)
        => OptionType.Number(double.MinValue, double.MaxValue, placeholder: placeholder, wanted: "a number") with { Span = "" };

    private static OptionType<(string Field, string Value)> Assignment()
    {
        static bool Parse(string text, out (string Field, string Value) value, out string? refusal)
        {
            int at = text.IndexOf('=', StringComparison.Ordinal);
            value = at > 0 ? (text[..at], text[(at + 1)..]) : default;
            refusal = at > 0 ? null : "{0} " + $"'{text}' is not FIELD=VALUE, for example learning_rate=1e-3.";
            return at > 0;
        }

        return new OptionType<(string Field, string Value)>("FIELD=VALUE", Parse, _ => true, "FIELD=VALUE", "FIELD=VALUE", "");
    }
}
