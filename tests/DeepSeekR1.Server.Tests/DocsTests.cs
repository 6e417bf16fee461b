using System.Text.RegularExpressions;
using DeepSeekR1.Cli;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// The tables of options and request fields are what the declarations say. With DEEPSEEKR1_WRITE_DOCS=1 these tests write the files instead.
/// </summary>
public sealed partial class DocsTests
{
    private static readonly bool Writes = Environment.GetEnvironmentVariable("DEEPSEEKR1_WRITE_DOCS") == "1";

    [Fact]
    public void OptionsPage_IsWhatTheDeclarationsSay() => Hold("docs/options.md", _ => OptionDocs.Page());

    [Fact]
    public void FieldsPage_IsWhatTheDeclarationsSay() => Hold("docs/fields.md", _ => FieldDocs.Page());

    [Fact]
    public void Readme_OptionsTable_IsWhatTheDeclarationsSay() => Hold("README.md", text => Between(text, "options", OptionDocs.ReadmeTable()));

    /// <summary>A room that does not know the declaration names an option in a message: by a name that is declared.</summary>
    [Fact]
    public void MarkedNames_AreDeclared()
    {
        string[] declared = [.. ServerOptionList.All.Select(o => o.Name), "format", "group"];
        string source = Path.Combine(Goldens.Repository, "src");
        var names = Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => MarkedName().Matches(File.ReadAllText(file))).Select(m => m.Groups[1].Value).Distinct().ToList();
        Assert.NotEmpty(names);
        Assert.All(names, name => Assert.Contains(name, declared));
    }

    [GeneratedRegex("(?:new OptionName|OptionText\\.Mark)\\(\"([^\"]*)\"\\)")]
    private static partial Regex MarkedName();

    private static string Between(string text, string name, string table)
    {
        string begin = $"<!-- {name}: made from the declarations, see docs/options.md -->\n", end = $"<!-- end of {name} -->";
        int first = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length, last = text.IndexOf(end, StringComparison.Ordinal);
        Assert.True(first >= begin.Length && last >= first, $"README.md lacks the marks of {name}.");
        return text[..first] + table + text[last..];
    }

    private static void Hold(string file, Func<string, string> wanted)
    {
        string path = Path.Combine(Goldens.Repository, file), text = File.Exists(path) ? File.ReadAllText(path) : "";
        if (Writes)
            File.WriteAllText(path, wanted(text));
        else
            Assert.Equal(wanted(text), text);
    }
}
