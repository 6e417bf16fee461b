using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>Byte-level BPE tokenizer of a checkpoint. Immutable and safe for many threads.</summary>
public sealed class Tokenizer
{
    /// <summary>Builds the tokenizer. Throws <see cref="StartupException"/> naming what is not supported.</summary>
    public static Tokenizer Create(ModelTextAssets assets) => throw new NotImplementedException();

    /// <summary>Text to ids.</summary>
    /// <param name="text">Any text; lone surrogates become U+FFFD.</param>
    /// <param name="addSpecialTokens">Add what the post-processor adds (BOS and the like).</param>
    /// <param name="parseAddedTokens">Recognise added tokens inside the text; false for text of users.</param>
    public int[] Encode(string text, bool addSpecialTokens = false, bool parseAddedTokens = true) => throw new NotImplementedException();

    /// <summary>Rendered prompt to ids: added tokens count in template text only; the text between two of them is one piece.</summary>
    public int[] Encode(IReadOnlyList<TextSegment> segments) => throw new NotImplementedException();

    /// <summary>Ids to text; ids without a token yield nothing.</summary>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens) => throw new NotImplementedException();

    /// <summary>Id of an added token or vocabulary entry by its exact text; null when there is none.</summary>
    public int? FindToken(string content) => throw new NotImplementedException();

    /// <summary>The token's bytes (UTF-8 of an added token); empty when the id has no token.</summary>
    public ReadOnlyMemory<byte> Bytes(int id) => throw new NotImplementedException();

    /// <summary>True for added tokens with the special flag.</summary>
    public bool IsSpecial(int id) => throw new NotImplementedException();

    /// <summary>Largest id with a token, plus one.</summary>
    public int VocabularySize => throw new NotImplementedException();
}
