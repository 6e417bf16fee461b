using System.Buffers;
using System.Text;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>An added token found in a text.</summary>
/// <param name="Start">First index, after widening to the left.</param>
/// <param name="End">Index behind it, after widening to the right.</param>
/// <param name="Id">Token id.</param>
internal readonly record struct AddedTokenMatch(int Start, int End, int Id);

/// <summary>
/// Finds added tokens in a text: leftmost, then longest, with the flags lstrip, rstrip and single_word. Immutable, any thread.
/// </summary>
internal sealed class AddedTokenMatcher
{
    private readonly Node _root = new();
    private readonly SearchValues<char> _firstChars;

    /// <summary>Builds the search tree.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="spelling">How a token is spelt in the text to be searched (normalized or as it is).</param>
    public AddedTokenMatcher(IEnumerable<AddedToken> tokens, Func<AddedToken, string> spelling)
    {
        foreach (var token in tokens)
            Insert(token, spelling(token));
        _firstChars = SearchValues.Create([.. _root.Children.Keys]);
    }

    /// <summary>True when there is nothing to find.</summary>
    public bool IsEmpty => _root.Children.Count == 0;

    /// <summary>All matches in order of their place. A rejected single word hides what begins inside it, as in the reference.</summary>
    public List<AddedTokenMatch> FindAll(ReadOnlySpan<char> text)
    {
        var matches = new List<AddedTokenMatch>();
        var previousEnd = 0; // of the last accepted match: white space is swallowed once
        for (var position = 0; position < text.Length;)
        {
            var next = text[position..].IndexOfAny(_firstChars);
            if (next < 0)
                break;
            position += next;
            if (FindLongest(text[position..]) is not { Token: { } token, Length: var length })
            {
                position++;
                continue;
            }
            var (start, end) = (position, position + length);
            position = end;
            if (token.SingleWord && !IsSingleWord(text, start, end))
                continue;
            if (token.LeftStrip)
                start = Math.Max(previousEnd, SpacesBefore(text, start));
            if (token.RightStrip)
                end = CharacterClasses.SkipAny(text, end, CharacterClass.Space);
            matches.Add(new AddedTokenMatch(start, end, token.Id));
            position = Math.Max(position, end);
            previousEnd = end;
        }
        return matches;
    }

    private void Insert(AddedToken token, string spelling)
    {
        if (spelling.Length == 0)
            return;
        var node = _root;
        foreach (var unit in spelling)
        {
            if (!node.Children.TryGetValue(unit, out var child))
                node.Children.Add(unit, child = new Node());
            node = child;
        }
        node.Token ??= token;
    }

    private (AddedToken? Token, int Length)? FindLongest(ReadOnlySpan<char> text)
    {
        (AddedToken?, int)? found = null;
        var node = _root;
        for (var length = 0; length < text.Length && node.Children.TryGetValue(text[length], out node!);)
        {
            length++;
            if (node.Token is { } token)
                found = (token, length);
        }
        return found;
    }

    private static int SpacesBefore(ReadOnlySpan<char> text, int start)
    {
        while (start > 0 && (CharacterClasses.Of(text[start - 1]) & CharacterClass.Space) != 0)
            start--;
        return start;
    }

    private static bool IsSingleWord(ReadOnlySpan<char> text, int start, int end)
    {
        if (Rune.DecodeLastFromUtf16(text[..start], out var before, out _) == OperationStatus.Done && CharacterClasses.IsWord(before))
            return false;
        return Rune.DecodeFromUtf16(text[end..], out var after, out _) != OperationStatus.Done || !CharacterClasses.IsWord(after);
    }

    /// <summary>A node of the search tree; the path from the root is a prefix of token texts.</summary>
    private sealed class Node
    {
        /// <summary>Continuations.</summary>
        public Dictionary<char, Node> Children { get; } = [];

        /// <summary>The token that ends here.</summary>
        public AddedToken? Token { get; set; }
    }
}
