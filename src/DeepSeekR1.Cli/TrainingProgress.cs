using System.Globalization;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>What a training run tells while it runs.</summary>
/// <param name="Step">Optimizer steps done.</param>
/// <param name="Figure">Loss or reward with its name; null keeps the last one.</param>
/// <param name="TokensPerSecond">Of the last steps; null keeps the last one.</param>
/// <param name="Line">All of it, for logs.</param>
internal sealed record TrainingUpdate(long Step, string? Figure, double? TokensPerSecond, string Line);

/// <summary>Shows a training run: on a terminal one bar with loss or reward, tokens/s and the time that is left, elsewhere a line of text each update.</summary>
internal sealed class TrainingProgress(long steps, TimeProvider time)
{
    private const int RefreshMilliseconds = 200;
    private readonly Lock _lock = new();
    private (long Step, long Time)? _first;
    private (long Step, long Time) _last;
    private string _figure = "", _speed = "";

    /// <summary>Runs a training to its end.</summary>
    /// <param name="steps">Optimizer steps of the whole run.</param>
    /// <param name="terminal">Where the bar is drawn; null without a terminal.</param>
    /// <param name="lines">Receives the lines; null where only the bar is wanted.</param>
    /// <param name="run">Starts the training and calls back from any thread.</param>
    /// <returns>What the training returned.</returns>
    public static async Task<bool> ShowAsync(long steps, IAnsiConsole? terminal, TextWriter? lines, Func<Action<TrainingUpdate>, Task<bool>> run)
    {
        var progress = new TrainingProgress(steps, TimeProvider.System);
        var work = run(update =>
        {
            progress.Take(update);
            lines?.WriteLine(update.Line);
        });
        if (terminal is null)
            return await work;
        await terminal.Progress().Columns(new ProgressBarColumn(), new PercentageColumn(), new TaskDescriptionColumn()).StartAsync(async context =>
        {
            var bar = context.AddTask("starting", maxValue: steps);
            while (!work.IsCompleted)
            {
                progress.Draw(bar);
                await Task.WhenAny(work, Task.Delay(RefreshMilliseconds, CancellationToken.None));
            }

            progress.Draw(bar);
        });
        return await work;
    }

    /// <summary>Remembers an update.</summary>
    internal void Take(TrainingUpdate update)
    {
        lock (_lock)
        {
            _last = (update.Step, time.GetTimestamp());
            _first ??= _last;
            _figure = update.Figure ?? _figure;
            _speed = update.TokensPerSecond is { } speed ? string.Create(CultureInfo.InvariantCulture, $"{speed:N0} tokens/s") : _speed;
        }
    }

    /// <summary>Steps done, figure, speed, and the time left by the pace since the first update: a run that goes on does not count the steps before it.</summary>
    internal string Describe()
    {
        lock (_lock)
        {
            if (_first is not { } first)
                return "starting";
            string left = "?";
            if (_last.Step > first.Step)
            {
                var remaining = time.GetElapsedTime(first.Time, _last.Time) / (_last.Step - first.Step) * Math.Max(0, steps - _last.Step);
                left = string.Create(CultureInfo.InvariantCulture, $"{(long)remaining.TotalHours}:{remaining:mm\\:ss}");
            }

            return string.Create(CultureInfo.InvariantCulture, $"step {_last.Step}/{steps}  {_figure}  {_speed}  {left} left");
        }
    }

    private void Draw(ProgressTask bar)
    {
        bar.Description = Markup.Escape(Describe());
        lock (_lock)
            bar.Value = _last.Step;
    }
}
