using System.Text.RegularExpressions;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text;

/// <summary>A model's tags, and that they are spelled in one place.</summary>
public sealed partial class DialectTests
{
    /// <summary>Where tags may be spelled: the dialect, its forms of tool calls, and the vocabulary of the bundled model, which is data.</summary>
    private static readonly string[] Spelling = ["Dialect.cs", "DeepSeekToolFormat.cs", "ArithmeticTokenizer.cs"];

    [Theory]
    [InlineData("<\uff5cAssistant\uff5c><think>\n", false, true)]
    [InlineData("<\uff5cAssistant\uff5c>", false, false)]
    [InlineData("<think>\n\n</think>\n\n", false, false)]
    [InlineData("</think>a<think>", false, true)]
    // The tag of a user opens nothing.
    [InlineData("<think>", true, false)]
    public void EndsInThought_LastTagOfTemplateText_Decides(string text, bool fromMessage, bool expected)
        => Assert.Equal(expected, Dialect.R1.EndsInThought([new TextSegment("x", false), new TextSegment(text, fromMessage)]));

    [Fact]
    public void EndsInThought_PrefillInMidThought_IsOpen() => Assert.True(Dialect.R1.EndsInThought(
    [
        new TextSegment("a</think>", false), new TextSegment("q</think>", true),
        new TextSegment("<think>", false), new TextSegment("so far", true),
    ]));

    [Fact]
    public void Of_TokenizerWithTags_FindsTheirIds()
    {
        var assets = ModelTextAssetsReader.FromFolder(Path.Combine(Goldens.Repository, "models", "r1-tiny"));
        var tokenizer = Tokenizer.Create(assets);
        var dialect = Dialect.Of(tokenizer, assets.ChatTemplate);
        foreach (var tag in (DialectTag[])[dialect.Open, dialect.Close, dialect.ToolCalls])
            Assert.Equal(tag.Text, tokenizer.Decode([tag.Id!.Value], skipSpecialTokens: false));
        Assert.Equal(("<think>", "</think>", "<\uff5ctool\u2581calls\u2581begin\uff5c>"), (dialect.Open.Text, dialect.Close.Text, dialect.ToolCalls.Text));
    }

    [Fact]
    public void Of_TokenizerWithoutTags_FindsThemInText()
    {
        var assets = ModelTextAssetsReader.FromFolder(Path.Combine(Goldens.Repository, "models", "r1-tiny"));
        var dialect = Dialect.Of(Tokenizer.Create(assets with { AddedTokens = [] }), template: null);
        Assert.Equal(Dialect.R1.Open, dialect.Open);
        Assert.Equal(Dialect.R1.Close, dialect.Close);
        Assert.Equal(Dialect.R1.ToolCalls, dialect.ToolCalls);
    }

    [Fact]
    public void Tags_AreSpelledInTheDialectOnly()
    {
        string source = Path.Combine(Goldens.Repository, "src");
        var files = Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories)
            .Where(f => !f.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal) && !Spelling.Contains(Path.GetFileName(f)));
        var spelled = files.SelectMany(f => File.ReadLines(f).Where(line => Tag().IsMatch(line)).Select(line => $"{Path.GetRelativePath(source, f)}: {line.Trim()}"));
        Assert.Empty(spelled);
    }

    [GeneratedRegex(@"</?think>|tool(\\u2581|\u2581)(calls?|outputs?|sep)|Time is limited")]
    private static partial Regex Tag();
}
