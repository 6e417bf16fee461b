namespace DeepSeekR1.Text.Parsing.Tools;

/// <summary>
/// How a family of models writes tool calls. One file a format, and a line in <see cref="Dialect"/>, which finds the format of a model.
/// Immutable and safe for many threads; what has state is the reader, one for every answer.
/// </summary>
internal abstract class ToolFormat
{
    /// <summary>What begins calls: a token of the vocabulary, or text. It ends a thought that is open.</summary>
    public abstract string CallsBegin { get; }

    /// <summary>
    /// The stage behind the thought that makes tool events of the answer's text. White space between a thought and a call opens no answer: the
    /// reader holds it back until it knows.
    /// </summary>
    public abstract IOutputParser Reader();
}
