namespace DeepSeekR1.Text.Parsing;

/// <summary>What a piece of output text is.</summary>
public enum OutputKind
{
    /// <summary>Thought, between the think tags.</summary>
    Reasoning,

    /// <summary>Answer.</summary>
    Content,
}

/// <summary>A run of output text of one kind, never empty.</summary>
public readonly record struct OutputPiece(OutputKind Kind, string Text);

/// <summary>
/// Splits an output stream into thought and answer. One instance per sequence, one thread. The start state comes from the
/// rendered prompt; tags are matched by token id where the vocabulary has them, else by text across token borders.
/// <para>
/// A stream has at most one thought, and it comes first: <c>&lt;think&gt;</c> opens it only with nothing but white space before it, the
/// first <c>&lt;/think&gt;</c> closes it, and from then on both are plain text. An opening tag at the start of an open thought is
/// swallowed. Tag text is in no piece; all other text is, in order and as generated, also the newlines beside the tags (as in vLLM; white
/// space before a generated opening tag counts as thought). Held back is only what can still become a tag.
/// </para>
/// </summary>
public sealed class ReasoningParser
{
    /// <summary>The opening tag as text.</summary>
    public const string OpenTag = "<think>";

    /// <summary>The closing tag as text.</summary>
    public const string CloseTag = "</think>";

    private readonly Tag _open;
    private readonly Tag _close;
    private readonly Tag _tool;
    private readonly List<OutputPiece> _pieces = [];
    private State _state;
    private string _held = "";
    private bool _thoughtHasText;

    // Tokens all of whose text is held back.
    private int _undecidedTokens;

    /// <param name="startsInReasoning">The prompt ended inside an open thought.</param>
    /// <param name="openId">Id of the opening tag; null when the vocabulary has none.</param>
    /// <param name="closeId">Id of the closing tag; null when the vocabulary has none.</param>
    /// <param name="toolMarker">Text that begins tool calls and ends an open thought, and stays in the answer; null for none.</param>
    /// <param name="toolMarkerId">Id of that text; null when it is not one token.</param>
    public ReasoningParser(bool startsInReasoning, int? openId, int? closeId, string? toolMarker = null, int? toolMarkerId = null)
    {
        _state = startsInReasoning ? State.Thought : State.Start;
        _open = new Tag(OpenTag, openId);
        _close = new Tag(CloseTag, closeId);
        _tool = new Tag(toolMarker ?? "", toolMarkerId);
    }

    private enum State
    {
        // Nothing but white space so far, which is held back.
        Start,
        Thought,
        Answer,
    }

    /// <summary>True while the stream is inside a thought.</summary>
    public bool InReasoning => _state == State.Thought;

    /// <summary>Tokens counted as reasoning so far: thoughts and generated tags. Held-back tokens count once they are decided.</summary>
    public int ReasoningTokens { get; private set; }

    /// <summary>True once the model itself wrote the opening tag. For formats that write the tags into the answer.</summary>
    public bool OpenTagGenerated { get; private set; }

    /// <summary>True once the model itself wrote the closing tag; false where a tool call or the end ended the thought.</summary>
    public bool CloseTagGenerated { get; private set; }

    /// <summary>Takes one token and the text that became final with it.</summary>
    /// <returns>The pieces that are certain now. The list is the caller's.</returns>
    public IReadOnlyList<OutputPiece> Append(int tokenId, string text)
    {
        var before = _state;
        var buffered = _held.Length + text.Length;
        var toolStart = TakeTagToken(tokenId, text) ?? TakeText(text) ?? int.MaxValue;
        CountToken(before, buffered, text.Length, toolStart);
        return TakePieces();
    }

    /// <summary>Ends the stream: held-back text leaves.</summary>
    /// <param name="tail">Text that the detokenizer flushed.</param>
    public IReadOnlyList<OutputPiece> Finish(string tail = "")
    {
        var before = _state;
        var buffered = _held.Length;
        var toolStart = TakeText(tail) ?? int.MaxValue;
        ReasoningTokens += IsThought(before) && toolStart >= buffered ? _undecidedTokens : 0;
        _undecidedTokens = 0;
        Emit(_state == State.Thought ? OutputKind.Reasoning : OutputKind.Content, _held);
        _held = "";
        return TakePieces();
    }

    /// <summary>Start state for a prompt: true when its last think tag in template text is an opening one.</summary>
    public static bool StartsInReasoning(IReadOnlyList<TextSegment> prompt)
    {
        for (var index = prompt.Count - 1; index >= 0; index--)
        {
            if (prompt[index].FromMessage)
                continue;
            var open = prompt[index].Text.LastIndexOf(OpenTag, StringComparison.Ordinal);
            var close = prompt[index].Text.LastIndexOf(CloseTag, StringComparison.Ordinal);
            if (open != close)
                return open > close;
        }
        return false;
    }

    // Null when the token is no tag in this state. Else where a tool marker began in held text plus token; int.MaxValue for a think tag.
    private int? TakeTagToken(int tokenId, string text)
    {
        var tag = _state == State.Answer ? null : Array.Find([_open, _close, _tool], candidate => candidate.Id == tokenId);
        if (tag is null || (tag != _open && _state == State.Start))
            return null;
        // The text may begin with the end of an earlier character; a detokenizer that skips special tokens leaves the tag out.
        var start = text.LastIndexOf(tag.Text, StringComparison.Ordinal);
        var head = _held + (start < 0 ? text : text[..start]);
        if (tag == _open && (_thoughtHasText || !IsBlank(head)))
            return null;
        _held = "";
        EmitThought(head);
        Pass(tag);
        TakeText(start < 0 ? "" : text[(tag == _tool ? start : start + tag.Text.Length)..]);
        return tag == _tool ? head.Length : int.MaxValue;
    }

    // Where a tool marker began in held text plus this one; null without one.
    private int? TakeText(string text)
    {
        var buffer = _held + text;
        var start = 0;
        int? toolStart = null;
        _held = "";
        while (_state != State.Answer)
        {
            var (tag, end) = FindTag(buffer, start);
            if (_state == State.Start && !IsBlank(buffer[start..end]))
                _state = State.Answer;
            else if (tag is null)
            {
                _held = _state == State.Start ? buffer[start..] : buffer[end..];
                EmitThought(_state == State.Start ? "" : buffer[start..end]);
                return toolStart;
            }
            else
            {
                EmitThought(buffer[start..end]);
                Pass(tag);
                toolStart = tag == _tool ? end : toolStart;
                start = tag == _tool ? end : end + tag.Text.Length;
            }
        }
        Emit(OutputKind.Content, buffer[start..]);
        return toolStart;
    }

    // The first tag that is matched by text, and its offset; without one, the offset from which the text may still become one.
    private (Tag? Tag, int Offset) FindTag(string text, int start)
    {
        var isOpenPossible = !_thoughtHasText;
        for (var offset = start; offset < text.Length; offset++)
        {
            foreach (var tag in (ReadOnlySpan<Tag>)[_open, _close, _tool])
            {
                if (tag.Id is not null || tag.Text.Length == 0 || (tag == _open ? !isOpenPossible : _state == State.Start))
                    continue;
                var common = text.AsSpan(offset).CommonPrefixLength(tag.Text);
                if (common == tag.Text.Length)
                    return (tag, offset);
                if (common == text.Length - offset)
                    return (null, offset);
            }
            isOpenPossible &= char.IsWhiteSpace(text[offset]);
        }
        return (null, text.Length);
    }

    private void Pass(Tag tag)
    {
        OpenTagGenerated |= tag == _open;
        CloseTagGenerated |= tag == _close;
        _state = tag == _open ? State.Thought : State.Answer;
    }

    // A token counts when its kind is certain; one that lies whole in held-back text waits. The token was the last `length` of `buffered`.
    private void CountToken(State before, int buffered, int length, int toolStart)
    {
        if (before == State.Answer)
            return;
        var tokenStart = buffered - length;
        if (_held.Length < buffered || buffered == 0)
        {
            // A marker that began in held-back text was written by those tokens.
            ReasoningTokens += IsThought(before) && toolStart >= tokenStart ? _undecidedTokens : 0;
            _undecidedTokens = _state == State.Start ? _undecidedTokens : 0;
        }
        if (_state == State.Start || (_held.Length > 0 && _held.Length >= length))
            _undecidedTokens++;
        else if (IsThought(before) && toolStart > tokenStart)
            ReasoningTokens++;
    }

    // Whether what came in this state turned out to be thought.
    private bool IsThought(State before) => before == State.Thought || (before == State.Start && OpenTagGenerated);

    private void EmitThought(string text)
    {
        _thoughtHasText |= !IsBlank(text);
        Emit(OutputKind.Reasoning, text);
    }

    private void Emit(OutputKind kind, string text)
    {
        if (text.Length == 0)
            return;
        if (_pieces.Count > 0 && _pieces[^1].Kind == kind)
            _pieces[^1] = new OutputPiece(kind, _pieces[^1].Text + text);
        else
            _pieces.Add(new OutputPiece(kind, text));
    }

    private OutputPiece[] TakePieces()
    {
        OutputPiece[] pieces = [.. _pieces];
        _pieces.Clear();
        return pieces;
    }

    private static bool IsBlank(string text) => string.IsNullOrWhiteSpace(text);

    private sealed class Tag(string text, int? id)
    {
        public string Text => text;

        public int? Id => id;
    }
}
