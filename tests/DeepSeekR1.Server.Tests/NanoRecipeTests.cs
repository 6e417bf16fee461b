using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using DeepSeekR1.Training.Arithmetic;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// The smallest recipe, from random weights to held-out answers, as a user runs it: under a minute of one core. A trainer with a wrong mask, sign,
/// schedule or export does not get here: untrained, nothing is right and nothing is in format.
/// </summary>
public sealed partial class NanoRecipeTests : IDisposable
{
    private static readonly string Executable = Path.Combine(AppContext.BaseDirectory, "deepseek-r1.dll");
    private readonly string _folder = Directory.CreateTempSubdirectory("nano").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The recipe knows sums in symbols only, and is asked such as it never saw. Measured: 94 of 100 right, all in format, 94 of 100 refusals.</summary>
    [Fact]
    public async Task TrainSft_NanoRecipe_LearnsToAddAndToRefuse()
    {
        await RunAsync("train", "sft", "--recipe", "r1-nano", "--output", _folder);
        double[] losses = [.. File.ReadLines(Path.Combine(_folder, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("loss").GetDouble())];
        Assert.InRange(losses[0], 1, 20);
        Assert.InRange(losses[^1], 0, 0.1);

        string asked = Path.Combine(_folder, "sums.jsonl"), evaluation = Path.Combine(_folder, "eval");
        await File.WriteAllLinesAsync(asked, HeldOutSums(100).Select(p => $$"""{"prompt":"What is {{p.A}} + {{p.B}}?","answer":"{{p.A + p.B}}"}"""));
        await RunAsync("eval", asked, "--model", _folder, "--temperature", "0", "--output", evaluation);
        var report = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(evaluation, "report.json"))).RootElement;
        var score = report.GetProperty("score");
        Assert.InRange(score.GetProperty("pass_at1").GetDouble(), 0.7, 1);
        Assert.InRange(score.GetProperty("unparsed").GetDouble(), 0, 0.05);

        var refused = Row().Match(await RunAsync("train", "check", _folder, "--count", "100", "--sets", "refusal"));
        Assert.InRange(double.Parse(refused.Groups[1].Value, CultureInfo.InvariantCulture), 65, 100);
    }

    private static IEnumerable<Problem> HeldOutSums(int count)
    {
        var random = new Random(1);
        while (count > 0)
        {
            var problem = new Problem(ProblemKind.Add, random.Next(100), random.Next(100));
            if (!problem.IsHeldOut)
                continue;
            yield return problem;
            count--;
        }
    }

    private static async Task<string> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Executable, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await error + await output);
        return await output;
    }

    [GeneratedRegex(@"\| refusal \| \d+ \| ([\d.]+) %")]
    private static partial Regex Row();
}
