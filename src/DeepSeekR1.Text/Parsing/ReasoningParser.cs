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
/// </summary>
public sealed class ReasoningParser
{
    /// <param name="startsInReasoning">The prompt ended inside an open thought.</param>
    /// <param name="openId">Id of the opening tag; null when the vocabulary has none.</param>
    /// <param name="closeId">Id of the closing tag; null when the vocabulary has none.</param>
    public ReasoningParser(bool startsInReasoning, int? openId, int? closeId) => throw new NotImplementedException($"{startsInReasoning}{openId}{closeId}");

    /// <summary>True while the stream is inside a thought.</summary>
    public bool InReasoning => throw new NotImplementedException();

    /// <summary>Tokens counted as reasoning so far: thoughts and generated tags.</summary>
    public int ReasoningTokens => throw new NotImplementedException();

    /// <summary>Takes one token and the text that became final with it.</summary>
    public IReadOnlyList<OutputPiece> Append(int tokenId, string text) => throw new NotImplementedException();

    /// <summary>Ends the stream: held-back text leaves.</summary>
    /// <param name="tail">Text that the detokenizer flushed.</param>
    public IReadOnlyList<OutputPiece> Finish(string tail = "") => throw new NotImplementedException();

    /// <summary>Start state for a prompt: true when its last think tag in template text is an opening one.</summary>
    public static bool StartsInReasoning(IReadOnlyList<TextSegment> prompt) => throw new NotImplementedException();
}
