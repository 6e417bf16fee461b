using System.Text;

namespace DeepSeekR1.Text;

/// <summary>What a part of an answer is.</summary>
public enum PartKind
{
    /// <summary>Thought.</summary>
    Thought,

    /// <summary>Answer.</summary>
    Answer,

    /// <summary>Tool call; its text is the arguments.</summary>
    ToolCall,
}

/// <summary>How far a part is.</summary>
public enum PartState
{
    /// <summary>More may come.</summary>
    Open,

    /// <summary>It has ended as it should.</summary>
    Complete,

    /// <summary>It was cut: by a limit, or in the middle of a call.</summary>
    Cut,
}

/// <summary>A part of an answer so far.</summary>
public sealed class OutputPart
{
    private readonly StringBuilder _text = new();

    internal OutputPart(PartKind kind, ToolCallBegun? call = null) => (Kind, Call) = (kind, call);

    /// <summary>What it is.</summary>
    public PartKind Kind { get; }

    /// <summary>Index, id and name of a tool call; null for texts.</summary>
    public ToolCallBegun? Call { get; }

    /// <summary>Its whole text so far.</summary>
    public string Text => _text.ToString();

    /// <summary>How far it is.</summary>
    public PartState State { get; internal set; }

    internal void Append(string text) => _text.Append(text);
}

/// <summary>What an event did to a part.</summary>
public enum PartChangeKind
{
    /// <summary>The part is new and empty.</summary>
    Begun,

    /// <summary>Text was added.</summary>
    Extended,

    /// <summary>Nothing follows in it.</summary>
    Ended,
}

/// <summary>A change of a part.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Part">The part, as it is behind the event.</param>
/// <param name="Text">What was added; empty but for <see cref="PartChangeKind.Extended"/>.</param>
public readonly record struct PartChange(PartChangeKind Kind, OutputPart Part, string Text = "");

/// <summary>
/// The parts of one answer, built up from its events in any cut: which there are, where each begins and ends, and its text so far. One part is
/// open at a time, a part begins with its first character (a thought without text is no part) and a call with its name. One thread.
/// </summary>
public sealed class OutputParts
{
    private readonly List<OutputPart> _parts = [];
    private readonly List<PartChange> _changes = [];

    /// <summary>All parts, in order.</summary>
    public IReadOnlyList<OutputPart> Parts => _parts;

    /// <summary>The part to which more may come; null between parts.</summary>
    public OutputPart? Open => _parts.Count > 0 && _parts[^1].State == PartState.Open ? _parts[^1] : null;

    /// <summary>How the answer ended; null while it runs.</summary>
    public AnswerEnded? End { get; private set; }

    /// <summary>The whole thought so far.</summary>
    public string Thought => Text(PartKind.Thought);

    /// <summary>The whole answer so far.</summary>
    public string Answer => Text(PartKind.Answer);

    /// <summary>Takes the next event.</summary>
    /// <returns>What it changed, in order; overwritten by the next call.</returns>
    /// <exception cref="InvalidOperationException">The event belongs to a call that is not open, or comes behind the end.</exception>
    public IReadOnlyList<PartChange> Append(OutputEvent next)
    {
        if (End is not null)
            throw new InvalidOperationException($"{next} comes behind the end of the answer.");
        _changes.Clear();
        switch (next)
        {
            case ThoughtText thought:
                Extend(PartKind.Thought, thought.Text);
                if (thought.Closed && Open is { Kind: PartKind.Thought })
                    Close(PartState.Complete);
                break;
            case AnswerText answer:
                Extend(PartKind.Answer, answer.Text);
                break;
            case ToolCallBegun call:
                Begin(new OutputPart(PartKind.ToolCall, call));
                break;
            case ToolArguments arguments:
                Require(arguments.Index, next);
                Add(arguments.Text);
                break;
            case ToolCallEnded ended:
                Require(ended.Index, next);
                Close(ended.Complete ? PartState.Complete : PartState.Cut);
                break;
            case AnswerEnded end:
                Close(end.Reason == EndReason.Length || Open is { Kind: PartKind.ToolCall } ? PartState.Cut : PartState.Complete);
                End = end;
                break;
        }
        return _changes;
    }

    private void Extend(PartKind kind, string text)
    {
        if (text.Length == 0)
            return;
        if (Open?.Kind != kind)
            Begin(new OutputPart(kind));
        Add(text);
    }

    private void Begin(OutputPart part)
    {
        // Text that is followed by something else is whole; a call that was not ended is not.
        Close(Open is { Kind: PartKind.ToolCall } ? PartState.Cut : PartState.Complete);
        _parts.Add(part);
        _changes.Add(new PartChange(PartChangeKind.Begun, part));
    }

    private void Add(string text)
    {
        if (text.Length == 0)
            return;
        _parts[^1].Append(text);
        _changes.Add(new PartChange(PartChangeKind.Extended, _parts[^1], text));
    }

    private void Close(PartState state)
    {
        if (Open is not { } part)
            return;
        part.State = state;
        _changes.Add(new PartChange(PartChangeKind.Ended, part));
    }

    private void Require(int index, OutputEvent next)
    {
        if (Open?.Call?.Index != index)
            throw new InvalidOperationException($"{next} belongs to no open tool call.");
    }

    private string Text(PartKind kind)
    {
        // Nearly always there is one.
        OutputPart? only = null;
        foreach (var part in _parts)
            if (part.Kind == kind && only is not null)
                return string.Concat(_parts.Where(p => p.Kind == kind).Select(p => p.Text));
            else if (part.Kind == kind)
                only = part;
        return only?.Text ?? "";
    }
}
