using System.Collections.Frozen;
using System.Runtime.InteropServices;
using System.Text;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>Byte-level BPE tokenizer of a checkpoint. Immutable and safe for many threads.</summary>
/// <remarks>
/// The order of work is the reference library's: cut at added tokens that are searched in raw text, bring the rest to NFC (Qwen), cut
/// at added tokens that are searched in normalized text, split by the pre-tokenizer, merge. Only merging is left to
/// Microsoft.ML.Tokenizers (<see cref="PieceEncoder"/>): its regex pre-tokenizers see UTF-16 units, its special tokens know no flags and
/// no "normalized", and its decoder cannot stop inside a character.
/// </remarks>
public sealed class Tokenizer
{
    /// <summary>Ids are indices of tables; the largest published vocabularies have some 260,000.</summary>
    private const int MaxId = 1 << 22;

    private readonly PieceEncoder _pieces;
    private readonly ScanningPreTokenizer _preTokenizer;
    private readonly AddedTokenMatcher _rawTokens;
    private readonly AddedTokenMatcher _normalizedTokens;
    private readonly FrozenDictionary<string, int> _idsByText;
    private readonly byte[]?[] _bytes;
    private readonly bool[] _isSpecial;
    private readonly bool _normalize;
    private readonly int[] _prefix;
    private readonly int[] _suffix;

    private Tokenizer(ModelTextAssets assets)
    {
        VocabularySize = assets.Vocabulary.Values.Concat(assets.AddedTokens.Select(token => token.Id)).Max() + 1;
        _preTokenizer = new ScanningPreTokenizer(assets.PreTokenizer);
        _pieces = new PieceEncoder(assets);
        _normalize = assets.NormalizeNfc;
        _rawTokens = new AddedTokenMatcher(assets.AddedTokens.Where(token => !token.Normalized), token => token.Content);
        _normalizedTokens = new AddedTokenMatcher(assets.AddedTokens.Where(token => token.Normalized), token => Normalize(token.Content));
        _bytes = new byte[]?[VocabularySize];
        _isSpecial = new bool[VocabularySize];
        var ids = new Dictionary<string, int>(assets.Vocabulary, StringComparer.Ordinal);
        foreach (var (token, id) in assets.Vocabulary)
            _bytes[id] = ByteAlphabet.Bytes(token);
        foreach (var token in assets.AddedTokens)
        {
            ids[token.Content] = token.Id;
            _bytes[token.Id] = Encoding.UTF8.GetBytes(token.Content);
            _isSpecial[token.Id] = token.Special;
        }
        _idsByText = ids.ToFrozenDictionary(StringComparer.Ordinal);
        _prefix = [.. assets.PrefixIds];
        _suffix = [.. assets.SuffixIds];
    }

    /// <summary>Largest id with a token, plus one.</summary>
    public int VocabularySize { get; }

    /// <summary>Builds the tokenizer. Throws <see cref="StartupException"/> naming what is not supported.</summary>
    public static Tokenizer Create(ModelTextAssets assets)
    {
        Check(assets);
        try
        {
            return new Tokenizer(assets);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or FormatException)
        {
            throw new StartupException($"The tokenizer's vocabulary and merges do not fit together: {e.Message}", e);
        }
    }

    /// <summary>Text to ids.</summary>
    /// <param name="text">Any text; lone surrogates become U+FFFD.</param>
    /// <param name="addSpecialTokens">Add what the post-processor adds (BOS and the like).</param>
    /// <param name="parseAddedTokens">Recognise added tokens inside the text; false for text of users.</param>
    public int[] Encode(string text, bool addSpecialTokens = false, bool parseAddedTokens = true)
    {
        var ids = new List<int>(text.Length / 3 + 4);
        if (addSpecialTokens)
            ids.AddRange(_prefix);
        EncodeRuns(text, [new Run(0, text.Length, parseAddedTokens)], ids);
        if (addSpecialTokens)
            ids.AddRange(_suffix);
        return [.. ids];
    }

    /// <summary>Rendered prompt to ids: added tokens count in template text only; the text between two of them is one piece.</summary>
    public int[] Encode(IReadOnlyList<TextSegment> segments)
    {
        var runs = new List<Run>(segments.Count);
        var text = new StringBuilder();
        foreach (var segment in segments)
        {
            var isLiteral = !segment.FromMessage;
            if (runs.Count > 0 && runs[^1].IsLiteral == isLiteral)
                runs[^1] = runs[^1] with { Length = runs[^1].Length + segment.Text.Length };
            else
                runs.Add(new Run(text.Length, segment.Text.Length, isLiteral));
            text.Append(segment.Text);
        }
        var ids = new List<int>(text.Length / 3 + 4);
        EncodeRuns(text.ToString(), runs, ids);
        return [.. ids];
    }

    /// <summary>Ids to text; ids without a token yield nothing.</summary>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens)
    {
        var bytes = new List<byte>(ids.Count * 4);
        foreach (var id in ids)
            if (!skipSpecialTokens || !IsSpecial(id))
                bytes.AddRange(Bytes(id).Span);
        return Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(bytes));
    }

    /// <summary>Id of an added token or vocabulary entry by its exact text; null when there is none.</summary>
    public int? FindToken(string content) => _idsByText.TryGetValue(content, out var id) ? id : null;

    /// <summary>The token's bytes (UTF-8 of an added token); empty when the id has no token.</summary>
    public ReadOnlyMemory<byte> Bytes(int id) => (uint)id < (uint)_bytes.Length ? _bytes[id] : default(ReadOnlyMemory<byte>);

    /// <summary>True for added tokens with the special flag.</summary>
    public bool IsSpecial(int id) => (uint)id < (uint)_isSpecial.Length && _isSpecial[id];

    /// <summary>A run of a text of one origin; added tokens are looked for in literal runs.</summary>
    private readonly record struct Run(int Start, int Length, bool IsLiteral);

    private static void Check(ModelTextAssets assets)
    {
        if (assets.Vocabulary.Count == 0)
            throw new StartupException("The tokenizer's vocabulary is empty.");
        foreach (var id in assets.Vocabulary.Values.Concat(assets.AddedTokens.Select(token => token.Id)))
            if (id is < 0 or >= MaxId)
                throw new StartupException($"The tokenizer has a token with id {id}; ids from 0 to {MaxId - 1} are supported.");
        foreach (var (left, right) in assets.Merges)
            if (!((string[])[left, right, left + right]).All(assets.Vocabulary.ContainsKey))
                throw new StartupException($"The merge of \"{left}\" and \"{right}\" needs a token that the vocabulary does not have.");
    }

    private string Normalize(string text) => _normalize ? NfcNormalizer.Normalize(text) : text;

    private void EncodeRuns(string text, IReadOnlyList<Run> runs, List<int> ids)
    {
        text = ReplaceLoneSurrogates(text);
        var stretch = new List<Run>();
        foreach (var run in runs)
        {
            if (!run.IsLiteral || _rawTokens.IsEmpty)
            {
                stretch.Add(run);
                continue;
            }
            var position = run.Start;
            foreach (var match in _rawTokens.FindAll(text.AsSpan(run.Start, run.Length)))
            {
                stretch.Add(new Run(position, run.Start + match.Start - position, IsLiteral: true));
                EncodeStretch(text, stretch, ids);
                ids.Add(match.Id);
                stretch.Clear();
                position = run.Start + match.End;
            }
            stretch.Add(new Run(position, run.Start + run.Length - position, IsLiteral: true));
        }
        EncodeStretch(text, stretch, ids);
    }

    // Text between two added tokens of the raw kind. Normalizing literal runs by themselves before they are searched is no loss:
    // NFC(NFC(a) + b) = NFC(a + b).
    private void EncodeStretch(string text, List<Run> runs, List<int> ids)
    {
        var piece = new StringBuilder();
        foreach (var run in runs)
        {
            if (!run.IsLiteral || _normalizedTokens.IsEmpty)
            {
                piece.Append(text, run.Start, run.Length);
                continue;
            }
            var literal = Normalize(text.Substring(run.Start, run.Length));
            var position = 0;
            foreach (var match in _normalizedTokens.FindAll(literal))
            {
                piece.Append(literal, position, match.Start - position);
                EncodePiece(piece.ToString(), ids);
                ids.Add(match.Id);
                piece.Clear();
                position = match.End;
            }
            piece.Append(literal, position, literal.Length - position);
        }
        EncodePiece(piece.ToString(), ids);
    }

    private void EncodePiece(string text, List<int> ids)
    {
        text = Normalize(text);
        foreach (var (offset, length) in _preTokenizer.Split(text))
            _pieces.Encode(text.AsSpan(offset, length), ids);
    }

    private static string ReplaceLoneSurrogates(string text)
    {
        var first = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        if (first < 0)
            return text;
        char[]? fixedText = null;
        for (var i = first; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i]))
                continue;
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                i++;
            else
                (fixedText ??= text.ToCharArray())[i] = '\uFFFD';
        }
        return fixedText is null ? text : new string(fixedText);
    }
}
