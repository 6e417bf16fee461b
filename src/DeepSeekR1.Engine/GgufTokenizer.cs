using DeepSeekR1.Models.Checkpoints;

namespace DeepSeekR1.Engine;

/// <summary>
/// Reads the <c>tokenizer.*</c> metadata of a GGUF file. The file names its pre-tokenizer (<c>tokenizer.ggml.pre</c>) instead of
/// describing it; the names stand for what the models' own tokenizer.json files do. Stateless.
/// </summary>
/// <remarks>
/// Where llama.cpp and tokenizer.json differ, tokenizer.json counts, as the model was trained with it: Qwen text is brought to NFC
/// (llama.cpp does not). A file has no post-processor; BOS and EOS are added as its <c>add_bos_token</c> and <c>add_eos_token</c> say.
/// </remarks>
internal static class GgufTokenizer
{
    private const string Prefix = "tokenizer.ggml.";

    /// <summary>Values of <c>tokenizer.ggml.token_type</c> (llama.h, <c>llama_token_type</c>).</summary>
    private enum TokenType
    {
        Normal = 1,
        Unknown = 2,
        Control = 3,
        UserDefined = 4,
        Unused = 5,
        Byte = 6,
    }

    private static readonly PreTokenizerStage[] Gpt2 = [new(PreTokenizerKind.Gpt2)];
    private static readonly PreTokenizerStage[] DigitsThenGpt2 = [new(PreTokenizerKind.IndividualDigits), new(PreTokenizerKind.Gpt2)];
    private static readonly PreTokenizerStage[] Llama3 = [new(PreTokenizerKind.Split, PreTokenizerPatterns.Llama3)];
    private static readonly PreTokenizerStage[] Qwen2 = [new(PreTokenizerKind.Split, PreTokenizerPatterns.Qwen2)];
    private static readonly PreTokenizerStage[] DeepSeekV3 =
    [
        new(PreTokenizerKind.Split, PreTokenizerPatterns.NumbersByThree),
        new(PreTokenizerKind.Split, PreTokenizerPatterns.CjkRuns),
        new(PreTokenizerKind.Split, PreTokenizerPatterns.DeepSeekV3),
    ];

    private static readonly Dictionary<string, PreTokenizerStage[]> StagesByName = new(StringComparer.Ordinal)
    {
        ["gpt-2"] = Gpt2,
        ["gpt2"] = Gpt2,
        ["smollm"] = DigitsThenGpt2,
        ["starcoder"] = DigitsThenGpt2,
        ["llama-bpe"] = Llama3,
        ["llama3"] = Llama3,
        ["llama-v3"] = Llama3,
        ["qwen2"] = Qwen2,
        ["deepseek-r1-qwen"] = Qwen2,
        ["deepseek-v3"] = DeepSeekV3,
    };

    /// <summary>The assets of the file.</summary>
    public static ModelTextAssets Read(GgufFile file)
    {
        var model = file.GetString(Prefix + "model");
        if (model != "gpt2")
            throw new StartupException($"'{file.Path}': {Prefix}model is \"{model}\"; only \"gpt2\" (byte-level BPE) is supported");
        var stages = FindStages(file);
        var tokens = file.GetStrings(Prefix + "tokens");
        var (vocabulary, added) = Sort(file, tokens);
        var (bos, eos) = (FindToken(file, tokens, "bos"), FindToken(file, tokens, "eos"));
        var addBos = file.GetBool(Prefix + "add_bos_token", stages == Llama3 && bos is not null);
        return new ModelTextAssets
        {
            Vocabulary = vocabulary,
            Merges = ReadMerges(file),
            AddedTokens = added,
            PreTokenizer = stages,
            NormalizeNfc = stages == Qwen2,
            IgnoreMerges = stages == Llama3,
            PrefixIds = Ids(file, addBos, bos, "bos"),
            SuffixIds = Ids(file, file.GetBool(Prefix + "add_eos_token", false), eos, "eos"),
            AddBosToken = addBos,
            BosToken = bos?.Text,
            EosToken = eos?.Text,
            ChatTemplate = file.Metadata.ContainsKey("tokenizer.chat_template") ? file.GetString("tokenizer.chat_template") : null,
        };
    }

    private static PreTokenizerStage[] FindStages(GgufFile file)
    {
        if (!file.Metadata.ContainsKey(Prefix + "pre"))
            throw new StartupException($"'{file.Path}' does not name its pre-tokenizer ({Prefix}pre); it was made by an old converter. "
                + "Convert the model again.");
        var name = file.GetString(Prefix + "pre");
        return StagesByName.TryGetValue(name, out var stages) ? stages : throw new StartupException(
            $"'{file.Path}': pre-tokenizer \"{name}\" is not supported; supported: {string.Join(", ", StagesByName.Keys)}");
    }

    private static (Dictionary<string, int> Vocabulary, List<AddedToken> Added) Sort(GgufFile file, IReadOnlyList<string> tokens)
    {
        var types = file.Metadata.ContainsKey(Prefix + "token_type") ? file.GetInts(Prefix + "token_type") : null;
        if (types is not null && types.Count != tokens.Count)
            throw new StartupException($"'{file.Path}': {types.Count} token types for {tokens.Count} tokens");
        var vocabulary = new Dictionary<string, int>(tokens.Count, StringComparer.Ordinal);
        var added = new List<AddedToken>();
        for (var id = 0; id < tokens.Count; id++)
        {
            var type = (TokenType)(types?[id] ?? (long)TokenType.Normal);
            if (type is TokenType.Unused)
                continue; // padding rows of the embedding
            if (type is TokenType.Control or TokenType.Unknown or TokenType.UserDefined)
                added.Add(new AddedToken(id, tokens[id], Special: type is not TokenType.UserDefined));
            else if (!vocabulary.TryAdd(tokens[id], id))
                throw new StartupException($"'{file.Path}': token \"{tokens[id]}\" has two ids, {vocabulary[tokens[id]]} and {id}");
        }
        return (vocabulary, added);
    }

    private static (string Left, string Right)[] ReadMerges(GgufFile file) =>
        [.. file.GetStrings(Prefix + "merges").Select(merge => merge.Split(' ') is [var left, var right]
            ? (left, right)
            : throw new StartupException($"'{file.Path}': the merge \"{merge}\" is not a pair"))];

    private static (int Id, string Text)? FindToken(GgufFile file, IReadOnlyList<string> tokens, string name)
    {
        if (!file.Metadata.ContainsKey($"{Prefix}{name}_token_id"))
            return null;
        var id = file.GetInt($"{Prefix}{name}_token_id");
        return id >= 0 && id < tokens.Count ? ((int)id, tokens[(int)id]) : throw new StartupException(
            $"'{file.Path}': {Prefix}{name}_token_id is {id}, but there are {tokens.Count} tokens");
    }

    private static int[] Ids(GgufFile file, bool wanted, (int Id, string Text)? token, string name)
    {
        if (!wanted)
            return [];
        return token is { } found ? [found.Id] : throw new StartupException(
            $"'{file.Path}': {Prefix}add_{name}_token is true, but there is no {Prefix}{name}_token_id");
    }
}
