using System.Diagnostics;
using System.Security.Cryptography;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests.Clients;

/// <summary>A theory that needs node and the goldens; skipped by name where one is missing.</summary>
public sealed class NodeTheoryAttribute : TheoryAttribute
{
    /// <summary>Sets the skip reason.</summary>
    public NodeTheoryAttribute() => Skip = Goldens.Missing ?? (NodeTools.Exists ? null : "node and npm are not installed; this test runs the npm clients.");
}

/// <summary>Runs node and npm in the folder of the client tests.</summary>
internal static class NodeTools
{
    private static readonly string Folder = Path.Combine(Goldens.Repository, "tests", "DeepSeekR1.Server.Tests", "npm");

    /// <summary>True when node and npm can be started.</summary>
    public static bool Exists { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, "node")) && File.Exists(Path.Combine(folder, "npm")));

    /// <summary>Installs what package-lock.json lists, unless exactly that is there.</summary>
    public static async Task InstallAsync()
    {
        string mark = Path.Combine(Folder, "node_modules", ".lock-hash");
        string hash = Convert.ToHexString(SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(Folder, "package-lock.json"))));
        if (File.Exists(mark) && await File.ReadAllTextAsync(mark) == hash)
            return;
        await RunAsync("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts");
        await File.WriteAllTextAsync(mark, hash);
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
