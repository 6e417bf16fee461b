namespace DeepSeekR1.Text.Tokenization;

/// <summary>Ids to text as they come: only complete UTF-8 leaves. One instance per sequence, one thread.</summary>
public sealed class IncrementalDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens)
{
    /// <summary>The text that became final with this id; may be empty.</summary>
    public string Append(int id) => throw new NotImplementedException(tokenizer.ToString() + skipSpecialTokens);

    /// <summary>What the end of the stream adds: an incomplete tail becomes one U+FFFD.</summary>
    public string Flush() => throw new NotImplementedException();
}
