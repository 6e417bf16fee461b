using System.Diagnostics;
using System.Text;
using DeepSeekR1.Cli;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The verb chat: with a server, with a model of its own, with Ctrl-C.</summary>
public sealed class ChatCommandTests
{
    private static readonly string Executable = Path.Combine(AppContext.BaseDirectory, "deepseek-r1.dll");

    [GoldenFact]
    public async Task Chat_WithAServer_StreamsThoughtsAndAnswersAndKnowsCommands()
    {
        await using var server = await ScriptedAsync();
        var (code, output, error) = await RunAsync("hi\n/help\n/nonsense\n/reset\nagain\n/exit\nnot read\n", "chat", "--base-url", server.Address + "v1", "--api-key", "k", "--system", "s");
        const string answer = "<think>\nab\n</think>\n\ncd\n";
        Assert.Equal((0, ""), (code, error));
        Assert.StartsWith(answer, output);
        Assert.Contains("/reset  forget the conversation", output);
        Assert.Contains("There is no command '/nonsense'. /help lists them.", output);
        Assert.EndsWith("The conversation begins anew.\n" + answer, output);
    }

    [GoldenFact]
    public async Task Chat_HideThoughtsAndMaxTokens_Work()
    {
        await using var server = await ScriptedAsync();
        Assert.Equal((0, "c\n", ""), await RunAsync("hi\n", "chat", "--base-url", server.Address + "v1/", "--api-key", "k", "--hide-thoughts", "--max-tokens", "4"));
    }

    [GoldenFact]
    public async Task Chat_Refusals_AreClear()
    {
        await using var server = await ScriptedAsync();
        var (code, _, error) = await RunAsync("hi\n", "chat", "--base-url", server.Address + "v1", "--api-key", "wrong");
        Assert.Equal(2, code);
        Assert.Contains("refused with 401: The API key is not valid.", error);
        (code, _, error) = await RunAsync("hi\n", "chat", "--base-url", server.Address + "v1", "--api-key", "k", "--model", "gpt-4");
        Assert.Equal(70, code);
        Assert.Contains("refused with 404: The model 'gpt-4' is not served here.", error);
    }

    [Theory]
    [InlineData("Cannot reach http://127.0.0.1:9/v1/: ", "--base-url", "http://127.0.0.1:9/v1")]
    [InlineData("--base-url must be an http or https address, not 'ftp://x'.", "--base-url", "ftp://x")]
    [InlineData("MODEL and --base-url contradict each other", "m", "--base-url", "http://127.0.0.1:9/v1")]
    [InlineData("--dtype has no effect with --base-url", "--dtype", "float32", "--base-url", "http://127.0.0.1:9/v1")]
    [InlineData("--temperature must be a number of from 0 to 2, not '3'.", "m", "--temperature", "3")]
    public async Task Chat_WrongUse_IsOneLineAndCode2(string message, params string[] args)
    {
        var (code, _, error) = await RunAsync("", ["chat", .. args]);
        Assert.Equal(2, code);
        Assert.StartsWith("deepseek-r1: " + message, error);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
    }

    /// <summary>A model in the process of its own, two questions through a pipe; the second one sees the first.</summary>
    [GoldenFact]
    public async Task Chat_WithAModel_AnswersFromAPipe()
    {
        string model = Path.Combine(Goldens.Models, "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
        using var chat = Start("chat", model, "--temperature", "0", "--max-tokens", "32");
        await chat.StandardInput.WriteAsync("What is the capital of France?\nWhat did I ask?\n");
        chat.StandardInput.Close();
        string output = await chat.StandardOutput.ReadToEndAsync();
        await chat.WaitForExitAsync();
        Assert.Equal(0, chat.ExitCode);
        Assert.StartsWith("The capital of France is Paris.\n", output);
        Assert.Contains("France", output.Split('\n', 2)[1]);
    }

    /// <summary>Ctrl-C sends SIGINT: the first stops the answer and keeps the session, one at the prompt leaves.</summary>
    [GoldenFact]
    public async Task CtrlC_StopsTheAnswerThenLeaves()
    {
        await using var server = await StartAsync(DeepSeekServer.Options() with { TestConstraint = (_, _) => new DeepSeekServer.Slow() });
        using var chat = Start("chat", "--base-url", server.Address + "v1");
        await chat.StandardInput.WriteLineAsync("hi");
        await UntilAsync(() => server.Snapshot()!.GeneratedTokens > 5);
        await InterruptAsync(chat);
        var output = new StringBuilder();
        while (await chat.StandardOutput.ReadLineAsync() is { } line && line != "(stopped)")
            output.AppendLine(line);
        await UntilAsync(() => server.Snapshot() is { Running: 0, BlocksUsed: 0 });
        Assert.NotEmpty(output.ToString());

        // The session lives: the next question is answered, until it is stopped too.
        long before = server.Snapshot()!.GeneratedTokens;
        await chat.StandardInput.WriteLineAsync("and now?");
        await UntilAsync(() => server.Snapshot()!.GeneratedTokens > before + 5);
        await InterruptAsync(chat);
        while (await chat.StandardOutput.ReadLineAsync() is { } line && line != "(stopped)")
        {
        }
        Assert.False(chat.HasExited);
        await InterruptAsync(chat);
        await chat.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0, chat.ExitCode);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        for (int i = 0; i < 2000 && !condition(); i++)
            await Task.Delay(10);
        Assert.True(condition());
    }

    private static async Task InterruptAsync(Process process)
    {
        using var kill = Process.Start("kill", ["-INT", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    // A test run in the background ignores SIGINT, and so would its children.
    private static Process Start(params string[] args) => Process.Start(new ProcessStartInfo("env", ["--default-signal=INT", "dotnet", Executable, .. args])
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!;

    private static async Task<ServerHost> ScriptedAsync()
    {
        int[] ids = [];
        var server = await StartAsync(DeepSeekServer.Options() with { ApiKeys = ["k"], TestConstraint = (_, _) => new Script(ids) });
        using var client = Http.Client(server);
        client.DefaultRequestHeaders.Authorization = new("Bearer", "k");
        var answer = await client.PostAsync("/tokenize", """{"prompt":"ab</think>cd","add_special_tokens":false}""");
        ids = [.. answer.Json["tokens"]!.AsArray().Select(t => (int)t!), DeepSeekServer.Eos];
        return server;
    }

    private static async Task<ServerHost> StartAsync(ServerOptions options)
    {
        var server = ServerHost.Create(options);
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        return server;
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(string input, params string[] args)
    {
        var (output, error) = (new StringWriter { NewLine = "\n" }, new StringWriter { NewLine = "\n" });
        var (oldIn, oldOut, oldError) = (Console.In, Console.Out, Console.Error);
        Console.SetIn(new StringReader(input));
        Console.SetOut(output);
        Console.SetError(error);
        try
        {
            return (await CommandLine.RunAsync(args), output.ToString(), error.ToString());
        }
        finally
        {
            Console.SetIn(oldIn);
            Console.SetOut(oldOut);
            Console.SetError(oldError);
        }
    }

    private sealed class Script(int[] ids) : ListGuide
    {
        protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
        {
            allowed.Add(ids[Math.Min(outputIds.Length, ids.Length - 1)]);
            return true;
        }
    }
}
