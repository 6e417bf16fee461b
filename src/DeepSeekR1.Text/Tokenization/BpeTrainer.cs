using System.Text;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// Learns the merges of a byte-level BPE tokenizer (Sennrich et al. 2016) from texts: again and again the most frequent pair of neighbours inside a
/// pre-token becomes one. Ties go to the pair that sorts first, so the same texts give the same tokenizer.
/// </summary>
public static class BpeTrainer
{
    /// <summary>Learns merges.</summary>
    /// <param name="texts">The corpus.</param>
    /// <param name="stages">Pre-tokenizer; merges never cross its borders.</param>
    /// <param name="count">Merges to learn; fewer when the corpus has fewer repeated pairs.</param>
    /// <returns>Merges in order of rank, in GPT-2's byte alphabet.</returns>
    public static IReadOnlyList<(string Left, string Right)> Learn(IEnumerable<string> texts, IReadOnlyList<PreTokenizerStage> stages, int count)
    {
        var words = Words(texts, new ScanningPreTokenizer(stages));
        var merges = new List<(string, string)>();
        while (merges.Count < count)
        {
            var pairs = new Dictionary<(string, string), long>();
            foreach (var (parts, times) in words)
                for (int i = 0; i + 1 < parts.Count; i++)
                    pairs[(parts[i], parts[i + 1])] = pairs.GetValueOrDefault((parts[i], parts[i + 1])) + times;
            if (pairs.Count == 0)
                break;
            var best = pairs.MaxBy(p => (p.Value, Order: new Descending(p.Key.Item1 + "\0" + p.Key.Item2)));
            if (best.Value < 2)
                break;
            merges.Add(best.Key);
            foreach (var (parts, _) in words)
                Merge(parts, best.Key);
        }

        return merges;
    }

    /// <summary>The 256 bytes in GPT-2's alphabet, in order of the bytes: the beginning of every vocabulary.</summary>
    public static IReadOnlyList<string> ByteTokens { get; } = [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.CharOf((byte)b).ToString())];

    private static List<(List<string> Parts, long Times)> Words(IEnumerable<string> texts, ScanningPreTokenizer preTokenizer)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var text in texts)
            foreach (var (offset, length) in preTokenizer.Split(text))
            {
                var word = text.Substring(offset, length);
                counts[word] = counts.GetValueOrDefault(word) + 1;
            }

        return [.. counts.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => (Bytes(c.Key), c.Value))];
    }

    private static List<string> Bytes(string word) => [.. Encoding.UTF8.GetBytes(word).Select(b => ByteTokens[b])];

    private static void Merge(List<string> parts, (string Left, string Right) pair)
    {
        for (int i = 0; i + 1 < parts.Count; i++)
            if (parts[i] == pair.Left && parts[i + 1] == pair.Right)
            {
                parts[i] += parts[i + 1];
                parts.RemoveAt(i + 1);
            }
    }

    /// <summary>Text that compares the other way round.</summary>
    private readonly record struct Descending(string Text) : IComparable<Descending>
    {
        public int CompareTo(Descending other) => string.CompareOrdinal(other.Text, Text);
    }
}
