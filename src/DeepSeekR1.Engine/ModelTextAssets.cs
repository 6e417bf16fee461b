namespace DeepSeekR1.Engine;

/// <summary>One added token of a tokenizer: a string that becomes one id before BPE sees the text.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Content">The exact text.</param>
/// <param name="Special">True when "skip special tokens" removes it from decoded text.</param>
/// <param name="Normalized">True when it is searched in normalized text, false when in raw text (and therefore first).</param>
/// <param name="LeftStrip">Also swallows white space before it.</param>
/// <param name="RightStrip">Also swallows white space after it.</param>
/// <param name="SingleWord">Matches only between word boundaries.</param>
public sealed record AddedToken(
    int Id,
    string Content,
    bool Special,
    bool Normalized = false,
    bool LeftStrip = false,
    bool RightStrip = false,
    bool SingleWord = false);

/// <summary>One stage of a pre-tokenizer, in the order of application.</summary>
/// <param name="Kind">What the stage does.</param>
/// <param name="Pattern">The regular expression of a <see cref="PreTokenizerKind.Split"/> stage, exactly as published.</param>
public sealed record PreTokenizerStage(PreTokenizerKind Kind, string? Pattern = null);

/// <summary>The kinds of pre-tokenizer stage that byte-level BPE checkpoints use.</summary>
public enum PreTokenizerKind
{
    /// <summary>Cut at every match of a pattern; matches are pieces of their own ("Isolated").</summary>
    Split,

    /// <summary>Every digit (\p{N}) is a piece of its own.</summary>
    IndividualDigits,

    /// <summary>GPT-2's own pattern, the built-in one of a ByteLevel stage with use_regex.</summary>
    Gpt2,
}

/// <summary>
/// Everything the text side needs of a checkpoint, as plain strings and integers, whatever the container
/// (tokenizer.json or GGUF metadata). Immutable; read once at load.
/// </summary>
public sealed record ModelTextAssets
{
    /// <summary>BPE vocabulary: byte-level piece (GPT-2's byte alphabet) to id. Without the added tokens that lie outside it.</summary>
    public required IReadOnlyDictionary<string, int> Vocabulary { get; init; }

    /// <summary>Merge rules in order of rank.</summary>
    public required IReadOnlyList<(string Left, string Right)> Merges { get; init; }

    /// <summary>Added tokens, special or not.</summary>
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>Pre-tokenizer stages in order.</summary>
    public required IReadOnlyList<PreTokenizerStage> PreTokenizer { get; init; }

    /// <summary>True when text is brought to Unicode NFC before anything else (Qwen family).</summary>
    public bool NormalizeNfc { get; init; }

    /// <summary>True when a pre-token that is in the vocabulary is taken whole, without merges (Llama 3).</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>Ids that the post-processor puts before a text when special tokens are asked for.</summary>
    public IReadOnlyList<int> PrefixIds { get; init; } = [];

    /// <summary>Ids that the post-processor puts after a text when special tokens are asked for.</summary>
    public IReadOnlyList<int> SuffixIds { get; init; } = [];

    /// <summary>tokenizer_config.json's <c>add_bos_token</c>: plain prompts of the server get BOS once (never templated text).</summary>
    public bool AddBosToken { get; init; }

    /// <summary>Text of the beginning-of-sequence token; null when there is none.</summary>
    public string? BosToken { get; init; }

    /// <summary>Text of the end-of-sequence token; null when there is none.</summary>
    public string? EosToken { get; init; }

    /// <summary>The checkpoint's own Jinja chat template; null when it has none.</summary>
    public string? ChatTemplate { get; init; }
}
