using CsCheck;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text.Tokenization;

/// <summary>Corners of the tokenizer that the goldens do not reach, on a vocabulary of the 256 bytes and a few merges.</summary>
public sealed class TokenizerTests
{
    private const int Ab = 300;
    private const int Abc = 310; // ids with gaps
    private const int Think = 400;

    private static readonly string[] Units =
    [
        "a", "a", "b", "c", " ", " ", "\n", "\r", "\t", "'", "s", "S", "re", "VE", "1", "2", "the", "ing", "think", "<", ".", ",", "-", "$",
        "\u00b2", "\u0301", "\u0323", "\u00e9", "\u1e69", "\u4e2d", "\u3042", "\uac00", "\u11a8", "\u2028", "\u3000", "\ufeff", "\u0000",
        "\ue000", "\ud83d\ude00", "\ud835\udc00", "\ud835\udfce",
    ];

    private static readonly Gen<string> TrickyText = Gen.Int[0, Units.Length - 1].Select(i => Units[i]).Array[0, 40].Select(string.Concat);

    [Fact]
    public void Encode_Merges_InOrderOfRankAndAcrossIdGaps()
    {
        var tokenizer = Tokenizer.Create(Assets());
        Assert.Equal([Abc, Ab, 'a'], tokenizer.Encode("abcaba"));
        Assert.Equal(Think + 2, tokenizer.VocabularySize);
        Assert.True(tokenizer.Bytes(305).IsEmpty && tokenizer.Bytes(-1).IsEmpty && tokenizer.Bytes(int.MaxValue).IsEmpty);
        Assert.Equal("abab", tokenizer.Decode([305, Ab, -5, Ab, 99_999], skipSpecialTokens: true));
        Assert.Equal((Ab, Think, null), (tokenizer.FindToken("ab"), tokenizer.FindToken("<t>"), tokenizer.FindToken("nothing")));
    }

    [Fact]
    public void Encode_LoneSurrogates_BecomeReplacementCharacters()
    {
        var tokenizer = Tokenizer.Create(Assets());
        Assert.Equal(tokenizer.Encode("a\uFFFDb\uFFFD"), tokenizer.Encode("a\ud83db\ude00"));
        Assert.Equal(tokenizer.Encode("\U0001F600"), tokenizer.Encode([new TextSegment("\ud83d", true), new TextSegment("\ude00", false)]));
    }

    [Fact]
    public void Encode_VocabularyWithoutSomeBytes_LeavesThemOutAndMergesAcross()
    {
        var assets = Assets();
        var vocabulary = assets.Vocabulary.Where(entry => entry.Key != "x").ToDictionary();
        var tokenizer = Tokenizer.Create(assets with { Vocabulary = vocabulary });
        Assert.Equal([Abc], tokenizer.Encode("axbxc"));
        Assert.Empty(tokenizer.Encode("xx"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Encode_IgnoreMerges_TakesAnEntryThatMergesDoNotReach(bool ignoreMerges)
    {
        var assets = Assets() with { IgnoreMerges = ignoreMerges };
        var tokenizer = Tokenizer.Create(assets with { Vocabulary = new Dictionary<string, int>(assets.Vocabulary) { ["cba"] = 390 } });
        for (var turn = 0; turn < 2; turn++) // the second time from the memo
            Assert.Equal(ignoreMerges ? [390] : ['c', 'b', 'a'], tokenizer.Encode("cba"));
    }

    [Fact]
    public void Encode_AddedTokens_LeftmostLongestAndOnlyWhereAsked()
    {
        var tokenizer = Tokenizer.Create(Assets(new AddedToken(500, "<t>more", false), new AddedToken(501, ">m", false)));
        Assert.Equal([500, Think, 'x'], tokenizer.Encode("<t>more<t>x"));
        Assert.Equal(['<', 't', '>'], tokenizer.Encode("<t>", parseAddedTokens: false));
        Assert.Equal("x", tokenizer.Decode([Think + 1, 'x'], skipSpecialTokens: true));
        Assert.Equal("<s>x", tokenizer.Decode([Think + 1, 'x'], skipSpecialTokens: false));
    }

    [Fact]
    public void Encode_StripFlagsAndSingleWord_AreHonoured()
    {
        var tokenizer = Tokenizer.Create(Assets(
            new AddedToken(500, "<l>", false, LeftStrip: true), new AddedToken(501, "<r>", false, RightStrip: true),
            new AddedToken(502, "word", false, SingleWord: true)));
        Assert.Equal(['a', 500, ' ', 'b'], tokenizer.Encode("a \u3000<l> b"));
        Assert.Equal(['a', ' ', 501, 'b'], tokenizer.Encode("a <r> \n b"));
        Assert.Equal([501, 500, 'b'], tokenizer.Encode("<r>  <l>b"));
        Assert.Equal([502, '.', 502], tokenizer.Encode("word.word"));
        Assert.DoesNotContain(502, tokenizer.Encode("words sword _word word\u0301 word\u24b6"));
    }

    [Fact]
    public void Encode_NormalizedAddedTokens_AreFoundInNormalizedText()
    {
        var assets = Assets(new AddedToken(500, "<\u00e9>", false, Normalized: true)) with { NormalizeNfc = true };
        var tokenizer = Tokenizer.Create(assets);
        Assert.Equal([500], tokenizer.Encode("<e\u0301>"));
        Assert.Equal(tokenizer.Encode("\u00e9"), tokenizer.Encode([new TextSegment("e", false), new TextSegment("\u0301", true)]));
        Assert.Equal([Think, .. tokenizer.Encode("\u0301")], tokenizer.Encode("<t>\u0301"));
    }

    [Fact]
    public void Encode_Segments_AddedTokensInTemplateTextOnlyAndOnePieceAcrossBorders()
    {
        var tokenizer = Tokenizer.Create(Assets());
        Assert.Equal([Think, .. tokenizer.Encode("abc<t>abc", parseAddedTokens: false), Think], tokenizer.Encode(
            [new("<t>", false), new("a", false), new("bc<t>ab", true), new("c", false), new("<t>", false)]));
        Assert.Equal(['<', 't', '>'], tokenizer.Encode([new TextSegment("<", false), new TextSegment("t>", true)]));
        Assert.Equal([Think], tokenizer.Encode([new TextSegment("<", false), new TextSegment("t>", false)]));
        Assert.Empty(tokenizer.Encode([]));
    }

    [Fact]
    public void Encode_AddSpecialTokens_AddsPrefixAndSuffixOnce()
    {
        var tokenizer = Tokenizer.Create(Assets() with { PrefixIds = [1, 2], SuffixIds = [3] });
        Assert.Equal([1, 2, Abc, 3], tokenizer.Encode("abc", addSpecialTokens: true));
        Assert.Equal([1, 2, 3], tokenizer.Encode("", addSpecialTokens: true));
    }

    [GoldenFact]
    public void Encode_LongPreTokens_AreNotQuadratic()
    {
        var tokenizer = TokenizerGoldens.Get("deepseek-r1");
        var start = TimeProvider.System.GetTimestamp();
        foreach (var unit in (string[])["a", " ", "\u0301", "abcdefghijklmnopqrstuvwxyz", "\u4e2d", "\n", "'"])
            Assert.NotEmpty(tokenizer.Encode(string.Concat(Enumerable.Repeat(unit, 200_000 / unit.Length))));
        var seconds = TimeProvider.System.GetElapsedTime(start).TotalSeconds;
        Assert.True(seconds < 10, $"{seconds} s; quadratic merging takes 30 s and more");
    }

    [GoldenFact]
    public void Encode_ManyThreads_GiveTheSameIds()
    {
        var texts = TokenizerGoldens.Lines("tokenizers", "qwen3", "cases.jsonl").Select(line => line.Text("text")).Take(200).ToArray();
        var expected = texts.Select(text => TokenizerGoldens.Get("qwen3").Encode(text)).ToArray();
        var shared = Tokenizer.Create(ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", "qwen3")));
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ =>
        {
            for (var i = 0; i < texts.Length; i++)
                Assert.Equal(expected[i], shared.Encode(texts[i]));
        });
    }

    [GoldenFact]
    public void LongPieceEncoder_AnyPiece_AgreesWithTheLibrary()
    {
        foreach (var folder in (string[])["deepseek-r1", "tiny-bpe"])
        {
            var assets = ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", folder));
            var (pieces, longPieces) = (new PieceEncoder(assets), new LongPieceEncoder(assets));
            TrickyText.Where(text => text.Length > 0).Sample(text =>
            {
                List<int> byLibrary = [], byHeap = [];
                pieces.Encode(text, byLibrary);
                longPieces.Encode(text, byHeap);
                return byLibrary.SequenceEqual(byHeap);
            }, iter: 5_000, threads: 1);
        }
    }

    [GoldenTheory]
    [InlineData("deepseek-r1")]
    [InlineData("qwen3")]
    [InlineData("llama3.1")]
    public void Decode_OfEncode_IsTheText(string folder)
    {
        var tokenizer = TokenizerGoldens.Get(folder);
        TrickyText.Sample(text =>
            tokenizer.Decode(tokenizer.Encode(text, parseAddedTokens: false), skipSpecialTokens: true)
                == (folder == "qwen3" ? NfcNormalizer.Normalize(text) : text), iter: 3_000, threads: 1);
    }

    [Fact]
    public void Create_UnknownPattern_IsRefusedWithItsText()
    {
        var assets = Assets() with { PreTokenizer = [new PreTokenizerStage(PreTokenizerKind.Split, @"\p{N}{1,4}")] };
        Assert.Contains(@"\p{N}{1,4}", Assert.Throws<StartupException>(() => Tokenizer.Create(assets)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Create_ImpossibleAssets_AreRefusedByName()
    {
        AssertRefused(Assets() with { Vocabulary = new Dictionary<string, int>() }, "empty");
        AssertRefused(Assets() with { Merges = [("a", "zz")] }, "zz");
        AssertRefused(Assets(new AddedToken(int.MaxValue, "<x>", false)), "2147483647");
        AssertRefused(Assets(new AddedToken(-1, "<x>", false)), "-1");

        static void AssertRefused(ModelTextAssets assets, string text) =>
            Assert.Contains(text, Assert.Throws<StartupException>(() => Tokenizer.Create(assets)).Message, StringComparison.Ordinal);
    }

    /// <summary>Ids 0 to 255 are the bytes; "ab" and "abc" are merges; two added tokens.</summary>
    private static ModelTextAssets Assets(params AddedToken[] added)
    {
        var vocabulary = Enumerable.Range(0, 256).ToDictionary(value => ByteAlphabet.CharOf((byte)value).ToString());
        vocabulary["ab"] = Ab;
        vocabulary["abc"] = Abc;
        return new ModelTextAssets
        {
            Vocabulary = vocabulary,
            Merges = [("a", "b"), ("ab", "c")],
            AddedTokens = [new AddedToken(Think, "<t>", false), new AddedToken(Think + 1, "<s>", true), .. added],
            PreTokenizer = [new PreTokenizerStage(PreTokenizerKind.Gpt2)],
        };
    }
}
