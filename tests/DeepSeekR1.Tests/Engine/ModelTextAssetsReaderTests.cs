using System.Text;
using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Engine;

/// <summary>What is read from tokenizer files and GGUF metadata, and what is refused.</summary>
public sealed class ModelTextAssetsReaderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("assets").FullName;

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenFact]
    public void FromFolder_DeepSeekR1_HasEverything()
    {
        var assets = ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", "deepseek-r1"));
        Assert.Equal((128_000, 127_741, 818), (assets.Vocabulary.Count, assets.Merges.Count, assets.AddedTokens.Count));
        Assert.Equal("<\uff5cbegin\u2581of\u2581sentence\uff5c>", assets.BosToken);
        Assert.Equal("<\uff5cend\u2581of\u2581sentence\uff5c>", assets.EosToken);
        Assert.Equal((true, false, false), (assets.AddBosToken, assets.NormalizeNfc, assets.IgnoreMerges));
        Assert.Empty(assets.PrefixIds);
        Assert.Contains(new AddedToken(128_798, "<think>", Special: false, Normalized: true), assets.AddedTokens);
        Assert.Equal([PreTokenizerPatterns.NumbersByThree, PreTokenizerPatterns.CjkRuns, PreTokenizerPatterns.DeepSeekV3],
            assets.PreTokenizer.Select(stage => stage.Pattern));
        Assert.StartsWith("{%", assets.ChatTemplate, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void FromFolder_OtherFamilies_DifferWhereTheyShould()
    {
        var qwen = ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", "deepseek-r1-distill-qwen"));
        Assert.Equal([151_646], qwen.PrefixIds);
        Assert.True(qwen.NormalizeNfc && qwen.AddBosToken);
        var llama = ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", "llama3.1"));
        Assert.Equal([128_000], llama.PrefixIds);
        Assert.True(llama.IgnoreMerges && !llama.AddBosToken);
        Assert.Equal("<|eot_id|>", llama.EosToken);
        Assert.Null(ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", "qwen3")).BosToken);
    }

    [GoldenFact]
    public void FromFolder_EveryGoldenModel_BuildsATokenizer()
    {
        var folders = Directory.GetDirectories(Goldens.At("models"));
        foreach (var folder in folders)
        {
            var tokenizer = Tokenizer.Create(ModelTextAssetsReader.FromFolder(folder));
            Assert.Equal("Hi \u4e2d\U0001F600", tokenizer.Decode(tokenizer.Encode("Hi \u4e2d\U0001F600"), false));
        }
        Assert.Equal(12, folders.Length);
    }

    [GoldenFact]
    public void FromFolder_ChatTemplates_ComeFromTheMostSpecificFile()
    {
        WriteTokenizer(_ => { });
        Assert.Null(ModelTextAssetsReader.FromFolder(_folder).ChatTemplate);
        Write("tokenizer_config.json", """
            {"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}], "bos_token": {"content": "B"}}
            """);
        var assets = ModelTextAssetsReader.FromFolder(_folder);
        Assert.Equal(("D", "B", null), (assets.ChatTemplate, assets.BosToken, assets.EosToken));
        Write("chat_template.json", """{"chat_template": "J"}""");
        Assert.Equal("J", ModelTextAssetsReader.FromFolder(_folder).ChatTemplate);
        Write("chat_template.jinja", "{{ X }}\n");
        Assert.Equal("{{ X }}\n", ModelTextAssetsReader.FromFolder(_folder).ChatTemplate);
    }

    [Fact]
    public void FromFolder_WithoutTokenizerJson_NamesTheFileAndTheNextStep()
    {
        var message = Assert.Throws<StartupException>(() => ModelTextAssetsReader.FromFolder(_folder)).Message;
        Assert.Contains(Path.Combine(_folder, "tokenizer.json"), message, StringComparison.Ordinal);
        Assert.Contains("Download", message, StringComparison.Ordinal);
    }

    [GoldenTheory]
    [InlineData("model.type", "\"Unigram\"", "Unigram")]
    [InlineData("model.byte_fallback", "true", "byte_fallback")]
    [InlineData("model.dropout", "0.1", "0.1")]
    [InlineData("model.continuing_subword_prefix", "\"##\"", "##")]
    [InlineData("model.unk_token", "\"[UNK]\"", "[UNK]")]
    [InlineData("model.merges", "[\"a b c\"]", "a b c")]
    [InlineData("model.merges", "[[\"a\"]]", "[\"a\"]")]
    [InlineData("model.vocab", "{\"a\": \"b\"}", "tokenizer.json")]
    [InlineData("model.vocab", "{\"a\": 99999999999}", "tokenizer.json")]
    [InlineData("model", "7", "tokenizer.json")]
    [InlineData("normalizer", "{\"type\": \"Lowercase\"}", "Lowercase")]
    [InlineData("normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Strip\"}]}", "Strip")]
    [InlineData("pre_tokenizer", "null", "pre_tokenizer")]
    [InlineData("pre_tokenizer", "{\"type\": \"Whitespace\"}", "Whitespace")]
    [InlineData("pre_tokenizer", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}", "add_prefix_space")]
    [InlineData("pre_tokenizer", "{\"type\": \"ByteLevel\"}", "ByteLevel")]
    [InlineData("decoder", "null", "decoder")]
    [InlineData("decoder", "{\"type\": \"Metaspace\"}", "Metaspace")]
    [InlineData("post_processor", "{\"type\": \"BertProcessing\"}", "BertProcessing")]
    [InlineData("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [], \"special_tokens\": {}}", "TemplateProcessing")]
    [InlineData("added_tokens", "[{\"id\": 3, \"content\": \"a\"}]", "\"a\"")]
    [InlineData("added_tokens", "[{\"id\": 3}]", "tokenizer.json")]
    public void FromFolder_UnsupportedShapes_AreRefusedWithTheirText(string path, string json, string quoted)
    {
        WriteTokenizer(root =>
        {
            var parts = path.Split('.');
            var target = parts.Length == 1 ? root : root[parts[0]]!.AsObject();
            target[parts[^1]] = JsonNode.Parse(json);
        });
        var message = Assert.Throws<StartupException>(() => ModelTextAssetsReader.FromFolder(_folder)).Message;
        Assert.Contains(quoted, message, StringComparison.Ordinal);
        Assert.Contains(_folder, message, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void FromFolder_SplitThatIsNotIsolated_IsRefused()
    {
        WriteTokenizer(root => root["pre_tokenizer"]!["pretokenizers"]![0]!["behavior"] = "Removed");
        var message = Assert.Throws<StartupException>(() => ModelTextAssetsReader.FromFolder(_folder)).Message;
        Assert.Contains("Removed", message, StringComparison.Ordinal);
    }

    [Fact]
    public void FromFolder_BrokenJson_NamesTheFile()
    {
        Write("tokenizer.json", "{\"model\": ");
        var message = Assert.Throws<StartupException>(() => ModelTextAssetsReader.FromFolder(_folder)).Message;
        Assert.Contains("tokenizer.json", message, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void FromGguf_RealModel_HasEverything()
    {
        var assets = ModelTextAssetsReader.FromGguf(GgufFile.Open(
            Path.Combine(Goldens.Models, "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf")));
        Assert.Equal((49_152 - 17, 48_900, 17), (assets.Vocabulary.Count, assets.Merges.Count, assets.AddedTokens.Count));
        Assert.Equal(("<|im_start|>", "<|im_end|>", false), (assets.BosToken, assets.EosToken, assets.AddBosToken));
        Assert.Equal([PreTokenizerKind.IndividualDigits, PreTokenizerKind.Gpt2], assets.PreTokenizer.Select(stage => stage.Kind));
        Assert.All(assets.AddedTokens, token => Assert.True(token.Special));
        Assert.StartsWith("{% for message in messages %}", assets.ChatTemplate, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void FromGguf_EveryGoldenModel_BuildsATokenizer()
    {
        foreach (var name in (string[])["llama", "llama3-scaled", "qwen2", "deepseek2"])
        {
            var assets = ModelTextAssetsReader.FromGguf(GgufFile.Open(Goldens.At("gguf", name + ".gguf")));
            Assert.Equal((name.StartsWith("llama", StringComparison.Ordinal), name == "qwen2"), (assets.IgnoreMerges, assets.NormalizeNfc));
            Assert.Equal([1], Tokenizer.Create(assets).Encode("<s>"));
        }
    }

    [Fact]
    public void FromGguf_TokenTypesAndFlags_BecomeAddedTokensAndIds()
    {
        var assets = ModelTextAssetsReader.FromGguf(WriteGguf(new()
        {
            ["tokenizer.ggml.pre"] = "llama-bpe",
            ["tokenizer.ggml.tokens"] = (string[])["a", "b", "ab", "<s>", "<tool>", "[PAD]", "</s>"],
            ["tokenizer.ggml.token_type"] = (int[])[1, 1, 1, 3, 4, 5, 3],
            ["tokenizer.ggml.bos_token_id"] = 3,
            ["tokenizer.ggml.eos_token_id"] = 6,
            ["tokenizer.ggml.add_eos_token"] = true,
        }));
        Assert.Equal(["a", "b", "ab"], assets.Vocabulary.Keys);
        Assert.Equal([new(3, "<s>", true), new(4, "<tool>", false), new(6, "</s>", true)], assets.AddedTokens);
        Assert.Equal(("<s>", "</s>"), (assets.BosToken, assets.EosToken));
        Assert.True(assets.AddBosToken); // llama-bpe adds BOS unless told not to
        Assert.Equal([3], assets.PrefixIds);
        Assert.Equal([6], assets.SuffixIds);
    }

    [Theory]
    [InlineData("tokenizer.ggml.pre", "deepseek-llm", "deepseek-llm")]
    [InlineData("tokenizer.ggml.pre", null, "tokenizer.ggml.pre")]
    [InlineData("tokenizer.ggml.model", "llama", "\"llama\"")]
    [InlineData("tokenizer.ggml.model", null, "tokenizer.ggml.model")]
    [InlineData("tokenizer.ggml.merges", null, "tokenizer.ggml.merges")]
    [InlineData("tokenizer.ggml.bos_token_id", 7, "7")]
    [InlineData("tokenizer.ggml.add_bos_token", true, "add_bos_token")]
    [InlineData("tokenizer.ggml.add_bos_token", "yes", "add_bos_token")]
    public void FromGguf_UnsupportedMetadata_IsRefusedWithItsText(string key, object? value, string quoted)
    {
        var metadata = new Dictionary<string, object?> { [key] = value };
        var message = Assert.Throws<StartupException>(() => ModelTextAssetsReader.FromGguf(WriteGguf(metadata))).Message;
        Assert.Contains(quoted, message, StringComparison.Ordinal);
        Assert.Contains("test.gguf", message, StringComparison.Ordinal);
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);

    // The small tokenizer of the goldens, without the byte 0x00, with a change. (A byte is missing so that unk_token matters.)
    private void WriteTokenizer(Action<JsonObject> change)
    {
        var root = JsonNode.Parse(File.ReadAllText(Goldens.At("tokenizers", "tiny-bpe", "tokenizer.json")))!.AsObject();
        root["model"]!["vocab"]!.AsObject().Remove("\u0100");
        change(root);
        Write("tokenizer.json", root.ToJsonString());
    }

    // A file of metadata only; null removes one of the keys that every file has.
    private GgufFile WriteGguf(Dictionary<string, object?> changes)
    {
        var metadata = new Dictionary<string, object?>
        {
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.pre"] = "qwen2",
            ["tokenizer.ggml.tokens"] = (string[])["a", "b", "ab"],
            ["tokenizer.ggml.merges"] = (string[])["a b"],
        };
        foreach (var (key, value) in changes)
            metadata[key] = value;
        var path = Path.Combine(_folder, "test.gguf");
        using (var writer = new BinaryWriter(File.Create(path)))
        {
            writer.Write(0x46554747);
            writer.Write(3);
            writer.Write(0L);
            writer.Write((long)metadata.Values.Count(value => value is not null));
            foreach (var (key, value) in metadata.Where(pair => pair.Value is not null))
                WritePair(writer, key, value!);
        }
        return GgufFile.Open(path);
    }

    private static void WritePair(BinaryWriter writer, string key, object value)
    {
        WriteString(writer, key);
        switch (value)
        {
            case string text:
                writer.Write(8);
                WriteString(writer, text);
                break;
            case int number:
                writer.Write(5);
                writer.Write(number);
                break;
            case bool flag:
                writer.Write(7);
                writer.Write(flag);
                break;
            case int[] numbers:
                writer.Write(9);
                writer.Write(5);
                writer.Write((long)numbers.Length);
                Array.ForEach(numbers, writer.Write);
                break;
            case string[] texts:
                writer.Write(9);
                writer.Write(8);
                writer.Write((long)texts.Length);
                Array.ForEach(texts, text => WriteString(writer, text));
                break;
        }
    }

    private static void WriteString(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((long)bytes.Length);
        writer.Write(bytes);
    }
}
