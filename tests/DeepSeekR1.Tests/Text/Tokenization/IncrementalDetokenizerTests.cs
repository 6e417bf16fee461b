using CsCheck;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text.Tokenization;

/// <summary>Streamed text equals decoded text, for any ids.</summary>
public sealed class IncrementalDetokenizerTests
{
    [GoldenTheory]
    [InlineData("deepseek-r1", 129_280)]
    [InlineData("tiny-bpe", 515)]
    public void Append_AnyIds_AddUpToDecode(string folder, int ids)
    {
        var tokenizer = TokenizerGoldens.Get(folder);
        var bytes = Gen.Int[3, 258]; // the single bytes, in both vocabularies: characters cut and broken in every way
        Gen.Select(Gen.OneOf(bytes, bytes, Gen.Int[0, ids]).Array[0, 40], Gen.Bool).Sample((sequence, skip) =>
        {
            var detokenizer = new IncrementalDetokenizer(tokenizer, skip);
            var streamed = string.Concat(sequence.Select(detokenizer.Append)) + detokenizer.Flush();
            return streamed == tokenizer.Decode(sequence, skip) && detokenizer.Flush().Length == 0;
        }, iter: 20_000, threads: 1);
    }

    [GoldenFact]
    public void Append_PartsOfACharacter_LeaveTogether()
    {
        var tokenizer = TokenizerGoldens.Get("deepseek-r1");
        int[] parts = [.. tokenizer.Encode("\U0001FAF1")];
        Assert.True(parts.Length > 1);
        var detokenizer = new IncrementalDetokenizer(tokenizer, skipSpecialTokens: true);
        Assert.All(parts[..^1], id => Assert.Equal("", detokenizer.Append(id)));
        Assert.Equal("", detokenizer.Append(tokenizer.FindToken("<\uff5cend\u2581of\u2581sentence\uff5c>")!.Value));
        Assert.Equal("\U0001FAF1", detokenizer.Append(parts[^1]));
    }
}
