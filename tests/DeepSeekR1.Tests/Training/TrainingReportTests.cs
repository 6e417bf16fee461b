using System.Globalization;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Grpo;
using DeepSeekR1.Training.Reporting;
using DeepSeekR1.Training.Sft;
using Xunit;

namespace DeepSeekR1.Tests.Training;

/// <summary>The report that every run leaves, whole or stopped, against the lines of its metrics.</summary>
public sealed class TrainingReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("report").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Sft_StoppedAndResumed_ReportsItsWholeCurve()
    {
        ArithmeticModel.Write(Path.Combine(_folder, "start"), ArithmeticModel.Recipe("r1-tiny.config.json"), seed: 3);
        var options = new SftOptions
        {
            ModelNameOrPath = Path.Combine(_folder, "start"),
            OutputDir = Path.Combine(_folder, "out"),
            Dataset = "arithmetic",
            MaxSteps = 5,
            TokensPerStep = 200,
            MicroBatchTokens = 200,
            LoggingSteps = 1,
        };
        using var stop = new CancellationTokenSource();
        Assert.False(new SftTrainer(options).Run(m => StopAt(stop, m.Step, 2), stop.Token));
        Check(options.OutputDir, TrainingReport.Sft, [1L, 2]);
        Assert.Contains("Stopped after step 2 of 5", Report(options.OutputDir));

        // A process that was killed leaves lines of steps that come again, and a line that is cut off.
        File.AppendAllText(Path.Combine(options.OutputDir, TrainingReport.MetricsFile), "{\"step\":3,\"loss\":7777777}\n{\"step\":4,\"lo\n");
        Assert.True(new SftTrainer(options).Run());
        Check(options.OutputDir, TrainingReport.Sft, [1L, 2, 3, 4, 5]);
        string report = Report(options.OutputDir);
        Assert.Contains("All 5 steps are done. Total time of all runs 0:00:", report);
        Assert.Contains("1 line(s) of metrics.jsonl are not JSON", report);
        Assert.Contains("\"tokens_per_step\": 200", report);
        Assert.DoesNotContain("7.778e+6", Row(report, "loss"));
        double last = Lines(options.OutputDir).Last(l => l["step"]!.GetValue<long>() == 5)["loss"]!.GetValue<double>();
        Assert.Contains($" | {last.ToString("0.####", CultureInfo.InvariantCulture)} | ", Row(report, "loss"));

        // Started again as it was it is done; with other options it is not, and what differs is named. More steps go on with them.
        Assert.True(new SftTrainer(options with { LoggingSteps = 2, SaveSteps = 4 }).Run());
        var other = options with { Dataset = "d.jsonl", Seed = 7, MaxSteps = 4, Mix = options.Mix with { Add = 0 } };
        string refusal = Assert.Throws<StartupException>(() => new SftTrainer(other).Run()).Message;
        Assert.StartsWith($"output_dir '{options.OutputDir}' holds a finished run of 5 steps with other options: ", refusal);
        foreach (string difference in new[] { "dataset was \"arithmetic\" and is now \"d.jsonl\"", "seed was 42 and is now 7", "max_steps was 5 and is now 4", "mix.add was 14 and is now 0" })
            Assert.Contains(difference, refusal);
        Assert.EndsWith("Choose another output_dir for a new run, or set max_steps above 5 to go on from this one.", refusal);
        Assert.True(new SftTrainer(options with { Seed = 7, MaxSteps = 6 }).Run());
        File.WriteAllText(Path.Combine(options.OutputDir, "training_options.json"), "{\"num_generations\": 8}");
        Assert.Contains("not of this kind of training", Assert.Throws<StartupException>(() => new SftTrainer(options).Run()).Message);
    }

    [Fact]
    public async Task Grpo_StoppedAtAnEvaluation_SavesAndReports()
    {
        var options = new GrpoOptions
        {
            ModelNameOrPath = Path.Combine(Goldens.Repository, "models", "r1-tiny"),
            OutputDir = Path.Combine(_folder, "out"),
            Dataset = "arithmetic",
            Prompts = [new(ProblemKind.Add, 2, 2), new(ProblemKind.Subtract, 2, 2)],
            PromptsPerStep = 2,
            NumGenerations = 2,
            MaxCompletionLength = 8,
            MaxSteps = 3,
            Beta = 0.01,
            EvalSteps = 1,
            EvalProblems = 2,
        };
        using var stop = new CancellationTokenSource();
        Assert.False(await Run(options, m => StopAt(stop, m.Values.ContainsKey("reward") ? m.Step : 0, 2), stop.Token));
        Assert.True(Directory.Exists(Path.Combine(options.OutputDir, "checkpoint-2")));
        Check(options.OutputDir, TrainingReport.Grpo, [1L, 2], evaluations: 2);
        Assert.True(await Run(options, null, default));
        Check(options.OutputDir, TrainingReport.Grpo, [1L, 2, 3], evaluations: 3);
        Assert.Contains("eval/add", Report(options.OutputDir));
        Assert.Contains("All 3 steps are done", Report(options.OutputDir));
    }

    private static Task<bool> Run(GrpoOptions options, Action<GrpoMetrics>? report, CancellationToken stop)
        => new GrpoTrainer(options, options.OpenPrompts(), [(group => [.. group.Completions.Select((_, i) => (double?)i)], 1, "test")]).RunAsync(report, stop);

    private static void StopAt(CancellationTokenSource stop, long step, long last)
    {
        if (step == last)
            stop.Cancel();
    }

    private static string Report(string folder) => File.ReadAllText(Path.Combine(folder, TrainingReport.ReportFile));

    private static string Row(string report, string figure) => report.Split('\n').Single(l => l.StartsWith($"| {figure} |", StringComparison.Ordinal));

    private static IEnumerable<JsonNode> Lines(string folder)
        => File.ReadLines(Path.Combine(folder, TrainingReport.MetricsFile)).Where(l => l.EndsWith('}')).Select(l => JsonNode.Parse(l)!);

    /// <summary>Every chart is XML, is shown in the report, and each of its lines has a point inside the axes for every step.</summary>
    private static void Check(string folder, IReadOnlyList<ReportChart> charts, long[] steps, int evaluations = 0)
    {
        string report = Report(folder);
        foreach (var chart in charts)
        {
            Assert.Contains($"![{chart.Title}](report/{chart.File}.svg)", report);
            var svg = XDocument.Load(Path.Combine(folder, "report", chart.File + ".svg")).Root!;
            var texts = svg.Elements(svg.Name.Namespace + "text").Select(t => t.Value).ToList();
            Assert.Contains("step", texts);
            Assert.Contains(chart.Title, texts);
            if (chart.File != "eval")
                Assert.Contains(steps[^1].ToString(CultureInfo.InvariantCulture), texts);
            var curves = svg.Elements(svg.Name.Namespace + "polyline").Select(p => p.Attribute("points")!.Value.Split(' ')).ToList();
            Assert.NotEmpty(curves);
            foreach (var points in curves)
            {
                Assert.Equal(chart.File == "eval" ? evaluations : steps.Length, points.Length);
                var places = points.Select(p => p.Split(',').Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray()).ToList();
                Assert.All(places, p => Assert.True(p[0] is >= 76 and <= 620 && p[1] is >= 40 and <= 272));
                Assert.All(places.Zip(places.Skip(1)), pair => Assert.True(pair.First[0] < pair.Second[0]));
            }
        }
    }
}
