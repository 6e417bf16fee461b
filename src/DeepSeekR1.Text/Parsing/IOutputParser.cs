namespace DeepSeekR1.Text.Parsing;

/// <summary>What passes from one stage of the chain to the next.</summary>
/// <param name="Event">The event. All text sets out as <see cref="AnswerText"/>; each stage makes of it what it knows. The text may be empty.</param>
/// <param name="Token">The token that made it certain, whose own text it ends with; <see cref="NoToken"/> where none did.</param>
/// <param name="IsCut">A stop string took away the end of the token's text.</param>
internal readonly record struct OutputPiece(OutputEvent Event, int Token = OutputPiece.NoToken, bool IsCut = false)
{
    /// <summary>No token: the end of the stream made it certain.</summary>
    public const int NoToken = -1;
}

/// <summary>
/// A stage of the chain that turns the tokens of one answer into events. Holds back only what it cannot decide yet, changes nothing that is
/// not its own, and keeps the order. One instance per answer, one thread.
/// </summary>
internal interface IOutputParser
{
    /// <summary>What stands in the answer before its first token.</summary>
    void Begin(List<OutputPiece> output)
    {
    }

    /// <summary>Takes the next piece and hands on what is certain now.</summary>
    void Append(OutputPiece piece, List<OutputPiece> output);

    /// <summary>The answer ends: what was held back leaves.</summary>
    void Finish(List<OutputPiece> output)
    {
    }
}
