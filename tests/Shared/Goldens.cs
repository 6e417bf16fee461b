using Xunit;

namespace DeepSeekR1.Testing;

/// <summary>
/// Where reference outputs lie: DEEPSEEKR1_GOLDENS, else shared/goldens beside the repository. Models and data lie beside them.
/// </summary>
public static class Goldens
{
    /// <summary>Repository root: the folder that holds DeepSeekR1.sln.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>The goldens folder, whether it exists or not.</summary>
    public static string Root { get; } = Environment.GetEnvironmentVariable("DEEPSEEKR1_GOLDENS") is { Length: > 0 } folder
        ? folder
        : Path.GetFullPath(Path.Combine(Repository, "..", "shared", "goldens"));

    /// <summary>The folder of real models beside the goldens.</summary>
    public static string Models { get; } = Path.GetFullPath(Path.Combine(Root, "..", "models"));

    /// <summary>A message when the goldens are missing, else null.</summary>
    public static string? Missing { get; } = Directory.Exists(Root)
        ? null
        : $"Goldens not found at '{Root}'. Set DEEPSEEKR1_GOLDENS to their folder to run this test.";

    /// <summary>True when the long versions of fuzz and soak tests are wanted (DEEPSEEKR1_TESTS=long).</summary>
    public static bool Long { get; } = Environment.GetEnvironmentVariable("DEEPSEEKR1_TESTS") == "long";

    /// <summary>A path below the goldens folder.</summary>
    public static string At(params string[] parts) => Path.Combine([Root, .. parts]);

    private static string FindRepository()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "DeepSeekR1.sln")))
                return folder.FullName;
        return AppContext.BaseDirectory;
    }
}

/// <summary>A fact that needs the goldens; skipped by name where they are missing.</summary>
public sealed class GoldenFactAttribute : FactAttribute
{
    /// <summary>Sets the skip reason.</summary>
    public GoldenFactAttribute() => Skip = Goldens.Missing;
}

/// <summary>A theory that needs the goldens; skipped by name where they are missing.</summary>
public sealed class GoldenTheoryAttribute : TheoryAttribute
{
    /// <summary>Sets the skip reason.</summary>
    public GoldenTheoryAttribute() => Skip = Goldens.Missing;
}
