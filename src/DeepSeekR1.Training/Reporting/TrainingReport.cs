using System.Globalization;
using System.Text;
using System.Text.Json;

namespace DeepSeekR1.Training.Reporting;

/// <summary>A chart of the report: figures that share an axis.</summary>
/// <param name="Title">Text above the chart, with the unit.</param>
/// <param name="File">Name of its file without ending.</param>
/// <param name="Figures">Names in the metrics; a star stands for any text.</param>
public sealed record ReportChart(string Title, string File, params string[] Figures);

/// <summary>
/// <c>report.md</c> and its curves, made of the metrics file and of nothing that a run remembers, so a run that was stopped and went on has its whole
/// curve. A step that was logged twice, because the run was killed between a line and the next checkpoint, counts as it was logged last.
/// </summary>
public static class TrainingReport
{
    /// <summary>Name of the metrics' file in output_dir: an object a line, with step and figures.</summary>
    public const string MetricsFile = "metrics.jsonl";

    /// <summary>Name of the report in output_dir; its curves lie beside it in the folder <see cref="Folder"/>.</summary>
    public const string ReportFile = "report.md", Folder = "report";

    /// <summary>Charts of supervised training.</summary>
    public static IReadOnlyList<ReportChart> Sft { get; } =
    [
        new("Loss, nats a token", "loss", "loss"),
        new("Learning rate", "learning_rate", "learning_rate"),
        new("Length of the gradient", "grad_norm", "grad_norm"),
        new("Tokens per second", "tokens_per_second", "tokens_per_second"),
    ];

    /// <summary>Charts of reinforcement learning; the estimate of pass@1 is the share of correct samples.</summary>
    public static IReadOnlyList<ReportChart> Grpo { get; } =
    [
        new("Reward, mean", "reward", "reward"),
        new("Completion length, tokens", "completion_length", "completions/mean_length"),
        new("KL to the policy at the start, nats a token", "kl", "kl"),
        new("Clipped tokens, share", "clip_ratio", "clip_ratio/low_mean", "clip_ratio/high_mean", "cispo_clip_ratio"),
        new("Sampler against trainer, difference of log-probabilities", "sampler_gap", "sampling/sampling_logp_difference/mean", "sampling/sampling_logp_difference/max"),
        new("Evaluation, pass@1", "eval", "eval/*/sampled"),
    ];

    /// <summary>Writes the report of a run that ended or was stopped.</summary>
    /// <param name="options">Of the run; output_dir is where the metrics are and the report goes.</param>
    /// <param name="charts">What to draw; those without figures are named instead.</param>
    /// <param name="state">Where the run stands.</param>
    /// <returns>Path of the report.</returns>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static string Write(TrainingOptions options, IReadOnlyList<ReportChart> charts, TrainingState state)
    {
        var (figures, unreadable) = Read(Path.Combine(options.OutputDir, MetricsFile));
        var text = new StringBuilder();
        text.Append("# Training report\n\n").Append(Status(options, state)).Append('\n');
        if (unreadable > 0)
            text.Append(CultureInfo.InvariantCulture, $"\n{unreadable} line(s) of {MetricsFile} are not JSON and are left out, as when the process was killed while it wrote.\n");
        var drawn = charts.Select(c => (Chart: c, Curves: Curves(c, figures))).ToList();
        AppendNumbers(text, drawn.SelectMany(d => d.Curves));
        text.Append("\n## Curves\n");
        Directory.CreateDirectory(Path.Combine(options.OutputDir, Folder));
        foreach (var (chart, curves) in drawn)
        {
            string image = Path.Combine(options.OutputDir, Folder, chart.File + ".svg");
            if (curves.Count == 0)
            {
                // One of an earlier run would be taken for this one's.
                File.Delete(image);
                text.Append(CultureInfo.InvariantCulture, $"\n{chart.Title}: no figures in {MetricsFile}.\n");
                continue;
            }

            File.WriteAllText(image, CurveChart.Draw(chart.Title, curves));
            text.Append(CultureInfo.InvariantCulture, $"\n![{chart.Title}]({Folder}/{chart.File}.svg)\n");
        }

        text.Append("\n## Options\n\n```json\n").Append(options.ToJson().ReplaceLineEndings("\n")).Append("\n```\n");
        string path = Path.Combine(options.OutputDir, ReportFile);
        File.WriteAllText(path, text.ToString());
        return path;
    }

    private static string Status(TrainingOptions options, TrainingState state)
    {
        string steps = state.Step >= options.MaxSteps ? $"All {options.MaxSteps} steps are done" : $"Stopped after step {state.Step} of {options.MaxSteps}; the same command goes on";
        var time = TimeSpan.FromSeconds(state.Seconds);
        return string.Create(CultureInfo.InvariantCulture, $"{steps}. Total time of all runs {(int)time.TotalHours}:{time:mm\\:ss} (h:mm:ss), {state.Tokens:N0} tokens.");
    }

    private static void AppendNumbers(StringBuilder text, IEnumerable<Curve> curves)
    {
        text.Append("\n## Numbers\n\n| figure | points | first | last | least | most | last at step |\n|---|---|---|---|---|---|---|\n");
        foreach (var curve in curves)
        {
            var values = curve.Points.Select(p => p.Value).ToList();
            var cells = new[] { values[0], values[^1], values.Min(), values.Max() }.Select(CurveChart.Short);
            text.Append(CultureInfo.InvariantCulture, $"| {curve.Name.Replace("|", "\\|", StringComparison.Ordinal)} | {values.Count} | {string.Join(" | ", cells)} | {curve.Points[^1].Step} |\n");
        }
    }

    private static List<Curve> Curves(ReportChart chart, SortedDictionary<string, SortedDictionary<long, double>> figures)
        => [.. chart.Figures.SelectMany(pattern => figures.Where(f => Fits(f.Key, pattern))).Select(f => new Curve(f.Key, [.. f.Value.Select(p => (p.Key, p.Value))]))];

    private static bool Fits(string name, string pattern)
    {
        int star = pattern.IndexOf('*', StringComparison.Ordinal);
        return star < 0
            ? name == pattern
            : name.Length >= pattern.Length && name.StartsWith(pattern[..star], StringComparison.Ordinal) && name.EndsWith(pattern[(star + 1)..], StringComparison.Ordinal);
    }

    /// <summary>Figures by name and step, and how many lines are not JSON.</summary>
    private static (SortedDictionary<string, SortedDictionary<long, double>> Figures, int Unreadable) Read(string path)
    {
        var figures = new SortedDictionary<string, SortedDictionary<long, double>>(StringComparer.Ordinal);
        int unreadable = 0;
        foreach (var line in File.Exists(path) ? File.ReadLines(path) : [])
        {
            if (line.Length == 0)
                continue;
            try
            {
                using var document = JsonDocument.Parse(line);
                long step = document.RootElement.GetProperty("step").GetInt64();
                foreach (var field in document.RootElement.EnumerateObject())
                {
                    if (field.Name == "step" || field.Value.ValueKind != JsonValueKind.Number)
                        continue;
                    if (!figures.TryGetValue(field.Name, out var points))
                        figures[field.Name] = points = [];
                    points[step] = field.Value.GetDouble();
                }
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                unreadable++;
            }
        }

        return (figures, unreadable);
    }
}
