using System.Diagnostics;
using System.Text.Json;
using DeepSeekR1.Cli;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The verb eval as a process: a model of its own, a server, a kill, wrong use.</summary>
[Collection(ServerCollection.Name)]
public sealed class EvalCommandTests(DeepSeekServer server) : IDisposable
{
    private static readonly string Executable = Path.Combine(AppContext.BaseDirectory, "deepseek-r1.dll");
    private readonly string _folder = Directory.CreateTempSubdirectory("eval-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Greedy answers in float32 do not depend on what else is in the batch, so a run that was killed must end as one that was not.</summary>
    [Fact]
    public async Task Eval_KilledInTheMiddle_GoesOnAndEndsTheSame()
    {
        string[] arguments = ["eval", "arithmetic:add3,mul2x1", "--model", BundledModel.Locate()!, "--dtype", "float32", "--temperature", "0", "--limit", "30", "--num-threads", "1"];
        string cut = Path.Combine(_folder, "cut"), samples = Path.Combine(cut, "samples.jsonl");
        using (var killed = Start([.. arguments, "--concurrency", "2", "--output", cut]))
        {
            for (int i = 0; i < 3000 && (!File.Exists(samples) || Lines(samples) < 6); i++)
                await Task.Delay(10);
            killed.Kill();
            await killed.WaitForExitAsync();
        }

        int kept = Lines(samples) - 1;
        Assert.InRange(kept, 5, 59);
        Assert.Equal(0, (await RunAsync([.. arguments, "--output", cut])).Code);
        string whole = Path.Combine(_folder, "whole");
        Assert.Equal(0, (await RunAsync([.. arguments, "--output", whole])).Code);
        using JsonDocument resumed = Report(cut), fresh = Report(whole);
        Assert.InRange(resumed.RootElement.GetProperty("resumed").GetInt32(), 5, kept);
        Assert.Equal(60, fresh.RootElement.GetProperty("score").GetProperty("problems").GetInt32());
        Assert.Equal(fresh.RootElement.GetProperty("problems").GetRawText(), resumed.RootElement.GetProperty("problems").GetRawText());
        Assert.Equal(fresh.RootElement.GetProperty("categories").GetRawText(), resumed.RootElement.GetProperty("categories").GetRawText());
        Assert.InRange(fresh.RootElement.GetProperty("score").GetProperty("pass_at1").GetDouble(), 0.9, 1);
    }

    [GoldenFact]
    public async Task Eval_AServer_AsksItOverHttp()
    {
        string data = Path.Combine(_folder, "data.jsonl"), output = Path.Combine(_folder, "out");
        await File.WriteAllTextAsync(data, """
            {"id":"a","prompt":"1+1","answer":"2","category":"x"}
            {"id":"b","prompt":"2+2","answer":"4","category":"y"}

            """);
        var (code, text, _) = await RunAsync("eval", data, "--base-url", server.Server.Address + "v1", "--samples", "2", "--max-tokens", "8", "--output", output);
        Assert.Equal(0, code);
        Assert.Contains("| all | 2 | 2 | 0.0 |", text);
        Assert.Contains("type of the server", text);
        using var report = Report(output);
        Assert.Equal(1, report.RootElement.GetProperty("score").GetProperty("truncated").GetDouble());
        Assert.Equal(8, report.RootElement.GetProperty("score").GetProperty("mean_tokens").GetDouble());

        // Without --max-tokens the server decides, whatever its context is.
        Assert.Equal(0, (await RunAsync("eval", data, "--base-url", server.Server.Address + "v1", "--limit", "1", "--output", output + "2")).Code);
    }

    [Theory]
    [InlineData("eval needs a model: --model MODEL", "gsm8k")]
    [InlineData("There is no file 'aime'.", "aime", "--model", "m")]
    [InlineData("'arithmetic:sqrt' names the set 'sqrt'; there are add2,", "arithmetic:sqrt", "--model", "m")]
    [InlineData("MODEL '/no/such' does not exist.", "arithmetic", "--model", "/no/such")]
    [InlineData("--limit must be an integer of at least 1, not '0'.", "arithmetic", "--model", "m", "--limit", "0")]
    [InlineData("--temperature must be between 0 and 2", "arithmetic", "--model", "m", "--temperature", "3")]
    [InlineData("--quantization is 'q9'; it must be one of fp8,", "arithmetic", "--model", ".", "--quantization", "q9")]
    [InlineData("http://127.0.0.1:9/v1 cannot be reached:", "arithmetic:add2", "--base-url", "http://127.0.0.1:9/v1")]
    public async Task Eval_WrongUse_IsOneLineAndCode2(string message, params string[] arguments)
    {
        var (code, _, error) = await RunAsync(["eval", .. arguments, "--output", _folder]);
        Assert.Equal(2, code);
        Assert.StartsWith("deepseek-r1: " + message, error);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
    }

    private static int Lines(string file)
    {
        using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return reader.ReadToEnd().Count(c => c == '\n');
    }

    private static JsonDocument Report(string folder) => JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "report.json")));

    private static Process Start(params string[] arguments)
        => Process.Start(new ProcessStartInfo("dotnet", [Executable, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        using var process = Start(arguments);
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }
}
