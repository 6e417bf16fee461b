using System.Globalization;
using System.Text;
using System.Text.Json;

namespace DeepSeekR1.Evaluation;

/// <summary>The outcome of an evaluation with everything needed to repeat it; JSON and Markdown.</summary>
public sealed record EvalReport
{
    /// <summary>Version of this layout.</summary>
    public string Schema { get; init; } = "deepseekr1.eval/1";

    /// <summary>Name of the task.</summary>
    public required string Task { get; init; }

    /// <summary>SHA-256 of the data file.</summary>
    public required string DataHash { get; init; }

    /// <summary>The grader and how answers were found.</summary>
    public required string Grader { get; init; }

    /// <summary>Model, sampling, seed, type.</summary>
    public required EvalSettings Settings { get; init; }

    /// <summary>Equal for runs that may share samples.</summary>
    public required string Fingerprint { get; init; }

    /// <summary>All problems.</summary>
    public required EvalScore Score { get; init; }

    /// <summary>By category, where the data has some.</summary>
    public required IReadOnlyDictionary<string, EvalScore> Categories { get; init; }

    /// <summary>Share of correct samples of each problem: what compare reads.</summary>
    public required IReadOnlyDictionary<string, double> Problems { get; init; }

    /// <summary>Samples taken over from an earlier run.</summary>
    public required int Resumed { get; init; }

    /// <summary>Duration of this run.</summary>
    public required double Seconds { get; init; }

    /// <summary>Generated tokens per second in this run; null when everything was there already.</summary>
    public required double? TokensPerSecond { get; init; }

    internal static EvalReport Of(EvalTask task, EvalSettings settings, string fingerprint, IReadOnlyList<EvalSample> samples, int resumed, double seconds, double? speed) => new()
    {
        Task = task.Name,
        DataHash = task.DataHash,
        Grader = "MathGrader, lenient" + (task.LastNumberCounts ? ", else the last number" : ""),
        Settings = settings,
        Fingerprint = fingerprint,
        Score = EvalStatistics.Score(samples),
        Categories = samples.Where(s => s.Category is not null).GroupBy(s => s.Category!).OrderBy(g => g.Key, StringComparer.Ordinal)
            .ToDictionary(g => g.Key, g => EvalStatistics.Score([.. g])),
        Problems = samples.GroupBy(s => s.Id).ToDictionary(g => g.Key, g => g.Count(s => s.Correct) / (double)g.Count()),
        Resumed = resumed,
        Seconds = seconds,
        TokensPerSecond = speed,
    };

    /// <summary>This report as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, new JsonSerializerOptions(EvalRunner.Json) { WriteIndented = true });

    /// <summary>Reads a report.</summary>
    /// <exception cref="EvalException">It is none, or of another version.</exception>
    public static EvalReport Read(string file)
    {
        try
        {
            var report = JsonSerializer.Deserialize<EvalReport>(File.ReadAllText(file), EvalRunner.Json);
            return report is { Schema: "deepseekr1.eval/1" } ? report : throw new EvalException($"'{file}' has the schema '{report?.Schema}'; this version reads deepseekr1.eval/1.");
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            throw new EvalException($"'{file}' is not a report of eval: {e.Message}");
        }
    }

    /// <summary>This report as Markdown.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        var sampling = Settings.Sampling;
        text.Append(CultureInfo.InvariantCulture, $"# {Task}: {Settings.Model}\n\n");
        text.Append("| set | problems | samples | pass@1 | +- | cons | ");
        text.AppendJoin(" | ", Score.PassAtK.Keys.Where(k => k > 1).Select(k => $"pass@{k}")).Append(Score.PassAtK.Count > 1 ? " | " : "");
        text.Append("truncated | unparsed | tokens |\n|---").Append(string.Concat(Enumerable.Repeat("|---:", 8 + Score.PassAtK.Keys.Count(k => k > 1)))).Append("|\n");
        Row(text, "all", Score);
        foreach (var (name, score) in Categories)
            Row(text, name, score);
        text.Append(CultureInfo.InvariantCulture, $"\nTemperature {sampling.Temperature}, top-p {sampling.TopP}, {(sampling.MaxTokens is { } most ? $"at most {most} tokens" : "tokens as the context allows")}, seed {Settings.Seed}, type {Settings.DType ?? "of the server"}. ");
        text.Append(CultureInfo.InvariantCulture, $"Grader: {Grader}. Errors are standard errors over problems.\n");
        text.Append(CultureInfo.InvariantCulture, $"Model {Settings.ModelHash ?? "behind a server"}, data {DataHash[..16]}. {Seconds:0} s");
        text.Append(TokensPerSecond is { } speed ? string.Create(CultureInfo.InvariantCulture, $", {speed:0.0} tokens/s") : "").Append(Resumed > 0 ? $", {Resumed} samples taken over" : "").Append(".\n");
        return text.ToString();
    }

    private static void Row(StringBuilder text, string name, EvalScore score)
    {
        static string Percent(double? share) => share is { } value ? (100 * value).ToString("0.0", CultureInfo.InvariantCulture) : "";
        text.Append(CultureInfo.InvariantCulture, $"| {name} | {score.Problems} | {score.Samples} | {Percent(score.PassAt1)} | {Percent(score.StandardError)} | {Percent(score.Consensus)} | ");
        foreach (var (k, value) in score.PassAtK.Where(p => p.Key > 1))
            text.Append(CultureInfo.InvariantCulture, $"{Percent(value)} | ");
        text.Append(CultureInfo.InvariantCulture, $"{Percent(score.Truncated)} | {Percent(score.Unparsed)} | {score.MeanTokens:0.0} |\n");
    }
}
