using System.Text.RegularExpressions;
using DeepSeekR1.Cli;
using DeepSeekR1.Testing;
using Spectre.Console;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The verb <c>train</c>: refusals, and what a run shows on a terminal and elsewhere.</summary>
public sealed class TrainCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("train-command").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Sft_DistillationWithoutTeacher_IsRefusedInOneLine()
    {
        var (code, error, _) = await RunAsync("train", "sft", "--config", Config(steps: 1), "--loss", "kd");
        Assert.Equal((2, "deepseek-r1: teacher_model_name_or_path is ''; it must be the teacher's checkpoint folder for loss 'kd'.\n"), (code, error));
        Assert.False(Directory.Exists(Path.Combine(_folder, "out")));
    }

    [Fact]
    public async Task Sft_WithoutTerminal_WritesPlainLines()
    {
        var (code, error, output) = await RunAsync("train", "sft", "--config", Config(steps: 2));
        Assert.Equal(0, code);
        string[] lines = error.TrimEnd('\n').Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.Matches("^step 1/2  loss [0-9.]+ .* tokens/s ", lines[1]);
        Assert.StartsWith("step 2/2 ", lines[2]);
        Assert.DoesNotContain('\e', error + output);
        Assert.EndsWith(": done; the report is report.md.\n", output);
        Assert.True(File.Exists(Path.Combine(_folder, "out", "report.md")));
    }

    [Fact]
    public async Task Show_OnTerminal_DrawsFigureSpeedAndTimeLeftInsteadOfLines()
    {
        var screen = new StringWriter();
        var terminal = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Yes,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.Yes,
            Out = new AnsiConsoleOutput(screen)
        });
        terminal.Profile.Width = 120;
        bool done = await TrainingProgress.ShowAsync(10, terminal, lines: null, async show =>
        {
            show(new TrainingUpdate(4, "loss 1.2500", 1234.4, "a line"));
            await Task.Delay(500);
            show(new TrainingUpdate(10, "loss [0.5000]", 2000, "a line"));
            return true;
        });
        Assert.True(done);
        string text = Regex.Replace(screen.ToString(), "\e\\[[0-9;?]*[A-Za-z]", "");
        Assert.Matches(@"40% +step 4/10  loss 1\.2500  1,234 tokens/s  \? left", text);
        Assert.Matches(@"100% +step 10/10  loss \[0\.5000\]  2,000 tokens/s  0:00:00 left", text);
        Assert.DoesNotContain("a line", text);
    }

    [Fact]
    public async Task Show_RunThatFails_ThrowsItsError()
    {
        var terminal = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Yes,
            Interactive = InteractionSupport.Yes,
            Out = new AnsiConsoleOutput(new StringWriter())
        });
        await Assert.ThrowsAsync<InvalidDataException>(() => TrainingProgress.ShowAsync(10, terminal, lines: null, _ => Task.FromException<bool>(new InvalidDataException())));
    }

    [Fact]
    public void Describe_RunThatGoesOn_CountsItsOwnSteps()
    {
        var clock = new Clock();
        var progress = new TrainingProgress(1000, clock);
        Assert.Equal("starting", progress.Describe());
        progress.Take(new TrainingUpdate(900, "reward 0.500", 10, ""));
        clock.Seconds = 7200;
        progress.Take(new TrainingUpdate(950, null, null, ""));
        Assert.Equal("step 950/1000  reward 0.500  10 tokens/s  2:00:00 left", progress.Describe());
    }

    private string Config(int steps)
    {
        string path = Path.Combine(_folder, "c.json");
        File.WriteAllText(path, $$"""
            {"model_name_or_path": "{{Path.Combine(Goldens.Repository, "models", "r1-tiny")}}", "output_dir": "{{Path.Combine(_folder, "out")}}", "dataset": "arithmetic",
             "max_steps": {{steps}}, "tokens_per_step": 200, "micro_batch_tokens": 200, "logging_steps": 1}
            """);
        return path;
    }

    private static async Task<(int Code, string Error, string Output)> RunAsync(params string[] args)
    {
        var (error, output) = (new StringWriter { NewLine = "\n" }, new StringWriter { NewLine = "\n" });
        var (oldError, oldOutput) = (Console.Error, Console.Out);
        Console.SetError(error);
        Console.SetOut(output);
        try
        {
            return (await CommandLine.RunAsync(args), error.ToString(), output.ToString());
        }
        finally
        {
            Console.SetError(oldError);
            Console.SetOut(oldOutput);
        }
    }

    private sealed class Clock : TimeProvider
    {
        public long Seconds { get; set; }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Seconds;
    }
}
