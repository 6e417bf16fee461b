using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// A checkpoint's pre-tokenizer: splits one after the other, each on the pieces of the one before, matches and the gaps between
/// them as pieces of their own ("Isolated"). Immutable, any thread.
/// </summary>
/// <remarks>
/// Takes the place of Microsoft.ML.Tokenizers' RegexPreTokenizer and CompositePreTokenizer: .NET's Regex sees UTF-16 units, so letters,
/// digits and symbols above U+FFFF have no class there, and the composite loses the gaps.
/// </remarks>
internal sealed class ScanningPreTokenizer
{
    private readonly SplitRule[] _rules;

    /// <summary>Builds the scanners. Throws <see cref="StartupException"/> on an unknown pattern.</summary>
    public ScanningPreTokenizer(IEnumerable<PreTokenizerStage> stages) => _rules = [.. stages.Select(SplitRule.Create)];

    /// <summary>The pieces in order; together they are the text.</summary>
    public List<(int Offset, int Length)> Split(ReadOnlySpan<char> text)
    {
        var pieces = new List<(int, int)>(text.Length / 4 + 1);
        Split(text, 0, 0, pieces);
        return pieces;
    }

    private void Split(ReadOnlySpan<char> text, int offset, int stage, List<(int Offset, int Length)> pieces)
    {
        if (text.IsEmpty)
            return;
        if (stage == _rules.Length)
        {
            pieces.Add((offset, text.Length));
            return;
        }
        var rule = _rules[stage];
        var gap = 0;
        for (var position = 0; position < text.Length;)
        {
            var end = rule.Match(text, position);
            if (end == position)
            {
                position += char.IsHighSurrogate(text[position]) && position + 1 < text.Length ? 2 : 1;
                continue;
            }
            Split(text[gap..position], offset + gap, stage + 1, pieces);
            Split(text[position..end], offset + position, stage + 1, pieces);
            position = gap = end;
        }
        Split(text[gap..], offset + gap, stage + 1, pieces);
    }
}
