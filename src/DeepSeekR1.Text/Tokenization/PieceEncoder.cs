using System.Collections.Frozen;
using System.Text;
using System.Text.Unicode;
using DeepSeekR1.Engine;
using Microsoft.ML.Tokenizers;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>Byte-level BPE of one pre-token. Safe for many threads; the only state that changes is a memo.</summary>
/// <remarks>
/// <para>Most pre-tokens are vocabulary entries and need no merging: with <c>ignore_merges</c> always, else when the merges lead to
/// that entry, which is found out once per entry.</para>
/// <para>The rest goes to Microsoft.ML.Tokenizers' <see cref="BpeTokenizer"/>, but for two corners where it falls short and
/// <see cref="LongPieceEncoder"/> takes over: its time is quadratic in the length (200,000 letters without a space: 2 to 18 s), and when
/// the vocabulary lacks bytes it does not merge across the ones left out, as the reference does.</para>
/// </remarks>
internal sealed class PieceEncoder
{
    /// <summary>Longest pre-token, in characters, that goes to <see cref="BpeTokenizer"/>.</summary>
    internal const int MaxShortLength = 256;

    private readonly BpeTokenizer _bpe;
    private readonly Lazy<LongPieceEncoder> _longPieces;
    private readonly FrozenDictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _wholePieces;
    private readonly Wholeness[] _wholeness; // by id; races write the same value
    private readonly bool _ignoreMerges;
    private readonly bool _lacksBytes;

    /// <summary>Builds the tables.</summary>
    public PieceEncoder(ModelTextAssets assets)
    {
        _bpe = BpeTokenizer.Create(new BpeOptions(assets.Vocabulary)
        {
            Merges = assets.Merges.Select(merge => $"{merge.Left} {merge.Right}"),
            ByteLevel = true,
        });
        _longPieces = new Lazy<LongPieceEncoder>(() => new LongPieceEncoder(assets));
        _wholePieces = FindWholePieces(assets.Vocabulary).GetAlternateLookup<ReadOnlySpan<char>>();
        _wholeness = new Wholeness[assets.Vocabulary.Values.Max() + 1];
        _ignoreMerges = assets.IgnoreMerges;
        _lacksBytes = Enumerable.Range(0, 256).Any(value => !assets.Vocabulary.ContainsKey($"{ByteAlphabet.CharOf((byte)value)}"));
    }

    /// <summary>Whether the merges make a vocabulary entry out of its own text.</summary>
    private enum Wholeness : byte
    {
        Unknown,
        Whole,
        Parts,
    }

    /// <summary>Appends the ids of a pre-token.</summary>
    public void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (!_wholePieces.TryGetValue(piece, out var id))
        {
            Merge(piece, ids);
            return;
        }
        if (_ignoreMerges || _wholeness[id] == Wholeness.Whole)
        {
            ids.Add(id);
            return;
        }
        var start = ids.Count;
        Merge(piece, ids);
        _wholeness[id] = ids.Count == start + 1 && ids[start] == id ? Wholeness.Whole : Wholeness.Parts;
    }

    private void Merge(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (_lacksBytes || piece.Length > MaxShortLength)
            _longPieces.Value.Encode(piece, ids);
        else
            ids.AddRange(_bpe.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false));
    }

    // Keyed by the text of the pre-token. Entries that are no text (parts of characters) can be no pre-token.
    private static FrozenDictionary<string, int> FindWholePieces(IReadOnlyDictionary<string, int> vocabulary)
    {
        var pieces = new Dictionary<string, int>(vocabulary.Count, StringComparer.Ordinal);
        foreach (var (token, id) in vocabulary)
            if (ByteAlphabet.TryBytes(token) is { } bytes && Utf8.IsValid(bytes))
                pieces[Encoding.UTF8.GetString(bytes)] = id;
        return pieces.ToFrozenDictionary(StringComparer.Ordinal);
    }
}
