using CsCheck;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Parsing;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text.Parsing;

/// <summary>Tokens of the bundled vocabulary through the whole chain.</summary>
public sealed class OutputChainTests
{
    private static readonly ModelTextAssets Assets = ModelTextAssetsReader.FromFolder(Path.Combine(Goldens.Repository, "models", "r1-tiny"));
    private static readonly Tokenizer Tokenizer = Tokenizer.Create(Assets);
    private static readonly Dialect Known = Dialect.Of(Tokenizer, Assets.ChatTemplate);

    [Theory]
    [InlineData("ab</think>cd", "T:ab T!: A:cd")]
    [InlineData("ab", "T:ab")]
    [InlineData("</think>x", "T!: A:x")]
    [InlineData("a</think>", "T:a T!:")]
    public void Separate_SaysWhereTheThoughtEnds(string text, string expected)
        => Assert.Equal(expected, Show(Run(new ChoicePlan(0, Tokenizer, new GenerationSettings(), Known, StartsInThought: true), text).Events));

    [Theory]
    [InlineData(true, "ab</think>cd", "A:<think>ab</think>cd")]
    [InlineData(true, "</think>x", "A:<think></think>x")]
    [InlineData(true, "ab", "A:<think>ab</think>")]
    [InlineData(false, "x</think>", "A:x</think>")]
    public void Inline_PutsTheThoughtIntoTheAnswer(bool inside, string text, string expected)
        => Assert.Equal(expected, Show(Run(new ChoicePlan(0, Tokenizer, new GenerationSettings(), Known, inside, ReasoningFormat.Inline), text).Events));

    [Theory]
    [InlineData("a", false, "", ReasoningFormat.Separate, "T:abc T!: A:d")]
    [InlineData("a", true, "x", ReasoningFormat.Separate, "T:a T!: A:xbc</think>d")]
    [InlineData("a", false, "", ReasoningFormat.Inline, "A:<think>abc</think>d")]
    [InlineData("a", true, "x", ReasoningFormat.Inline, "A:<think>a</think>xbc</think>d")]
    public void Echo_StandsBeforeTheFirstToken(string thought, bool closed, string content, ReasoningFormat format, string expected)
    {
        var plan = new ChoicePlan(0, Tokenizer, new GenerationSettings(), Known, StartsInThought: !closed, format, new Prefill(thought, closed, content));
        Assert.Equal(expected, Show(Run(plan, "bc</think>d").Events));
    }

    [Theory]
    [InlineData("</think>", false, "T:ab", 1)]
    [InlineData("</think>", true, "T:ab T!:", 1)]
    [InlineData("b", false, "T:a", 1)]
    public void StopString_IsNamedAndEndsTheAnswer(string stop, bool include, string expected, int minimum)
    {
        var plan = new ChoicePlan(0, Tokenizer, new GenerationSettings { Stop = [stop, "zzz"], IncludeStopString = include }, Known, StartsInThought: true);
        var (events, chain) = Run(plan, "ab</think>cd");
        Assert.Equal((stop, expected), (chain.StopString, Show(events)));
        Assert.True(chain.ThoughtTokens >= minimum);
    }

    [Fact]
    public void WithoutDialect_AllIsAnswer()
        => Assert.Equal("A:a</think>b<think>", Show(Run(new ChoicePlan(0, Tokenizer, new GenerationSettings()), "a</think>b<think>").Events));

    /// <summary>Stop strings that are not found hold text back and change nothing: neither the texts nor the counts.</summary>
    [Fact]
    public void StopStringThatIsNotFound_ChangesNothing()
    {
        string[] words = ["ab", "</think>", "<think>", " ", "\n", "12", "=", "\u6f22", "x y"];
        Gen.Int[0, words.Length - 1].Select(i => words[i]).Array[0, 12].Select(string.Concat).Sample(text =>
        {
            var plan = new ChoicePlan(0, Tokenizer, new GenerationSettings(), Known, StartsInThought: true);
            var plain = Run(plan, text);
            var held = Run(plan with { Settings = new GenerationSettings { Stop = [text + "#", "12=x#"] } }, text);
            Assert.Equal((Show(plain.Events), plain.Chain.ThoughtTokens), (Show(held.Events), held.Chain.ThoughtTokens));
        }, iter: 500);
    }

    private static (List<OutputEvent> Events, OutputChain Chain) Run(ChoicePlan plan, string text)
    {
        var chain = new OutputChain(plan);
        var events = new List<OutputEvent>();
        chain.Begin();
        foreach (int id in Tokenizer.Encode(text))
        {
            if (chain.StopString is null)
                chain.Append(id);
            if (chain.HasOutput)
                events.AddRange(chain.Take());
        }
        chain.Finish();
        events.AddRange(chain.Take());
        return (events, chain);
    }

    /// <summary>The texts of one kind joined; T thought, T! the end of the thought, A answer. The mark that a thought has begun is left out.</summary>
    private static string Show(List<OutputEvent> events)
    {
        var shown = new List<(string Kind, string Text)>();
        foreach (var (kind, text) in events.SelectMany(e => e switch
        {
            ThoughtText { Closed: true } thought => [("T", thought.Text), ("T!", "")],
            ThoughtText thought => [("T", thought.Text)],
            AnswerText answer => [("A", answer.Text)],
            _ => ((string, string)[])[("?", "")],
        }))
            if (shown.Count > 0 && shown[^1].Kind == kind)
                shown[^1] = (kind, shown[^1].Text + text);
            else if (kind != "T" || text.Length > 0)
                shown.Add((kind, text));
        return string.Join(" ", shown.Select(s => $"{s.Kind}:{s.Text}"));
    }
}
