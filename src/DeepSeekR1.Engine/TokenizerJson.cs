using System.Text.Json;

namespace DeepSeekR1.Engine;

/// <summary>
/// Reads a tokenizer.json of the <c>tokenizers</c> library, as far as byte-level BPE goes; everything else is refused with its
/// text. <c>truncation</c> and <c>padding</c> are ignored, as by every server. Stateless.
/// </summary>
internal static class TokenizerJson
{
    /// <summary>The assets without what only tokenizer_config.json knows.</summary>
    public static ModelTextAssets Read(JsonElement root)
    {
        var model = root.GetProperty("model");
        CheckModel(model);
        CheckDecoder(Optional(root, "decoder"));
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in model.GetProperty("vocab").EnumerateObject())
            vocabulary[entry.Name] = entry.Value.GetInt32();
        CheckUnknownToken(model, vocabulary);
        var (prefix, suffix) = ReadPostProcessor(Optional(root, "post_processor"));
        return new ModelTextAssets
        {
            Vocabulary = vocabulary,
            Merges = [.. model.GetProperty("merges").EnumerateArray().Select(ReadMerge)],
            AddedTokens = ReadAddedTokens(Optional(root, "added_tokens"), vocabulary),
            PreTokenizer = ReadPreTokenizer(Optional(root, "pre_tokenizer")),
            NormalizeNfc = IsNfc(Optional(root, "normalizer")),
            IgnoreMerges = IsTrue(model, "ignore_merges"),
            PrefixIds = prefix,
            SuffixIds = suffix,
        };
    }

    private static void CheckModel(JsonElement model)
    {
        var type = Optional(model, "type") is { } given ? given.GetString() : "BPE";
        if (type != "BPE")
            throw new StartupException($"model type \"{type}\" is not supported; only byte-level BPE is (every DeepSeek-R1 model has it)");
        if (IsTrue(model, "byte_fallback"))
            throw new StartupException("model.byte_fallback is true; only byte-level BPE is supported");
        foreach (var name in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
            if (Optional(model, name) is { } text && text.GetString() is { Length: > 0 })
                throw new StartupException($"model.{name} is {text.GetRawText()}; only \"\" and null are supported");
        if (Optional(model, "dropout") is { } dropout && dropout.GetDouble() != 0)
            throw new StartupException($"model.dropout is {dropout.GetRawText()}; only null and 0 are supported");
    }

    // With all 256 bytes no text is unknown; without some, they are left out, which only holds when there is no unknown token.
    private static void CheckUnknownToken(JsonElement model, Dictionary<string, int> vocabulary)
    {
        var hasAllBytes = vocabulary.Keys.Count(token => token.Length == 1 && token[0] is (> ' ' and < '\u0144')
            and not '\u007f' and not (>= '\u0080' and <= '\u00a0') and not '\u00ad') == 256;
        if (!hasAllBytes && Optional(model, "unk_token") is { } unknown)
            throw new StartupException(
                $"model.unk_token is {unknown.GetRawText()} while the vocabulary lacks bytes; only null is supported then");
    }

    // "a b" or ["a", "b"].
    private static (string Left, string Right) ReadMerge(JsonElement merge)
    {
        if (merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2)
            return (merge[0].GetString()!, merge[1].GetString()!);
        var parts = merge.ValueKind == JsonValueKind.String ? merge.GetString()!.Split(' ') : [];
        return parts.Length == 2 ? (parts[0], parts[1]) : throw new StartupException($"a merge is {TokenizerConfigJson.Quote(merge)}; "
            + "a pair was expected");
    }

    private static List<AddedToken> ReadAddedTokens(JsonElement? list, Dictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        foreach (var entry in list?.EnumerateArray() ?? default)
        {
            var token = new AddedToken(entry.GetProperty("id").GetInt32(), entry.GetProperty("content").GetString()!,
                IsTrue(entry, "special"), IsTrue(entry, "normalized"), IsTrue(entry, "lstrip"), IsTrue(entry, "rstrip"),
                IsTrue(entry, "single_word"));
            if (vocabulary.TryGetValue(token.Content, out var id) && id != token.Id)
                throw new StartupException($"added token \"{token.Content}\" has id {token.Id}, but id {id} in the vocabulary");
            tokens.Add(token);
        }
        return tokens;
    }

    private static bool IsNfc(JsonElement? normalizer) => TypeOf(normalizer) switch
    {
        null => false,
        "NFC" => true,
        "Sequence" => normalizer!.Value.GetProperty("normalizers").EnumerateArray()
            .Aggregate(false, (found, part) => IsNfc(part) || found),
        _ => throw Unsupported("normalizer", normalizer!.Value, "NFC"),
    };

    private static List<PreTokenizerStage> ReadPreTokenizer(JsonElement? preTokenizer)
    {
        if (preTokenizer is not { } root)
            throw new StartupException("pre_tokenizer is missing; only byte-level BPE is supported");
        List<JsonElement> parts = TypeOf(root) == "Sequence" ? [.. root.GetProperty("pretokenizers").EnumerateArray()] : [root];
        if (parts.Count == 0 || TypeOf(parts[^1]) != "ByteLevel")
            throw Unsupported("pre_tokenizer", root, "one that ends with ByteLevel");
        return [.. parts.SelectMany(ReadStage)];
    }

    private static IEnumerable<PreTokenizerStage> ReadStage(JsonElement stage) => TypeOf(stage) switch
    {
        "ByteLevel" when !IsTrue(stage, "add_prefix_space", whenAbsent: true) =>
            IsTrue(stage, "use_regex", whenAbsent: true) ? [new PreTokenizerStage(PreTokenizerKind.Gpt2)] : [],
        "Digits" when IsTrue(stage, "individual_digits") => [new PreTokenizerStage(PreTokenizerKind.IndividualDigits)],
        "Split" when stage.GetProperty("behavior").GetString() == "Isolated" && !IsTrue(stage, "invert")
            && Optional(stage.GetProperty("pattern"), "Regex") is { } regex =>
            [new PreTokenizerStage(PreTokenizerKind.Split, regex.GetString())],
        _ => throw Unsupported("pre_tokenizer", stage,
            "Split by an isolated Regex, Digits with individual_digits, ByteLevel without prefix space"),
    };

    private static (List<int> Prefix, List<int> Suffix) ReadPostProcessor(JsonElement? processor)
    {
        List<int> prefix = [], suffix = [];
        switch (TypeOf(processor))
        {
            case null or "ByteLevel":
                break;
            case "TemplateProcessing":
                ReadTemplate(processor!.Value, prefix, suffix);
                break;
            case "Sequence":
                foreach (var part in processor!.Value.GetProperty("processors").EnumerateArray())
                {
                    var (before, after) = ReadPostProcessor(part);
                    prefix.InsertRange(0, before);
                    suffix.AddRange(after);
                }
                break;
            default:
                throw Unsupported("post_processor", processor!.Value, "ByteLevel, TemplateProcessing");
        }
        return (prefix, suffix);
    }

    private static void ReadTemplate(JsonElement processor, List<int> prefix, List<int> suffix)
    {
        var target = prefix;
        foreach (var piece in processor.GetProperty("single").EnumerateArray())
        {
            if (Optional(piece, "SpecialToken") is { } special)
                target.AddRange(processor.GetProperty("special_tokens").GetProperty(special.GetProperty("id").GetString()!)
                    .GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
            else if (Optional(piece, "Sequence") is { } sequence && sequence.GetProperty("id").GetString() == "A" && target == prefix)
                target = suffix;
            else
                throw Unsupported("post_processor", processor, "a template with one sequence A");
        }
        if (target == prefix)
            throw Unsupported("post_processor", processor, "a template with one sequence A");
    }

    private static void CheckDecoder(JsonElement? decoder)
    {
        if (TypeOf(decoder) == "Sequence" && decoder!.Value.GetProperty("decoders") is { } parts && parts.GetArrayLength() == 1)
            decoder = parts[0];
        if (TypeOf(decoder) != "ByteLevel")
            throw new StartupException($"decoder {(decoder is { } value ? TokenizerConfigJson.Quote(value) : "null")} is not supported; "
                + "supported: ByteLevel");
    }

    private static StartupException Unsupported(string what, JsonElement value, string supported) =>
        new($"{what} {TokenizerConfigJson.Quote(value)} is not supported; supported: {supported}");

    private static string? TypeOf(JsonElement? element) => element?.GetProperty("type").GetString();

    private static JsonElement? Optional(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private static bool IsTrue(JsonElement element, string name, bool whenAbsent = false) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value.GetBoolean() : whenAbsent;
}
