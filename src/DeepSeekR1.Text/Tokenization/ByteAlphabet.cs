using System.Text;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// GPT-2's byte alphabet: the 256 bytes as printable characters, so that BPE vocabularies are plain strings. Printable Latin-1
/// stands for itself, the other bytes are U+0100, U+0101, ... in order. Immutable.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] ToChar = BuildToChar();
    private static readonly short[] ToByte = BuildToByte();

    /// <summary>The character that stands for a byte.</summary>
    public static char CharOf(byte value) => ToChar[value];

    /// <summary>The bytes of a vocabulary entry; an entry with a character outside the alphabet means its own UTF-8.</summary>
    public static byte[] Bytes(string token) => TryBytes(token) ?? Encoding.UTF8.GetBytes(token);

    /// <summary>The bytes that the characters stand for; null when one is outside the alphabet (no text becomes such an entry).</summary>
    public static byte[]? TryBytes(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            var value = token[i] < ToByte.Length ? ToByte[token[i]] : (short)-1;
            if (value < 0)
                return null;
            bytes[i] = (byte)value;
        }
        return bytes;
    }

    private static char[] BuildToChar()
    {
        var chars = new char[256];
        var next = 0x100;
        for (var value = 0; value < 256; value++)
            chars[value] = value is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)value : (char)next++;
        return chars;
    }

    private static short[] BuildToByte()
    {
        var bytes = new short[0x100 + 68];
        Array.Fill(bytes, (short)-1);
        for (var value = 0; value < 256; value++)
            bytes[ToChar[value]] = (short)value;
        return bytes;
    }
}
