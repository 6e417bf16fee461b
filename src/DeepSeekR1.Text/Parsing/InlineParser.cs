namespace DeepSeekR1.Text.Parsing;

/// <summary>
/// The stage for clients that want the thought inside the answer: it stands there between its tags. A thought that has not ended by itself
/// is closed at the end, so that no reader of tags takes what follows for thought.
/// </summary>
internal sealed class InlineParser(Dialect dialect) : IOutputParser
{
    private bool _isOpen;

    /// <inheritdoc/>
    public void Append(OutputPiece piece, List<OutputPiece> output)
    {
        if (piece.Event is not ThoughtText thought)
        {
            output.Add(piece);
            return;
        }
        string text = (_isOpen ? "" : dialect.Open.Text) + thought.Text + (thought.Closed ? dialect.Close.Text : "");
        _isOpen = !thought.Closed;
        output.Add(piece with { Event = new AnswerText(text) });
    }

    /// <inheritdoc/>
    public void Finish(List<OutputPiece> output)
    {
        if (_isOpen)
            output.Add(new OutputPiece(new AnswerText(dialect.Close.Text)));
        _isOpen = false;
    }
}
