using CsCheck;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Parsing;
using Xunit;

namespace DeepSeekR1.Tests.Text.Parsing;

/// <summary>The cases that reasoning parsers of the field got wrong, and a property test over random cuts into tokens.</summary>
public sealed class ThoughtParserTests
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
        var parser = new ThoughtParser(Dialect.R1, startsInReasoning);
        var events = Feed(parser, chunks.Split('|').Select(chunk => (100, chunk)));
        Assert.Equal((reasoning, content, tokens), Outcome(parser, events));
        Assert.DoesNotContain(events, e => e is AnswerText { Text.Length: 0 });
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
        parser.Begin([]);
        Assert.Equal([new ThoughtText("<")], Append(parser, 9, "<"));
        Assert.Equal([new ThoughtText("", Closed: true)], Append(parser, Close, "</think>"));
        Assert.False(parser.IsInside);
        Assert.Equal([new AnswerText("<think>")], Append(parser, Open, "<think>"));
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
        parser.Begin([]);
        Assert.Equal([new ThoughtText("\ufffd"), new ThoughtText("", Closed: true), new AnswerText("x")], Append(parser, Close, "\ufffd</think>x"));
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
        Assert.Equal([new ThoughtText("t"), new ThoughtText("", Closed: true), new AnswerText(ToolMarker)],
            pieces.Where(e => !e.IsMark || e is ThoughtText { Closed: true }).Take(3));
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
        Assert.True(parser.IsInside);
        Assert.DoesNotContain(pieces, e => e is ThoughtText { Closed: true });
    }

    [Fact]
    public void Append_TailOfDetokenizer_BelongsToTheOpenPart()
    {
        var parser = ById(startsInReasoning: true);
        Append(parser, 9, "a");
        Assert.Equal([new ThoughtText("\ufffd")], Append(parser, OutputPiece.NoToken, "\ufffd"));
        Assert.Equal(1, parser.Tokens);
    }

    [Fact]
    public void Marks_FromPromptOrModel_SayWhereTheThoughtBeginsAndEnds()
    {
        ThoughtParser fromPrompt = ById(startsInReasoning: true), fromModel = ById(startsInReasoning: false);
        Assert.Equal([new ThoughtText(""), new ThoughtText("t"), new ThoughtText("", Closed: true)], Feed(fromPrompt, [(9, "t"), (Close, "</think>")]));
        var output = new List<OutputPiece>();
        fromModel.Begin(output);
        Assert.Empty(output);
        Assert.Equal([new ThoughtText(""), new ThoughtText("t")], Feed(fromModel, [(Open, "<think>"), (9, "t")]));
    }

    [Fact]
    public void Append_TagThatAStopStringCut_IsNotTold()
    {
        var parser = ById(startsInReasoning: false);
        var output = new List<OutputPiece>();
        parser.Append(new OutputPiece(new AnswerText(""), Open, IsCut: true), output);
        parser.Finish(output);
        Assert.DoesNotContain(output, piece => piece.Event.IsMark);
        Assert.Equal(1, parser.Tokens);
    }

    [Fact]
    public void Append_Pieces_KeepTheTokenThatMadeThemCertain()
    {
        var parser = ById(startsInReasoning: true);
        var output = new List<OutputPiece>();
        foreach (var (id, text) in ((int, string)[])[(9, "t"), (Tool, ToolMarker), (8, "x")])
            parser.Append(new OutputPiece(new AnswerText(text), id), output);
        Assert.Equal([(9, "t"), (Tool, ToolMarker), (8, "x")], output.Where(p => !p.Event.IsMark).Select(p => (p.Token, TextOf(p.Event))));
    }

    [Fact]
    public void Append_SeveralChoices_DoNotShareState()
    {
        // n > 1: one parser per choice, fed in turns.
        var choices = new[] { ById(startsInReasoning: true), ById(startsInReasoning: true) };
        foreach (var choice in choices)
            choice.Begin([]);
        Append(choices[0], Close, "</think>");
        Assert.Equal([new ThoughtText("t")], Append(choices[1], 9, "t"));
        Assert.Equal([new AnswerText("x")], Append(choices[0], 9, "x"));
    }

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
        var parser = new ThoughtParser(Dialect.R1, startsInReasoning);
        var places = cuts.Select(cut => cut % (text.Length + 1)).Append(0).Append(text.Length).Distinct().Order().ToArray();
        var chunks = places.Zip(places.Skip(1), (from, to) => (From: from, Text: text[from..to])).ToList();
        var pieces = Feed(parser, chunks.Select(chunk => (100, chunk.Text)));
        Assert.Equal((reasoning, content, chunks.Count(chunk => chunk.From < thoughtEnd)), Outcome(parser, pieces));
        CheckOrder(pieces);
    }

    private static (string Reasoning, string Content, int ThoughtEnd) Model(string text, bool startsInReasoning)
    {
        string blank = "";
        var start = 0;
        var isOpen = startsInReasoning;
        while (text[start..].TrimStart() is var rest && rest.StartsWith(Dialect.ThinkOpen, StringComparison.Ordinal))
        {
            isOpen = true;
            blank += text[start..^rest.Length];
            start = text.Length - rest.Length + Dialect.ThinkOpen.Length;
        }
        if (!isOpen)
            return ("", text, 0);
        var close = text.IndexOf(Dialect.ThinkClose, start, StringComparison.Ordinal);
        var tool = text.IndexOf(ToolMarker, start, StringComparison.Ordinal);
        if (close < 0 && tool < 0)
            return (blank + text[start..], "", text.Length);
        return tool >= 0 && (close < 0 || tool < close)
            ? (blank + text[start..tool], text[tool..], tool)
            : (blank + text[start..close], text[(close + Dialect.ThinkClose.Length)..], close + Dialect.ThinkClose.Length);
    }

    // Thought, then once its end, then the answer.
    private static void CheckOrder(List<OutputEvent> events)
    {
        var order = events.Select(e => e switch { ThoughtText { Closed: true } => 1, ThoughtText => 0, _ => 2 }).ToList();
        Assert.Equal(order.Order(), order);
        Assert.True(order.Count(kind => kind == 1) <= 1);
    }

    private static ThoughtParser ById(bool startsInReasoning) => new(
        Dialect.R1 with
        {
            Open = new DialectTag(Dialect.ThinkOpen, Open),
            Close = new DialectTag(Dialect.ThinkClose, Close),
            ToolCalls = new DialectTag(ToolMarker, Tool),
        },
        startsInReasoning);

    private static List<OutputEvent> Feed(ThoughtParser parser, IEnumerable<(int Id, string Text)> tokens)
    {
        var output = new List<OutputPiece>();
        parser.Begin(output);
        foreach (var (id, text) in tokens)
            parser.Append(new OutputPiece(new AnswerText(text), id), output);
        parser.Finish(output);
        return [.. output.Select(piece => piece.Event)];
    }

    private static OutputEvent[] Append(ThoughtParser parser, int id, string text)
    {
        var output = new List<OutputPiece>();
        parser.Append(new OutputPiece(new AnswerText(text), id), output);
        return [.. output.Select(piece => piece.Event)];
    }

    private static (string Reasoning, string Content, int ReasoningTokens) Outcome(ThoughtParser parser, List<OutputEvent> events) =>
        (string.Concat(events.OfType<ThoughtText>().Select(TextOf)), string.Concat(events.OfType<AnswerText>().Select(TextOf)), parser.Tokens);

    private static string TextOf(OutputEvent e) => e is ThoughtText thought ? thought.Text : ((AnswerText)e).Text;
}
