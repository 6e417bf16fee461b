namespace DeepSeekR1.Engine;

/// <summary>
/// The published split patterns that the tokenizer knows, character for character as they stand in tokenizer.json files. A
/// pattern is recognised by equality; any other is refused.
/// </summary>
public static class PreTokenizerPatterns
{
    /// <summary>DeepSeek V3 and R1, first split: numbers by up to three.</summary>
    public const string NumbersByThree = @"\p{N}{1,3}";

    /// <summary>DeepSeek V3 and R1, second split: runs of Han, Hiragana and Katakana.</summary>
    public const string CjkRuns = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";

    /// <summary>DeepSeek V3 and R1, third split.</summary>
    public const string DeepSeekV3 =
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
        + "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

    /// <summary>Qwen 2, 2.5 and 3: numbers one by one.</summary>
    public const string Qwen2 = TiktokenHead + @"\p{N}" + TiktokenTail;

    /// <summary>Llama 3: numbers by up to three.</summary>
    public const string Llama3 = TiktokenHead + @"\p{N}{1,3}" + TiktokenTail;

    /// <summary>GPT-2, where it is written out instead of asked for by <c>use_regex</c>.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const string TiktokenHead = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
    private const string TiktokenTail = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
}
