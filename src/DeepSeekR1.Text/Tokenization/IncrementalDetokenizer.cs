using System.Text;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>Ids to text as they come: only complete UTF-8 leaves. One instance per sequence, one thread.</summary>
/// <remarks>
/// An invalid sequence becomes U+FFFD as soon as it is certain, one per maximal subpart (W3C, Unicode 3.9): what .NET's stateful
/// decoder does. One exception, which changes when text leaves and never which: the halves of surrogates (ED A0..BF) wait for the byte
/// after them, as in the reference. A skipped special token in the middle of a character does not break the character.
/// </remarks>
public sealed class IncrementalDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens)
{
    private const byte SurrogateLead = 0xED;

    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private byte? _held; // a byte A0..BF after ED that the decoder has not seen
    private byte _last; // the byte that the decoder saw last

    /// <summary>The text that became final with this id; may be empty.</summary>
    public string Append(int id)
    {
        var bytes = tokenizer.Bytes(id).Span;
        return bytes.IsEmpty || skipSpecialTokens && tokenizer.IsSpecial(id) ? "" : TakeHeld(isEnd: false) + Take(bytes);
    }

    /// <summary>What the end of the stream adds: an incomplete tail becomes one U+FFFD.</summary>
    public string Flush() => TakeHeld(isEnd: true);

    private string TakeHeld(bool isEnd)
    {
        ReadOnlySpan<byte> bytes = _held is { } held ? [held] : [];
        _held = null;
        return bytes.IsEmpty && !isEnd ? "" : Decode(bytes, isEnd);
    }

    private string Take(ReadOnlySpan<byte> bytes)
    {
        var before = bytes.Length > 1 ? bytes[^2] : _last;
        if (before == SurrogateLead && bytes[^1] is >= 0xA0 and <= 0xBF)
        {
            _held = bytes[^1];
            bytes = bytes[..^1];
        }
        return Decode(bytes, isEnd: false);
    }

    private string Decode(ReadOnlySpan<byte> bytes, bool isEnd)
    {
        _last = isEnd ? (byte)0 : bytes.IsEmpty ? _last : bytes[^1];
        Span<char> buffer = stackalloc char[64];
        var needed = _decoder.GetCharCount(bytes, isEnd);
        var chars = needed <= buffer.Length ? buffer : new char[needed];
        return new string(chars[.._decoder.GetChars(bytes, chars, isEnd)]);
    }
}
