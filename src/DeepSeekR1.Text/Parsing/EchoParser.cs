namespace DeepSeekR1.Text.Parsing;

/// <summary>The stage that puts the beginning of an answer which the client sent itself before what the model adds.</summary>
internal sealed class EchoParser(Prefill echo) : IOutputParser
{
    /// <inheritdoc/>
    public void Begin(List<OutputPiece> output)
    {
        if (echo.Reasoning is { } thought)
            output.Add(new OutputPiece(new ThoughtText(thought, echo.Closed)));
        if (echo.Content.Length > 0)
            output.Add(new OutputPiece(new AnswerText(echo.Content)));
    }

    /// <inheritdoc/>
    public void Append(OutputPiece piece, List<OutputPiece> output) => output.Add(piece);
}
