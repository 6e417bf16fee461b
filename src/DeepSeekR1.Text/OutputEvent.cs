namespace DeepSeekR1.Text;

/// <summary>Why an answer ended.</summary>
public enum EndReason
{
    /// <summary>A stop token or a stop string.</summary>
    Stop,

    /// <summary>The token limit, the end of the context or the time limit.</summary>
    Length,
}

/// <summary>
/// Something that comes out of an answer. The set is closed: thought, answer, the three events of a tool call, and the end, which comes
/// last and once. The texts of one kind, joined, are that kind's text; where parts begin and end is told by <see cref="OutputParts"/>.
/// </summary>
public abstract record OutputEvent
{
    private protected OutputEvent()
    {
    }

    /// <summary>True for an event without text that only says where a thought begins or ends.</summary>
    public virtual bool IsMark => false;
}

/// <summary>More of the thought, without its tags.</summary>
/// <param name="Text">The text; empty where only a tag was read.</param>
/// <param name="Closed">The thought is over behind this text. A thought that the end cuts off is never closed.</param>
public sealed record ThoughtText(string Text, bool Closed = false) : OutputEvent
{
    /// <inheritdoc/>
    public override bool IsMark => Text.Length == 0;
}

/// <summary>More of the answer.</summary>
/// <param name="Text">The text, not empty.</param>
public sealed record AnswerText(string Text) : OutputEvent;

/// <summary>A tool call begins.</summary>
/// <param name="Index">Its place among the calls of this answer, from 0.</param>
/// <param name="Id">Its name in the answer that brings the result.</param>
/// <param name="Name">The tool.</param>
public sealed record ToolCallBegun(int Index, string Id, string Name) : OutputEvent;

/// <summary>More of the arguments of a tool call.</summary>
/// <param name="Index">The call.</param>
/// <param name="Text">JSON as the model wrote it.</param>
public sealed record ToolArguments(int Index, string Text) : OutputEvent;

/// <summary>A tool call ends.</summary>
/// <param name="Index">The call.</param>
/// <param name="Complete">False where the model broke off: such a call must not be run.</param>
public sealed record ToolCallEnded(int Index, bool Complete) : OutputEvent;

/// <summary>The answer ends.</summary>
/// <param name="Reason">Why.</param>
/// <param name="StopString">The stop string that was found; null when there was none.</param>
/// <param name="StopToken">The stop token that was generated; null when there was none.</param>
public sealed record AnswerEnded(EndReason Reason, string? StopString = null, int? StopToken = null) : OutputEvent;
