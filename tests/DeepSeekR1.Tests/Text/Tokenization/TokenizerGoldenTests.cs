using System.Text.Json;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text.Tokenization;

/// <summary>Every id, text and streamed piece of the reference library's outputs.</summary>
public sealed class TokenizerGoldenTests
{
    [GoldenTheory]
    [InlineData("deepseek-r1", 720)]
    [InlineData("deepseek-r1-distill-qwen", 727)]
    [InlineData("qwen3", 703)]
    [InlineData("llama3.1", 716)]
    [InlineData("tiny-bpe", 255)]
    public void EncodeAndDecode_EveryCase_IsTheReference(string folder, int expectedCases)
    {
        var tokenizer = TokenizerGoldens.Get(folder);
        var cases = 0;
        var failures = new List<string>();
        foreach (var line in TokenizerGoldens.Lines("tokenizers", folder, "cases.jsonl"))
        {
            cases++;
            var expected = line.Ids("ids");
            var ids = tokenizer.Encode(line.Text("text"), line.GetProperty("add_special_tokens").GetBoolean(),
                line.GetProperty("parse_added").GetBoolean());
            if (!ids.SequenceEqual(expected))
                failures.Add($"{line.Text("id")}: ids {string.Join(',', ids.Take(50))} instead of {string.Join(',', expected.Take(50))}");
            if (tokenizer.Decode(expected, skipSpecialTokens: false) != line.Text("decoded"))
                failures.Add($"{line.Text("id")}: decoded");
            if (tokenizer.Decode(expected, skipSpecialTokens: true) != line.Text("decoded_skip_special"))
                failures.Add($"{line.Text("id")}: decoded_skip_special");
        }
        Assert.True(failures.Count == 0, $"{failures.Count} failures: {string.Join("; ", failures.Take(10))}");
        Assert.Equal(expectedCases, cases);
    }

    [GoldenTheory]
    [InlineData("deepseek-r1")]
    [InlineData("deepseek-r1-distill-qwen")]
    [InlineData("qwen3")]
    [InlineData("llama3.1")]
    [InlineData("tiny-bpe")]
    public void Append_EveryStream_GivesTheReferencePieces(string folder)
    {
        var tokenizer = TokenizerGoldens.Get(folder);
        var cases = 0;
        foreach (var line in TokenizerGoldens.Lines("tokenizers", folder, "stream.jsonl"))
        {
            cases++;
            var detokenizer = new IncrementalDetokenizer(tokenizer, line.GetProperty("skip_special").GetBoolean());
            var pieces = line.Ids("ids").Select(detokenizer.Append).ToList();
            var flush = detokenizer.Flush();
            var expected = line.GetProperty("pieces").EnumerateArray().Select(piece => piece.GetString()!);
            Assert.True(expected.SequenceEqual(pieces) && flush == line.Text("flush"), $"{folder} {line.Text("id")}");
            Assert.Equal(line.Text("text"), string.Concat(pieces) + flush);
        }
        Assert.Equal(142, cases);
    }

    [GoldenFact]
    public void Encode_RenderedPrompts_AreTheReference()
    {
        var templates = TokenizerGoldens.Lines("templates", "cases.jsonl").ToDictionary(line => line.Text("id"));
        var (cases, different) = (0, 0);
        foreach (var line in TokenizerGoldens.Lines("templates", "prompt-ids.jsonl"))
        {
            cases++;
            var tokenizer = TokenizerGoldens.Get(line.Text("tokenizer"));
            var rendered = templates[line.Text("id")];
            TextSegment[] segments = [.. rendered.GetProperty("segments").EnumerateArray()
                .Select(segment => new TextSegment(segment.Text("text"), segment.GetProperty("from_message").GetBoolean()))];
            Assert.True(line.Ids("ids").SequenceEqual(tokenizer.Encode(segments)), line.Text("id"));
            var isDifferent = line.TryGetProperty("ids_hf", out _);
            different += isDifferent ? 1 : 0;
            var whole = tokenizer.Encode(rendered.Text("expected"));
            Assert.True(line.Ids(isDifferent ? "ids_hf" : "ids").SequenceEqual(whole), line.Text("id"));
        }
        Assert.Equal((269, 27), (cases, different));
    }

    [GoldenFact]
    public void EncodeAndDecode_SmallRealModel_IsTheReference()
    {
        var tokenizer = TokenizerGoldens.GetSmol();
        using var file = JsonDocument.Parse(File.ReadAllText(Path.Combine(TokenizerGoldens.SmolFolder, "tokenizer-cases.json")));
        var cases = 0;
        foreach (var line in file.RootElement.GetProperty("cases").EnumerateArray())
        {
            cases++;
            var expected = line.Ids("ids");
            Assert.True(expected.SequenceEqual(tokenizer.Encode(line.Text("text"))), line.Text("text"));
            Assert.Equal(line.Text("decoded"), tokenizer.Decode(expected, skipSpecialTokens: false));
        }
        Assert.Equal(361, cases);
    }

    [GoldenFact]
    public void Encode_SmallRealModelsPrompts_AreTheReference()
    {
        var tokenizer = TokenizerGoldens.GetSmol();
        using var file = JsonDocument.Parse(File.ReadAllText(Path.Combine(TokenizerGoldens.SmolFolder, "reference.json")));
        var cases = 0;
        foreach (var list in (string[])["chat", "raw"])
        {
            foreach (var line in file.RootElement.GetProperty(list).EnumerateArray())
            {
                cases++;
                Assert.True(line.Ids("prompt_ids").SequenceEqual(tokenizer.Encode(line.Text("prompt"))), line.Text("name"));
                Assert.Equal(line.Text("greedy_text"), tokenizer.Decode(line.Ids("greedy_ids"), skipSpecialTokens: true));
            }
        }
        Assert.Equal(21, cases);
        using var perplexity = JsonDocument.Parse(File.ReadAllText(Path.Combine(TokenizerGoldens.SmolFolder, "perplexity.json")));
        var text = File.ReadAllText(Path.Combine(TokenizerGoldens.SmolFolder, "perplexity.txt"));
        Assert.Equal(perplexity.RootElement.Ids("ids"), tokenizer.Encode(text));
    }
}
