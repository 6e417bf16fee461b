using System.Text.RegularExpressions;
using System.Xml.Linq;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Tests;

/// <summary>The arrows of docs/ARCHITECTURE.md against the project files, and a few words that must not appear in a room.</summary>
public partial class LayeringTests
{
    /// <summary>Who may reference whom. Nothing else is allowed.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Compute"] = [],
        ["Models"] = ["Compute"],
        ["Engine"] = ["Compute", "Models"],
        ["Text"] = ["Engine"],
        ["Server"] = ["Engine", "Text"],
        ["Evaluation"] = ["Engine", "Text"],
        ["Training"] = ["Compute", "Engine", "Evaluation", "Models", "Text"],
        ["Cli"] = ["Compute", "Engine", "Evaluation", "Models", "Server", "Text", "Training"],
    };

    private static readonly Dictionary<string, string[]> OwnersOfPackages = new()
    {
        ["TorchSharp"] = ["Compute", "Engine", "Models", "Training"],
        ["Microsoft.ML.Tokenizers"] = ["Text"],
        ["Swashbuckle.AspNetCore"] = ["Server"],
        ["System.CommandLine"] = ["Cli"],
        ["Spectre.Console"] = ["Cli"],
    };

    public static TheoryData<string> Projects => [.. Arrows.Keys];

    [Fact]
    public void Solution_HasTheEightProjects()
        => Assert.Equal(Arrows.Keys.Order(), Directory.GetDirectories(Source(), "DeepSeekR1.*").Select(d => Path.GetFileName(d)["DeepSeekR1.".Length..]).Order());

    [Theory]
    [MemberData(nameof(Projects))]
    public void Project_ReferencesOnlyWhatItMay(string name)
    {
        var references = Project(name).Descendants("ProjectReference")
            .Select(r => Path.GetFileNameWithoutExtension((string)r.Attribute("Include")!)["DeepSeekR1.".Length..]).Order();
        Assert.Equal(Arrows[name], references);
    }

    [Fact]
    public void Packages_StayInTheirRooms()
    {
        foreach (var (package, owners) in OwnersOfPackages)
        {
            var users = Arrows.Keys.Where(name => Packages(name).Any(p => (string?)p.Attribute("Include") == package)).Order();
            Assert.Equal(owners, users);
        }

        // Without PrivateAssets="compile" every project further up could name a tensor.
        foreach (string name in Arrows.Keys)
            foreach (var reference in Packages(name).Where(p => (string?)p.Attribute("Include") is "TorchSharp" or "Microsoft.ML.Tokenizers"))
                Assert.Equal("compile", (string?)reference.Attribute("PrivateAssets"));
    }

    [Fact]
    public void Versions_StandInOnePlaceAndAreExact()
    {
        foreach (string name in Arrows.Keys)
            Assert.All(Packages(name), p => Assert.Null(p.Attribute("Version")));
        var central = XDocument.Load(Path.Combine(Goldens.Repository, "Directory.Packages.props"));
        Assert.All(central.Descendants("PackageVersion"), p => Assert.Matches(@"^\d+\.\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$", (string)p.Attribute("Version")!));
    }

    [Fact]
    public void Layers_NameNoDevice()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Source(), "DeepSeekR1.Models"), "*.cs", SearchOption.AllDirectories).Where(IsSource))
            foreach (var line in File.ReadLines(file).Where(l => !l.TrimStart().StartsWith("//", StringComparison.Ordinal)))
                Assert.False(DeviceNames().IsMatch(line), $"{Path.GetFileName(file)}: {line.Trim()}");
    }

    /// <summary>Options have names; how they are given is the executable's business.</summary>
    [Fact]
    public void LowerRooms_KnowNoFlags()
    {
        foreach (string room in (string[])["Compute", "Models", "Engine", "Text"])
            foreach (var file in Directory.EnumerateFiles(Path.Combine(Source(), $"DeepSeekR1.{room}"), "*.cs", SearchOption.AllDirectories).Where(IsSource))
                foreach (var line in File.ReadLines(file).Where(l => !l.TrimStart().StartsWith("//", StringComparison.Ordinal)))
                    Assert.False(Flag().IsMatch(line), $"{Path.GetFileName(file)}: {line.Trim()}");
    }

    [Fact]
    public void Product_HasNoDefaultDeviceOrTypeAndNoClock()
    {
        foreach (var file in Directory.EnumerateFiles(Source(), "*.cs", SearchOption.AllDirectories).Where(IsSource))
            Assert.DoesNotMatch(@"set_default_(dtype|device)|DateTime\.(Utc)?Now", File.ReadAllText(file));
    }

    [GeneratedRegex("torch\\.(CPU|CUDA)\\b|(?<![.\\w])(CPU|CUDA)(?!\\w)|\"(cpu|cuda)|\\.cuda\\(|\\.cpu\\(")]
    private static partial Regex DeviceNames();

    [GeneratedRegex("\"(?:[^\"]*[^-\"])?--[a-z]")]
    private static partial Regex Flag();

    private static bool IsSource(string path) => !path.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal);

    private static string Source() => Path.Combine(Goldens.Repository, "src");

    private static XDocument Project(string name) => XDocument.Load(Path.Combine(Source(), $"DeepSeekR1.{name}", $"DeepSeekR1.{name}.csproj"));

    private static IEnumerable<XElement> Packages(string name) => Project(name).Descendants("PackageReference");
}
