using CsCheck;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Parsing;
using Xunit;

namespace DeepSeekR1.Tests.Text.Parsing;

/// <summary>The cases that reasoning parsers of the field got wrong, and a property test over random cuts into tokens.</summary>
public sealed class ReasoningParserTests
{
    private const int Open = 1;
    private const int Close = 2;
    private const int Tool = 3;
    private const string ToolMarker = "<\uff5ctool\u2581calls\u2581begin\uff5c>";

    [Theory]
    // Chunks are separated by '|'. Missing open tag: the prompt had it.
    [InlineData(true, "thought|</think>|answer", "thought", "answer", 2)]
    [InlineData(true, "tho|ught</th|ink>\n\nans|wer", "thought", "\n\nanswer", 3)]
    [InlineData(true, "a|<|/|think|>|b", "a", "b", 5)]
    // Doubled open tag, also cut and behind white space.
    [InlineData(true, "<think>|\nthought|</think>|x", "\nthought", "x", 3)]
    [InlineData(true, "\n|<th|ink>|t|</think>|x", "\nt", "x", 5)]
    [InlineData(true, "<think>|<think>|t|</think>", "t", "", 4)]
    // Empty think block.
    [InlineData(true, "</think>|x", "", "x", 1)]
    [InlineData(true, "\n\n|</think>|\n\nx", "\n\n", "\n\nx", 2)]
    [InlineData(false, "<think>|\n\n|</think>|\n\n|x", "\n\n", "\n\nx", 3)]
    [InlineData(false, "<think></think>x", "", "x", 1)]
    // Never closed.
    [InlineData(true, "on|and|on", "onandon", "", 3)]
    [InlineData(true, "on|</thi", "on</thi", "", 2)]
    [InlineData(false, "<think>|on", "on", "", 2)]
    // The model opens the thought itself.
    [InlineData(false, "<think>|t|</think>|x", "t", "x", 3)]
    [InlineData(false, "\n |<thi|nk>t|</think>x", "\n t", "x", 4)]
    // No thought: literal tags stay.
    [InlineData(false, "x|<think>|y|</think>|z", "", "x<think>y</think>z", 0)]
    [InlineData(false, "\n|x", "", "\nx", 0)]
    [InlineData(false, " |<thin|g>", "", " <thing>", 0)]
    [InlineData(false, "\n", "", "\n", 0)]
    [InlineData(false, "<think", "", "<think", 0)]
    [InlineData(false, "</think>|x", "", "</think>x", 0)]
    // Tags after the thought, and an opening tag in its middle.
    [InlineData(true, "t|</think>|a</think>|<think>b", "t", "a</think><think>b", 2)]
    [InlineData(true, "t <think> u|</think>|x", "t <think> u", "x", 2)]
    // What only looks like a tag.
    [InlineData(true, "a < b |</| b|</thin|x></think>|x", "a < b </ b</thinx>", "x", 5)]
    // A tool call ends the thought; its marker stays for the tool parser.
    [InlineData(true, "t|" + ToolMarker + "|call", "t", ToolMarker + "call", 1)]
    [InlineData(true, "t|<\uff5ctool\u2581|calls\u2581begin\uff5c>|call", "t", ToolMarker + "call", 1)]
    [InlineData(true, "t|<\uff5ctool\u2581|calls|</think>|x", "t<\uff5ctool\u2581calls", "x", 4)]
    [InlineData(false, "x|" + ToolMarker, "", "x" + ToolMarker, 0)]
    public void Append_TagsByText_SplitsThoughtFromAnswer(
        bool startsInReasoning, string chunks, string reasoning, string content, int tokens)
    {
        var parser = new ReasoningParser(startsInReasoning, null, null, ToolMarker);
        var pieces = Feed(parser, chunks.Split('|').Select(chunk => (100, chunk)));
        Assert.Equal((reasoning, content, tokens), Outcome(parser, pieces));
        Assert.DoesNotContain(pieces, piece => piece.Text.Length == 0);
    }

    [Fact]
    public void Append_TagsById_IgnoresTagsSpelledInText()
    {
        var parser = ById(startsInReasoning: true);
        var pieces = Feed(parser, [(9, "a</think>"), (9, "b"), (Close, "</think>"), (9, "c"), (Close, "</think>")]);
        Assert.Equal(("a</think>b", "c</think>", 3), Outcome(parser, pieces));
    }

    [Fact]
    public void Append_TagsById_StreamsAtOnce()
    {
        var parser = ById(startsInReasoning: true);
        Assert.Equal([new OutputPiece(OutputKind.Reasoning, "<")], parser.Append(9, "<"));
        Assert.Empty(parser.Append(Close, "</think>"));
        Assert.False(parser.InReasoning);
        Assert.Equal([new OutputPiece(OutputKind.Content, "<think>")], parser.Append(Open, "<think>"));
    }

    [Fact]
    public void Append_TagsById_TagTextMissing_LosesNoCharacter()
    {
        var parser = ById(startsInReasoning: false);
        var pieces = Feed(parser, [(Open, ""), (9, "a"), (Close, "\ufffd"), (9, "b")]);
        Assert.Equal(("a\ufffd", "b", 3), Outcome(parser, pieces));
    }

    [Fact]
    public void Append_TagsById_TextBesideTheTag_GoesToItsSide()
    {
        var parser = ById(startsInReasoning: true);
        var pieces = parser.Append(Close, "\ufffd</think>x");
        Assert.Equal([new OutputPiece(OutputKind.Reasoning, "\ufffd"), new OutputPiece(OutputKind.Content, "x")], pieces);
    }

    [Fact]
    public void Append_DoubledOpenTagById_IsSwallowed()
    {
        var parser = ById(startsInReasoning: true);
        var pieces = Feed(parser, [(9, "\n"), (Open, "<think>"), (9, "t"), (Open, "<think>"), (Close, "</think>")]);
        Assert.Equal(("\nt<think>", "", 5), Outcome(parser, pieces));
    }

    [Fact]
    public void Append_ToolMarkerById_EndsThought()
    {
        var parser = ById(startsInReasoning: true);
        var pieces = Feed(parser, [(9, "t"), (Tool, ToolMarker), (9, "call")]);
        Assert.Equal(("t", ToolMarker + "call", 1), Outcome(parser, pieces));
        Assert.False(parser.CloseTagGenerated);
    }

    [Fact]
    public void Append_OpenTagInAnswerById_StaysText()
    {
        var parser = ById(startsInReasoning: false);
        var pieces = Feed(parser, [(9, "x "), (Open, "<think>"), (Close, "</think>")]);
        Assert.Equal(("", "x <think></think>", 0), Outcome(parser, pieces));
    }

    [Fact]
    public void Append_TokensWithoutText_AreCounted()
    {
        // Bytes of one character over three tokens.
        var parser = ById(startsInReasoning: true);
        var pieces = Feed(parser, [(7, ""), (8, ""), (9, "\u6f22"), (Close, "</think>"), (7, ""), (9, "x")]);
        Assert.Equal(("\u6f22", "x", 4), Outcome(parser, pieces));
    }

    [Fact]
    public void Append_StopStringCutInsideThought_LeavesTheRestAsReasoning()
    {
        // The text of the last token was cut in front of the stop string.
        var parser = ById(startsInReasoning: true);
        var pieces = Feed(parser, [(9, "one two"), (9, "")]);
        Assert.Equal(("one two", "", 2), Outcome(parser, pieces));
        Assert.True(parser.InReasoning);
    }

    [Fact]
    public void Finish_TailOfDetokenizer_BelongsToTheOpenPart()
    {
        var parser = ById(startsInReasoning: true);
        parser.Append(9, "a");
        Assert.Equal([new OutputPiece(OutputKind.Reasoning, "\ufffd")], parser.Finish("\ufffd"));
    }

    [Fact]
    public void OpenTagGenerated_FromPromptOrModel_TellsThemApart()
    {
        ReasoningParser fromPrompt = ById(startsInReasoning: true), fromModel = ById(startsInReasoning: false);
        Feed(fromPrompt, [(9, "t"), (Close, "</think>")]);
        Feed(fromModel, [(Open, "<think>"), (9, "t")]);
        Assert.Equal((false, true), (fromPrompt.OpenTagGenerated, fromPrompt.CloseTagGenerated));
        Assert.Equal((true, false), (fromModel.OpenTagGenerated, fromModel.CloseTagGenerated));
    }

    [Fact]
    public void Append_SeveralChoices_DoNotShareState()
    {
        // n > 1: one parser per choice, fed in turns.
        var choices = new[] { ById(startsInReasoning: true), ById(startsInReasoning: true) };
        choices[0].Append(Close, "</think>");
        Assert.Equal([new OutputPiece(OutputKind.Reasoning, "t")], choices[1].Append(9, "t"));
        Assert.Equal([new OutputPiece(OutputKind.Content, "x")], choices[0].Append(9, "x"));
    }

    [Theory]
    [InlineData("<\uff5cAssistant\uff5c><think>\n", false, true)]
    [InlineData("<\uff5cAssistant\uff5c>", false, false)]
    [InlineData("<think>\n\n</think>\n\n", false, false)]
    [InlineData("</think>a<think>", false, true)]
    // The tag of a user opens nothing.
    [InlineData("<think>", true, false)]
    public void StartsInReasoning_LastTagOfTemplateText_Decides(string text, bool fromMessage, bool expected) =>
        Assert.Equal(expected, ReasoningParser.StartsInReasoning([new TextSegment("x", false), new TextSegment(text, fromMessage)]));

    [Fact]
    public void StartsInReasoning_PrefillInMidThought_IsOpen() => Assert.True(ReasoningParser.StartsInReasoning(
    [
        new TextSegment("a</think>", false), new TextSegment("q</think>", true),
        new TextSegment("<think>", false), new TextSegment("so far", true),
    ]));

    [Fact]
    public void Append_AnyCutIntoTokens_GivesTheSameText()
    {
        string[] parts =
        [
            "<", "</", "think", ">", "</think>", "<think>", " ", "\n", "a", "thin", "\u6f22", "\ud83d\ude00",
            ToolMarker, "<\uff5ctool\u2581", "calls\u2581begin\uff5c>",
        ];
        var text = Gen.Int[0, parts.Length - 1].Select(index => parts[index]).Array[0, 14].Select(string.Concat);
        Gen.Select(text, Gen.Bool, Gen.Int[0, 100].Array[0, 12]).Sample(
            (whole, starts, cuts) => CheckAgainstModel(whole, starts, cuts), iter: 20_000);
    }

    // The whole text at once, by the rules of the class: where the thought begins, ends, and the answer begins.
    private static void CheckAgainstModel(string text, bool startsInReasoning, int[] cuts)
    {
        var (reasoning, content, thoughtEnd) = Model(text, startsInReasoning);
        var parser = new ReasoningParser(startsInReasoning, null, null, ToolMarker);
        var places = cuts.Select(cut => cut % (text.Length + 1)).Append(0).Append(text.Length).Distinct().Order().ToArray();
        var chunks = places.Zip(places.Skip(1), (from, to) => (From: from, Text: text[from..to])).ToList();
        var pieces = Feed(parser, chunks.Select(chunk => (100, chunk.Text)));
        Assert.Equal(reasoning, Join(pieces, OutputKind.Reasoning));
        Assert.Equal(content, Join(pieces, OutputKind.Content));
        Assert.Equal(chunks.Count(chunk => chunk.From < thoughtEnd), parser.ReasoningTokens);
    }

    private static (string Reasoning, string Content, int ThoughtEnd) Model(string text, bool startsInReasoning)
    {
        string blank = "";
        var start = 0;
        var isOpen = startsInReasoning;
        while (text[start..].TrimStart() is var rest && rest.StartsWith(ReasoningParser.OpenTag, StringComparison.Ordinal))
        {
            isOpen = true;
            blank += text[start..^rest.Length];
            start = text.Length - rest.Length + ReasoningParser.OpenTag.Length;
        }
        if (!isOpen)
            return ("", text, 0);
        var close = text.IndexOf(ReasoningParser.CloseTag, start, StringComparison.Ordinal);
        var tool = text.IndexOf(ToolMarker, start, StringComparison.Ordinal);
        if (close < 0 && tool < 0)
            return (blank + text[start..], "", text.Length);
        return tool >= 0 && (close < 0 || tool < close)
            ? (blank + text[start..tool], text[tool..], tool)
            : (blank + text[start..close], text[(close + ReasoningParser.CloseTag.Length)..], close + ReasoningParser.CloseTag.Length);
    }

    private static ReasoningParser ById(bool startsInReasoning) => new(startsInReasoning, Open, Close, ToolMarker, Tool);

    private static List<OutputPiece> Feed(ReasoningParser parser, IEnumerable<(int Id, string Text)> tokens)
    {
        List<OutputPiece> pieces = [.. tokens.SelectMany(token => parser.Append(token.Id, token.Text)).ToList()];
        pieces.AddRange(parser.Finish());
        return pieces;
    }

    private static (string Reasoning, string Content, int ReasoningTokens) Outcome(ReasoningParser parser, List<OutputPiece> pieces) =>
        (Join(pieces, OutputKind.Reasoning), Join(pieces, OutputKind.Content), parser.ReasoningTokens);

    private static string Join(List<OutputPiece> pieces, OutputKind kind) =>
        string.Concat(pieces.Where(piece => piece.Kind == kind).Select(piece => piece.Text));
}
