using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>
/// The bundled model's tokenizer: byte-level BPE with R1's special tokens and splits, except that every digit is a token of its own. Merges are learned
/// on the generator's dialogues.
/// </summary>
public static class ArithmeticTokenizer
{
    /// <summary>Size of the vocabulary.</summary>
    public const int VocabularySize = 512;

    /// <summary>Ids 0 to 2, as in R1.</summary>
    private static readonly string[] First = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"];

    /// <summary>R1's other added tokens; the flag says whether they are special.</summary>
    private static readonly (string Text, bool Special)[] Last =
    [
        ("<think>", false), ("</think>", false), ("<｜User｜>", false), ("<｜Assistant｜>", false), ("<|EOT|>", true),
        ("<｜tool▁calls▁begin｜>", false), ("<｜tool▁calls▁end｜>", false), ("<｜tool▁call▁begin｜>", false), ("<｜tool▁call▁end｜>", false), ("<｜tool▁outputs▁begin｜>", false),
        ("<｜tool▁outputs▁end｜>", false), ("<｜tool▁output▁begin｜>", false), ("<｜tool▁output▁end｜>", false), ("<｜tool▁sep｜>", false),
    ];

    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Learns the merges on so many dialogues and writes tokenizer.json and tokenizer_config.json into a folder.</summary>
    public static void Write(string folder, ArithmeticGenerator generator, int samples)
    {
        PreTokenizerStage[] stages =
        [
            new(PreTokenizerKind.IndividualDigits), new(PreTokenizerKind.Split, PreTokenizerPatterns.CjkRuns), new(PreTokenizerKind.Split, PreTokenizerPatterns.DeepSeekV3),
        ];
        var texts = Enumerable.Range(0, samples).Select(i => generator.Draw(i)).SelectMany(c => c.Turns.Select(t => t.Content).Append(c.Thought + "\n").Append("\n\n" + c.Reply));
        var merges = BpeTrainer.Learn(texts, stages, VocabularySize - First.Length - Last.Length - 256);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), Json(merges).ToJsonString(Readable) + "\n");
        var config = new JsonObject
        {
            ["add_bos_token"] = true,
            ["add_eos_token"] = false,
            ["bos_token"] = First[0],
            ["eos_token"] = First[1],
            ["pad_token"] = First[1],
            ["clean_up_tokenization_spaces"] = false,
            ["model_max_length"] = 2048,
            ["tokenizer_class"] = "LlamaTokenizerFast",
            ["unk_token"] = null,
        };
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), config.ToJsonString(Readable) + "\n");
    }

    private static JsonObject Json(IReadOnlyList<(string Left, string Right)> merges)
    {
        var vocabulary = new JsonObject();
        foreach (var token in First.Concat(BpeTrainer.ByteTokens).Concat(merges.Select(m => m.Left + m.Right)))
            vocabulary[token] = vocabulary.Count;
        int next = VocabularySize - Last.Length;
        var added = First.Select((text, id) => Added(id, text, true)).Concat(Last.Select((token, i) => Added(next + i, token.Text, token.Special)));
        JsonObject byteLevel = new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = false };
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. added]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Digits", ["individual_digits"] = true },
                    Split(PreTokenizerPatterns.CjkRuns),
                    Split(PreTokenizerPatterns.DeepSeekV3),
                    byteLevel),
            },
            ["post_processor"] = null,
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = true, ["trim_offsets"] = true, ["use_regex"] = true },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. merges.Select(m => new JsonArray(m.Left, m.Right))]),
            },
        };
    }

    private static JsonObject Split(string pattern) => new()
    {
        ["type"] = "Split",
        ["pattern"] = new JsonObject { ["Regex"] = pattern },
        ["behavior"] = "Isolated",
        ["invert"] = false,
    };

    private static JsonObject Added(int id, string text, bool special) => new()
    {
        ["id"] = id,
        ["content"] = text,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = special,
    };
}
