namespace DeepSeekR1.Text.Parsing.Tools;

/// <summary>DeepSeek V3, R1 and the distillates: a section of calls between markers that R1 has as tokens.</summary>
internal sealed class DeepSeekToolFormat : ToolFormat
{
    /// <inheritdoc/>
    public override string CallsBegin => "<\uff5ctool\u2581calls\u2581begin\uff5c>";

    /// <inheritdoc/>
    public override IOutputParser Reader() => new CallsAsText();

    /// <summary>No request can offer tools, so what a model writes of calls all the same is part of its answer.</summary>
    private sealed class CallsAsText : IOutputParser
    {
        /// <inheritdoc/>
        public void Append(OutputPiece piece, List<OutputPiece> output) => output.Add(piece);
    }
}
