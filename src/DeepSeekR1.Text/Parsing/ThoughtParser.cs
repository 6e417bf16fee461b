namespace DeepSeekR1.Text.Parsing;

/// <summary>
/// The stage that tells thought from answer. The start state comes from the rendered prompt; tags are matched by token id where the vocabulary
/// has them, else by text across token borders.
/// <para>
/// A stream has at most one thought, and it comes first: the opening tag opens it only with nothing but white space before it, the first
/// closing tag closes it, and from then on both are plain text. An opening tag at the start of an open thought is swallowed; what begins tool
/// calls ends a thought and stays. Tag text is in no event; all other text is, in order and as generated, also the newlines beside the tags (as
/// in vLLM; white space before a generated opening tag counts as thought). Held back is only what can still become a tag.
/// </para>
/// </summary>
/// <param name="dialect">The tags.</param>
/// <param name="startsInside">The prompt ended inside an open thought.</param>
internal sealed class ThoughtParser(Dialect dialect, bool startsInside) : IOutputParser
{
    private static readonly OutputPiece Nothing = new(new AnswerText(""));
    private readonly DialectTag[] _tags = [dialect.Open, dialect.Close, dialect.ToolCalls];
    private State _state = startsInside ? State.Thought : State.Start;
    private string _held = "";
    private bool _hasText, _hasOpened, _isTold;
    private OutputPiece _piece;
    private List<OutputPiece> _output = [];

    // Tokens all of whose text is held back.
    private int _undecided;

    private enum State
    {
        // Nothing but white space so far, which is held back.
        Start,
        Thought,
        Answer,
    }

    /// <summary>True while the stream is inside a thought.</summary>
    public bool IsInside => _state == State.Thought;

    /// <summary>Tokens counted as thought so far: thoughts and generated tags. Held-back tokens count once they are decided.</summary>
    public int Tokens { get; private set; }

    /// <inheritdoc/>
    public void Begin(List<OutputPiece> output)
    {
        (_piece, _output) = (Nothing, output);
        TellState();
    }

    /// <inheritdoc/>
    public void Append(OutputPiece piece, List<OutputPiece> output)
    {
        if (_state == State.Answer && !_isTold)
        {
            output.Add(piece);
            return;
        }
        (_piece, _output) = (piece, output);
        string text = ((AnswerText)piece.Event).Text;
        if (piece.Token == OutputPiece.NoToken)
        {
            TakeTail(text);
            return;
        }
        var before = _state;
        int buffered = _held.Length + text.Length;
        int toolStart = TakeTagToken(piece.Token, text) ?? TakeText(text) ?? int.MaxValue;
        CountToken(before, buffered, text.Length, toolStart);

        // A tag of which a stop string cut something off is not told.
        if (!piece.IsCut)
            TellState();
    }

    /// <inheritdoc/>
    public void Finish(List<OutputPiece> output)
    {
        (_piece, _output) = (Nothing, output);
        TakeTail("");
        if (_state == State.Thought)
            Think(_held);
        else
            Answer(_held);
        _held = "";
    }

    /// <summary>Text of no token; what was held back is decided with it.</summary>
    private void TakeTail(string text)
    {
        var before = _state;
        int buffered = _held.Length;
        int toolStart = TakeText(text) ?? int.MaxValue;
        Tokens += IsThought(before) && toolStart >= buffered ? _undecided : 0;
        _undecided = 0;
    }

    // Null when the token is no tag in this state (which is not the answer). Else where tool calls began in held text plus token;
    // int.MaxValue for a think tag.
    private int? TakeTagToken(int token, string text)
    {
        var tag = Array.Find(_tags, candidate => candidate.Id == token);
        if (tag is null || (_state == State.Start && tag != dialect.Open))
            return null;

        // The text may begin with the end of an earlier character; a detokenizer that skips special tokens leaves the tag out.
        int start = text.LastIndexOf(tag.Text, StringComparison.Ordinal);
        string head = _held + (start < 0 ? text : text[..start]);
        if (tag == dialect.Open && (_hasText || !string.IsNullOrWhiteSpace(head)))
            return null;
        _held = "";
        Think(head);
        Pass(tag);
        TakeText(start < 0 ? "" : text[(tag == dialect.ToolCalls ? start : start + tag.Text.Length)..]);
        return tag == dialect.ToolCalls ? head.Length : int.MaxValue;
    }

    // Where tool calls began in held text plus this one; null where none did.
    private int? TakeText(string text)
    {
        string buffer = _held + text;
        int start = 0;
        int? toolStart = null;
        _held = "";
        while (_state != State.Answer)
        {
            var (tag, end) = FindTag(buffer, start);
            if (_state == State.Start && !string.IsNullOrWhiteSpace(buffer[start..end]))
                _state = State.Answer;
            else if (tag is null)
            {
                _held = _state == State.Start ? buffer[start..] : buffer[end..];
                Think(_state == State.Start ? "" : buffer[start..end]);
                return toolStart;
            }
            else
            {
                Think(buffer[start..end]);
                Pass(tag);
                toolStart = tag == dialect.ToolCalls ? end : toolStart;
                start = tag == dialect.ToolCalls ? end : end + tag.Text.Length;
            }
        }
        Answer(buffer[start..]);
        return toolStart;
    }

    // The first tag that is matched by text, and its offset; without one, the offset from which the text may still become one.
    private (DialectTag? Tag, int Offset) FindTag(string text, int start)
    {
        bool isOpenPossible = !_hasText;
        for (int offset = start; offset < text.Length; offset++)
        {
            foreach (var tag in _tags)
            {
                if (tag.Id is not null || tag.Text.Length == 0 || (tag == dialect.Open ? !isOpenPossible : _state == State.Start))
                    continue;
                int common = text.AsSpan(offset).CommonPrefixLength(tag.Text);
                if (common == tag.Text.Length)
                    return (tag, offset);
                if (common == text.Length - offset)
                    return (null, offset);
            }
            isOpenPossible &= char.IsWhiteSpace(text[offset]);
        }
        return (null, text.Length);
    }

    private void Pass(DialectTag tag)
    {
        _hasOpened |= tag == dialect.Open;
        _state = tag == dialect.Open ? State.Thought : State.Answer;
    }

    // A token counts when its kind is certain; one that lies whole in held-back text waits. The token was the last `length` of `buffered`.
    private void CountToken(State before, int buffered, int length, int toolStart)
    {
        if (before == State.Answer)
            return;
        int tokenStart = buffered - length;
        if (_held.Length < buffered || buffered == 0)
        {
            // A marker that began in held-back text was written by those tokens.
            Tokens += IsThought(before) && toolStart >= tokenStart ? _undecided : 0;
            _undecided = _state == State.Start ? _undecided : 0;
        }
        if (_state == State.Start || (_held.Length > 0 && _held.Length >= length))
            _undecided++;
        else if (IsThought(before) && toolStart > tokenStart)
            Tokens++;
    }

    // Whether what came in this state turned out to be thought.
    private bool IsThought(State before) => before == State.Thought || (before == State.Start && _hasOpened);

    private void Think(string text)
    {
        _hasText |= !string.IsNullOrWhiteSpace(text);
        if (text.Length > 0)
            Tell(new ThoughtText(text), inside: true);
    }

    private void Answer(string text)
    {
        if (text.Length == 0)
            return;
        if (_isTold)
            Tell(new ThoughtText("", Closed: true), inside: false);
        Tell(new AnswerText(text), inside: false);
    }

    private void TellState()
    {
        if (IsInside != _isTold)
            Tell(new ThoughtText("", Closed: !IsInside), IsInside);
    }

    private void Tell(OutputEvent what, bool inside)
    {
        _output.Add(_piece with { Event = what });
        _isTold = inside;
    }
}
