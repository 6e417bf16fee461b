using System.Text.RegularExpressions;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests.Text.Templates;

/// <summary>
/// The arrows inside the template engine. All of it is one assembly, so the compiler does not hold them; the sources' references do.
/// </summary>
public sealed partial class JinjaLayeringTests
{
    private const string Root = "DeepSeekR1.Text.Templates.Jinja";

    /// <summary>Which folders of the engine a folder may name besides itself; "" is the engine's root.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Values"] = [],
        ["Evaluation"] = ["Values"],
        ["Syntax"] = ["Values", "Evaluation"],
        ["Library"] = ["Values"],
        [""] = ["Values", "Evaluation", "Syntax"],
    };

    public static TheoryData<string> Folders => [.. Arrows.Keys];

    [Theory]
    [MemberData(nameof(Folders))]
    public void Sources_NameOnlyTheFoldersTheyMay(string folder)
    {
        var files = Sources(folder);
        Assert.NotEmpty(files);
        var wrong = files.SelectMany(file => Named(File.ReadAllText(file))
            .Where(named => named != folder && !Arrows[folder].Contains(named))
            .Select(named => $"{Path.GetFileName(file)} names {named}"));
        Assert.Empty(wrong);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Sources_NameNothingAboveTheirFolder(string folder)
    {
        // Types of the namespaces around are visible without a using. The error class and the text segment are there for everybody.
        var above = Directory.GetFiles(Engine("..")).Concat(folder.Length > 0 ? Sources("") : []);
        var hidden = above.SelectMany(file => Types(Code(File.ReadAllText(file)))).Except(["TemplateException"]).ToList();
        Assert.Contains("ChatTemplate", hidden);
        foreach (var file in Sources(folder))
        {
            var words = Words().Matches(Code(File.ReadAllText(file))).Select(match => match.Value);
            Assert.Empty(words.Intersect(hidden).Select(word => $"{Path.GetFileName(file)} names {word}"));
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Sources_NamespaceIsFolder_AndNoPrefixRepeatsIt(string folder)
    {
        foreach (var file in Sources(folder))
        {
            var code = Code(File.ReadAllText(file));
            Assert.Contains($"namespace {(folder.Length > 0 ? $"{Root}.{folder}" : Root)};", code, StringComparison.Ordinal);
            var prefixed = Types(code).Where(name => name.StartsWith("Jinja", StringComparison.Ordinal));
            Assert.Empty(prefixed.Except(["JinjaEnvironment"]));
        }
    }

    [Fact]
    public void Folders_AreTheKnownOnes_AndNoUsingIsGlobal()
    {
        var folders = Directory.GetDirectories(Engine("")).Select(Path.GetFileName);
        Assert.Equal(Arrows.Keys.Where(folder => folder.Length > 0).Order(), folders.Order());
        var project = Path.Combine(Goldens.Repository, "src", "DeepSeekR1.Text");
        Assert.DoesNotContain("<Using", File.ReadAllText(Path.Combine(project, "DeepSeekR1.Text.csproj")), StringComparison.Ordinal);
        var sources = Directory.GetFiles(project, "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal));
        Assert.DoesNotContain(sources, file => Code(File.ReadAllText(file)).Contains("global using", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("using DeepSeekR1.Text.Templates.Jinja.Library;", "Library")]
    [InlineData("using static DeepSeekR1.Text.Templates.Jinja.Syntax.Parser;", "Syntax")]
    [InlineData("using Words = DeepSeekR1.Text.Templates.Jinja.Library.Filters;", "Library")]
    [InlineData("var body = Syntax.Parser.Parse(source);", "Syntax")]
    [InlineData("var body = Jinja.Syntax.Parser.Parse(source);", "Syntax")]
    [InlineData("return global::DeepSeekR1.Text.Templates.Jinja.Evaluation.Frame.Of(x);", "Evaluation")]
    [InlineData("throw Errors.Syntax(message);", null)]
    [InlineData("""throw Errors.Value("Library.Filters");""", null)]
    [InlineData("""throw Errors.Value($"not {Library.Filters.All.Count} filters");""", "Library")]
    [InlineData("// As Library.Filters does it.", null)]
    [InlineData("""/// <see cref="Library.Filters"/>""", null)]
    [InlineData("foreach (var value in dict.Values.Take(3))", null)]
    public void Named_FindsEveryWayToReachAFolder(string line, string? folder) =>
        Assert.Equal(folder is null ? [] : [folder], Named(line));

    private static string Engine(string folder) =>
        Path.Combine(Goldens.Repository, "src", "DeepSeekR1.Text", "Templates", "Jinja", folder);

    private static string[] Sources(string folder) => Directory.GetFiles(Engine(folder), "*.cs");

    private static List<string> Named(string source) =>
        [.. FolderReferences().Matches(Code(source)).Select(match => match.Groups[1].Value).Distinct()];

    private static IEnumerable<string> Types(string code) => Declared().Matches(code).Select(match => match.Groups[1].Value);

    // The source without comments and literals; what an interpolated string holds is code, so it stays.
    private static string Code(string source) =>
        CommentsAndLiterals().Replace(source, match => match.Value.StartsWith('$') ? match.Value[2..^1] : "");

    [GeneratedRegex("""(?:(?<=Jinja\.)|(?<![\w.]))(Values|Evaluation|Syntax|Library)(?=\.|;)(?<!namespace [\w.]*)""")]
    private static partial Regex FolderReferences();

    [GeneratedRegex("""\b(?:class|record struct|record|interface|enum|struct|delegate \w+) ([A-Z]\w*)""")]
    private static partial Regex Declared();

    [GeneratedRegex("""\b[A-Z]\w*""")]
    private static partial Regex Words();

    [GeneratedRegex(@"//[^\n]*|'(?:\\.[^']*|[^\\'])'|\$?""(?:\\.|[^""\\\n])*""")]
    private static partial Regex CommentsAndLiterals();
}
