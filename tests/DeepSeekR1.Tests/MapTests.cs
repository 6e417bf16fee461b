using System.Text.RegularExpressions;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests;

/// <summary>The map is the tree: what docs/ARCHITECTURE.md and CONTRIBUTING name in code type exists, and the style that .editorconfig states holds.</summary>
public partial class MapTests
{
    /// <summary>Longest line, without what string literals take: a message is better found in one piece.</summary>
    private const int MaxLineLength = 180;

    /// <summary>Names of other people's that the pages mention.</summary>
    private static readonly HashSet<string> Foreign = ["HttpClient", "TorchSharp", "IChatClient", "PrivateAssets", "RssAnon", "DisableTransitiveProjectReferences"];

    private static readonly Lazy<string[]> Files = new(() => [.. new[] { "src", "tests", "docs", "models", ".ci", ".github", "docker" }.SelectMany(Below)]);

    private static readonly Lazy<HashSet<string>> Types = new(() =>
        [.. Files.Value.Where(f => f.EndsWith(".cs", StringComparison.Ordinal)).SelectMany(f => Declaration().Matches(File.ReadAllText(f)).Select(m => m.Groups[1].Value))]);

    [Theory]
    [InlineData("docs/ARCHITECTURE.md")]
    [InlineData(".github/CONTRIBUTING.md")]
    public void Page_NamesWhatExists(string page)
    {
        var missing = CodeWords(page).Where(word => !Exists(word)).Distinct().ToList();
        Assert.True(missing.Count == 0, $"{page} names what is not there: {string.Join(", ", missing)}.");
    }

    [Fact]
    public void Lines_AreNoLongerThanStated()
    {
        var stated = File.ReadLines(Path.Combine(Goldens.Repository, ".editorconfig")).Single(l => l.StartsWith("max_line_length", StringComparison.Ordinal));
        Assert.Equal($"max_line_length = {MaxLineLength}", stated);
        foreach (var file in Files.Value.Where(f => f.EndsWith(".cs", StringComparison.Ordinal)))
            foreach (var (number, line) in File.ReadLines(file).Index())
                Assert.True(
                    line.Length <= MaxLineLength || Literal().Replace(line, "").Length <= MaxLineLength,
                    $"{Path.GetRelativePath(Goldens.Repository, file)}:{number + 1} has {line.Length} characters; {MaxLineLength} is the limit without string literals.");
    }

    private static IEnumerable<string> CodeWords(string page)
    {
        string text = Fence().Replace(File.ReadAllText(Path.Combine(Goldens.Repository, page)), "");
        return Code().Matches(text).Select(m => m.Groups[1].Value);
    }

    /// <summary>A path, a file's name, a folder, or a type with or without one of its members; whatever else stands in code type is not looked at.</summary>
    private static bool Exists(string word)
    {
        if (Foreign.Contains(word.Split('.')[0]) || Foreign.Contains(word))
            return true;
        if (FilePath().IsMatch(word))
            return File.Exists(Path.Combine(Goldens.Repository, word)) || Directory.Exists(Path.Combine(Goldens.Repository, word))
                || Array.Exists(Files.Value, f => f.EndsWith("/" + word.TrimEnd('/'), StringComparison.Ordinal) || f.Contains("/" + word.TrimEnd('/') + "/", StringComparison.Ordinal));
        var type = TypeName().Match(word);
        if (!type.Success)
            return true;
        string name = type.Groups["type"].Value, member = type.Groups["member"].Value;
        return Directory.Exists(Path.Combine(Goldens.Repository, "src", "DeepSeekR1." + name))
            || Array.Exists(Files.Value, f => f.Contains($"/{word}/", StringComparison.Ordinal))
            || (Types.Value.Contains(name) && (member.Length == 0 || Files.Value.Any(f => f.EndsWith(".cs", StringComparison.Ordinal)
                && Regex.IsMatch(File.ReadAllText(f), $@"\b(class|record|struct|interface|enum) {name}\b") && Regex.IsMatch(File.ReadAllText(f), $@"\b{member}\b"))));
    }

    private static IEnumerable<string> Below(string folder) => Directory
        .EnumerateFiles(Path.Combine(Goldens.Repository, folder), "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint })
        .Select(f => f.Replace(Path.DirectorySeparatorChar, '/'))
        .Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && !f.Contains("/bin/", StringComparison.Ordinal) && !f.Contains("/node_modules/", StringComparison.Ordinal));

    [GeneratedRegex(@"\b(?:class|record|record struct|struct|interface|enum) ([A-Z]\w*)")]
    private static partial Regex Declaration();

    [GeneratedRegex("```.*?```", RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex("`([^`\n]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"^[\w.-]*(/[\w.-]*)+$|^[\w.-]+\.(cs|md|json|sh|yml|yaml|cases)$")]
    private static partial Regex FilePath();

    [GeneratedRegex(@"^(?<type>[A-Z][a-z0-9]\w*)(?:\.(?<member>[A-Z]\w*))?(?:\(.*\))?$")]
    private static partial Regex TypeName();

    [GeneratedRegex(""""
        """.*?"""|"(?:[^"\\]|\\.)*"
        """")]
    private static partial Regex Literal();
}
