using CsCheck;
using DeepSeekR1.Text;
using Xunit;

namespace DeepSeekR1.Tests.Text;

/// <summary>Parts of an answer out of events in any cut, as the writers of whole and streamed answers need them.</summary>
public sealed class OutputPartsTests
{
    private static readonly Gen<string> Letters = Gen.Char['a', 'e'].Array[1, 8].Select(c => new string(c));

    [Fact]
    public void Append_ThoughtTextAndCalls_TellsBeginTextAndEnd()
    {
        var parts = new OutputParts();
        string[] log =
        [
            .. ((OutputEvent[])
            [
                new ThoughtText(""), new ThoughtText("a"), new ThoughtText("b"), new ThoughtText("", Closed: true), new AnswerText("x"),
                new ToolCallBegun(0, "call_0", "add"), new ToolArguments(0, "{}"), new ToolCallEnded(0, Complete: true),
                new ToolCallBegun(1, "call_1", "sub"), new ToolArguments(1, "{"), new AnswerEnded(EndReason.Length),
            ]).Select(e => string.Join(" ", parts.Append(e).Select(c => $"{c.Kind}:{c.Part.Kind}:{c.Text}:{c.Part.State}"))),
        ];
        Assert.Equal(
        [
            "", "Begun:Thought::Open Extended:Thought:a:Open", "Extended:Thought:b:Open", "Ended:Thought::Complete",
            "Begun:Answer::Open Extended:Answer:x:Open",
            "Ended:Answer::Complete Begun:ToolCall::Open", "Extended:ToolCall:{}:Open", "Ended:ToolCall::Complete",
            "Begun:ToolCall::Open", "Extended:ToolCall:{:Open", "Ended:ToolCall::Cut",
        ], log);
        Assert.Equal(["ab", "x", "{}", "{"], parts.Parts.Select(p => p.Text));
        Assert.Equal("sub", parts.Parts[^1].Call!.Name);
        Assert.Equal(new AnswerEnded(EndReason.Length), parts.End);
    }

    [Theory]
    [InlineData(EndReason.Length, PartState.Cut)]
    [InlineData(EndReason.Stop, PartState.Complete)]
    public void Append_EndInAnOpenThought_CutsItByLengthOnly(EndReason reason, PartState state)
    {
        var parts = new OutputParts();
        parts.Append(new ThoughtText("so"));
        Assert.Equal([new PartChange(PartChangeKind.Ended, parts.Parts[0])], parts.Append(new AnswerEnded(reason)));
        Assert.Equal((state, "so", ""), (parts.Parts[0].State, parts.Thought, parts.Answer));
        Assert.Null(parts.Open);
    }

    [Fact]
    public void Append_ThoughtWithoutText_IsNoPart()
    {
        var parts = new OutputParts();
        Assert.Empty(parts.Append(new ThoughtText("")));
        Assert.Empty(parts.Append(new ThoughtText("", Closed: true)));
        Assert.Empty(parts.Append(new AnswerEnded(EndReason.Stop)));
        Assert.Empty(parts.Parts);
    }

    [Fact]
    public void Append_CallThatIsNotOpenOrBehindTheEnd_Throws()
    {
        var parts = new OutputParts();
        Assert.Throws<InvalidOperationException>(() => parts.Append(new ToolArguments(0, "{}")));
        parts.Append(new ToolCallBegun(0, "call_0", "add"));
        Assert.Throws<InvalidOperationException>(() => parts.Append(new ToolCallEnded(1, true)));
        parts.Append(new AnswerEnded(EndReason.Stop));
        Assert.Equal(PartState.Cut, parts.Parts[0].State);
        Assert.Throws<InvalidOperationException>(() => parts.Append(new AnswerText("x")));
    }

    /// <summary>A random answer of thought, text and calls, its texts cut anywhere: the parts are the answer's, and what was told of them adds up to them.</summary>
    [Fact]
    public void Append_AnyCutOfTheEvents_GivesTheSameParts()
        => Gen.Select(Letters, Gen.Select(Gen.Bool, Letters).Array[0, 5], Gen.Int[1, 4], Gen.Bool).Sample((thought, rest, cut, isLength) =>
        {
            var (events, expected) = Events(thought, rest, cut, isLength ? EndReason.Length : EndReason.Stop);
            var parts = new OutputParts();
            var told = new List<(OutputPart Part, string Text, bool Ended)>();
            foreach (var change in events.SelectMany(e => parts.Append(e).ToArray()))
                Follow(told, change);
            Assert.Equal(expected, parts.Parts.Select(p => (p.Kind, p.Text)));
            Assert.Equal(parts.Parts, told.Select(t => t.Part));
            Assert.All(told, t => Assert.Equal((t.Part.Text, true), (t.Text, t.Ended)));
            Assert.All(parts.Parts.SkipLast(1), p => Assert.Equal(PartState.Complete, p.State));
        }, iter: 2_000);

    /// <summary>What a writer of a stream sees: one part open at a time, its beginning first, nothing behind its end.</summary>
    private static void Follow(List<(OutputPart Part, string Text, bool Ended)> told, PartChange change)
    {
        if (change.Kind == PartChangeKind.Begun)
        {
            Assert.True(told.Count == 0 || told[^1].Ended);
            told.Add((change.Part, "", false));
            return;
        }
        var last = told[^1];
        Assert.Same(last.Part, change.Part);
        Assert.False(last.Ended);
        told[^1] = (last.Part, last.Text + change.Text, change.Kind == PartChangeKind.Ended);
    }

    private static (List<OutputEvent> Events, List<(PartKind, string)> Parts) Events(string thought, (bool IsCall, string Text)[] rest, int cut, EndReason end)
    {
        var events = new List<OutputEvent>(Cut(thought, cut).Select(t => new ThoughtText(t))) { new ThoughtText("", Closed: true) };
        var parts = new List<(PartKind, string)> { (PartKind.Thought, thought) };
        int calls = 0;
        foreach (var (isCall, text) in rest)
        {
            if (!isCall)
            {
                events.AddRange(Cut(text, cut).Select(t => new AnswerText(t)));
                string before = parts[^1].Item1 == PartKind.Answer ? parts[^1].Item2 : "";
                if (before.Length > 0)
                    parts.RemoveAt(parts.Count - 1);
                parts.Add((PartKind.Answer, before + text));
                continue;
            }
            events.Add(new ToolCallBegun(calls, $"call_{calls}", "add"));
            events.AddRange(Cut(text, cut).Select(t => new ToolArguments(calls, t)));
            events.Add(new ToolCallEnded(calls++, Complete: true));
            parts.Add((PartKind.ToolCall, text));
        }
        events.Add(new AnswerEnded(end));
        return (events, parts);
    }

    private static IEnumerable<string> Cut(string text, int length) => text.Chunk(length).Select(c => new string(c)).ToList();
}
