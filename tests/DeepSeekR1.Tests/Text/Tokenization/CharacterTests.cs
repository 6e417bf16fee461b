using System.Text;
using DeepSeekR1.Text.Tokenization;
using Xunit;

namespace DeepSeekR1.Tests.Text.Tokenization;

/// <summary>Unicode tables: character classes of version 16.0, NFC of version 9.0, the byte alphabet.</summary>
public sealed class CharacterTests
{
    [Fact]
    public void At_WhiteSpace_IsExactlyThePropertyOfTheReference()
    {
        int[] expected = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680,
            .. Enumerable.Range(0x2000, 11), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000];
        Assert.Equal(expected, Enumerable.Range(0, 0x10000).Where(unit => CharacterClasses.Of((char)unit).HasFlag(CharacterClass.Space)));
    }

    [Theory]
    [InlineData(0x1C89, CharacterClass.Letter)] // new in Unicode 16.0
    [InlineData(0xA7CB, CharacterClass.Letter)]
    [InlineData(0x16D40, CharacterClass.Letter)]
    [InlineData(0x1D400, CharacterClass.Letter)]
    [InlineData(0x1D7CE, CharacterClass.Number)]
    [InlineData(0x00B2, CharacterClass.Number)]
    [InlineData(0x2167, CharacterClass.Number)]
    [InlineData(0x0663, CharacterClass.Number)]
    [InlineData(0x1F600, CharacterClass.Symbol)]
    [InlineData(0xFE0F, CharacterClass.Mark)]
    [InlineData(0x3002, CharacterClass.Punctuation)]
    [InlineData(0xA7D2, CharacterClass.None)] // unassigned in 16.0, a letter in 17.0
    [InlineData(0x200D, CharacterClass.None)]
    [InlineData(0xE000, CharacterClass.None)]
    public void At_CodePoint_HasTheClassOfUnicode16(int codePoint, object expected)
    {
        var text = char.ConvertFromUtf32(codePoint);
        Assert.Equal((CharacterClass)expected, CharacterClasses.At(text, 0, out var units));
        Assert.Equal(text.Length, units);
    }

    [Theory]
    [InlineData("plain \u00e9\u00ff", "plain \u00e9\u00ff")]
    [InlineData("e\u0301", "\u00e9")]
    [InlineData("\u212b\u2126\uf900\U0002F800", "\u00c5\u03a9\u8c48\u4e3d")] // singletons
    [InlineData("s\u0307\u0323", "\u1e69")] // canonical order first
    [InlineData("\u0344", "\u0308\u0301")] // decomposes, never composes
    [InlineData("\u0958\U0001D15E", "\u0915\u093c\U0001D157\U0001D165")]
    [InlineData("\u1112\u1161\u11ab", "\ud55c")]
    [InlineData("\ud558\u11a7\u11ab", "\ud558\u11a7\u11ab")] // U+11A7 is no tail
    [InlineData("\u0301a\u0301", "\u0301\u00e1")] // a mark without a letter before it
    [InlineData("a\u0315\u0300\u05ae\u0062", "\u00e0\u05ae\u0315b")]
    [InlineData("\u09c7\u09be", "\u09cb")] // a starter that composes with a starter
    [InlineData("a\u0301\ud800", "\u00e1\ud800")]
    [InlineData("[\u0301\u07fd\u0323", "[\u0301\u07fd\u0323")] // U+07FD came after Unicode 9.0: a starter for the reference
    [InlineData("\U00011935\U00011930", "\U00011935\U00011930")] // composes since Unicode 13.0
    public void Normalize_Text_IsNfcOfUnicode9(string text, string expected) => Assert.Equal(expected, NfcNormalizer.Normalize(text));

    [Fact]
    public void Normalize_ManyMarks_IsNotQuadratic()
    {
        var marks = string.Concat(Enumerable.Repeat("\u0301\u0323", 100_000));
        var expected = "\u1ea1" + new string('\u0323', 99_999) + new string('\u0301', 100_000);
        Assert.Equal(expected, NfcNormalizer.Normalize("a" + marks));
    }

    [Fact]
    public void ByteAlphabet_EveryByte_ComesBack()
    {
        var all = Enumerable.Range(0, 256).Select(value => (byte)value).ToArray();
        Assert.Equal(all, ByteAlphabet.Bytes(string.Concat(all.Select(ByteAlphabet.CharOf))));
        Assert.Equal(("\u0120", "\u010a"), (ByteAlphabet.CharOf(0x20).ToString(), ByteAlphabet.CharOf(0x0A).ToString()));
        Assert.Equal(Encoding.UTF8.GetBytes("<\uff5c>"), ByteAlphabet.Bytes("<\uff5c>"));
        Assert.Null(ByteAlphabet.TryBytes("a b"));
    }
}
