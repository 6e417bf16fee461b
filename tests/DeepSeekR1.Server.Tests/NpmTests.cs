using System.Diagnostics;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>A fact that needs node and the goldens; skipped by name where one is missing.</summary>
public sealed class NodeFactAttribute : FactAttribute
{
    /// <summary>Sets the skip reason.</summary>
    public NodeFactAttribute() => Skip = Goldens.Missing ?? (NodeTools.Exists ? null : "node and npm are not installed; this test runs the npm client.");
}

/// <summary>Runs node and npm in the folder of the client tests.</summary>
internal static class NodeTools
{
    private static readonly string Folder = Path.Combine(Goldens.Repository, "tests", "DeepSeekR1.Server.Tests", "npm");

    /// <summary>True when node and npm can be started.</summary>
    public static bool Exists { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, "node")) && File.Exists(Path.Combine(folder, "npm")));

    /// <summary>Installs what package-lock.json lists, unless it is there.</summary>
    public static async Task InstallAsync()
    {
        var mark = new FileInfo(Path.Combine(Folder, "node_modules", ".package-lock.json"));
        if (!mark.Exists || mark.LastWriteTimeUtc < File.GetLastWriteTimeUtc(Path.Combine(Folder, "package-lock.json")))
            await RunAsync("npm", "ci", "--no-audit", "--no-fund");
    }

    /// <summary>Runs a program and returns what it wrote.</summary>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program}: {output}{await error}");
    }
}

/// <summary>The official JavaScript client against the real server.</summary>
[Collection(ServerCollection.Name)]
public sealed class NpmTests(DeepSeekServer server)
{
    [NodeFact]
    public async Task OpenAiNode_WholeStreamHelperAndErrors()
    {
        await server.ScriptAsync("npm", "ab</think>cd");
        await NodeTools.InstallAsync();
        string output = await NodeTools.RunAsync("node", "--no-warnings", "client.mjs", new Uri(server.Server.Address, "/v1").ToString(), DeepSeekServer.Model);
        var result = JsonNode.Parse(output)!;
        Assert.Equal("""{"content":"cd","reasoning":"ab","finish":"stop","completion":6,"reasoningTokens":3}""", result["whole"]!.ToJsonString());
        Assert.Equal("""{"content":"cd","reasoning":"ab","finish":"stop","completion":6}""", result["stream"]!.ToJsonString());
        Assert.Equal("""{"content":"cd","finish":"stop"}""", result["helper"]!.ToJsonString());
        Assert.Equal("""{"status":404,"code":"model_not_found","param":"model"}""", result["error"]!.ToJsonString());
        Assert.Equal(DeepSeekServer.Model, (string?)result["models"]![0]);
    }
}
