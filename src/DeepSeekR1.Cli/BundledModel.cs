namespace DeepSeekR1.Cli;

/// <summary>The model that ships with the program: what <c>serve</c> and <c>chat</c> take when no MODEL is named.</summary>
internal static class BundledModel
{
    /// <summary>Folder name, and the name under which it is served.</summary>
    public const string Name = "r1-tiny";

    /// <summary>What it is, in one line, for banner and log.</summary>
    public const string Description =
        "r1-tiny is a demo of 1.7 million parameters with DeepSeek R1's architecture, trained from nothing by this program: it does sums and refuses the rest. Load a real R1 with: deepseek-r1 serve MODEL";

    /// <summary>Its folder, beside the program or in <c>models/</c> of the working folder; null when neither is there.</summary>
    public static string? Locate() => Locate(AppContext.BaseDirectory, Environment.CurrentDirectory);

    /// <summary>The first of these folders that has it in <c>models/</c>.</summary>
    internal static string? Locate(params ReadOnlySpan<string> folders)
    {
        foreach (string folder in folders)
            if (Path.Combine(folder, "models", Name) is var path && File.Exists(Path.Combine(path, "config.json")))
                return path;
        return null;
    }
}
