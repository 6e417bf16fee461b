using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// Unicode Normalization Form C (UAX #15) with the tables of Unicode 9.0, as the reference tokenizer library has it. Immutable.
/// </summary>
/// <remarks>
/// <see cref="string.Normalize()"/> is no way: under InvariantGlobalization it returns its input unchanged, and where it works its
/// tables are newer (marks that came after Unicode 9.0 would change place).
/// </remarks>
internal static class NfcNormalizer
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TailBase = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TailCount = 28;
    private const int HangulCount = LeadCount * VowelCount * TailCount;

    /// <summary>Text below is in NFC whatever stands beside what (composed Latin-1 letters only matter before a mark).</summary>
    private const char FirstAffected = '\u0300';

    private const char FirstDecomposed = '\u00C0';

    private static readonly Dictionary<int, byte> Classes = ReadClasses();
    private static readonly Dictionary<int, int[]> Decompositions = [];
    private static readonly Dictionary<(int First, int Second), int> Compositions = [];
    private static readonly HashSet<int> Unstable = [];
    private static readonly bool[] UnstableBmp = new bool[0x10000];

    static NfcNormalizer()
    {
        ReadSingletons();
        ReadPairs();
        foreach (var codePoint in Classes.Keys)
            Unstable.Add(codePoint);
        for (var vowel = 0; vowel < VowelCount; vowel++)
            Unstable.Add(VowelBase + vowel);
        for (var tail = 1; tail < TailCount; tail++)
            Unstable.Add(TailBase + tail);
        for (var unit = 0; unit < UnstableBmp.Length; unit++)
            UnstableBmp[unit] = Unstable.Contains(unit);
    }

    /// <summary>The normal form; the same string when it is in it already. Lone surrogates stay.</summary>
    public static string Normalize(string text)
    {
        if (IsStable(text))
            return text;
        var codePoints = Decompose(text);
        return ToText(Compose(codePoints));
    }

    // NFC quick check: no mark, no second half of a composition, nothing that NFC replaces.
    private static bool IsStable(ReadOnlySpan<char> text)
    {
        var affected = text.IndexOfAnyExceptInRange('\0', (char)(FirstAffected - 1));
        if (affected < 0)
            return true;
        for (var i = affected; i < text.Length; i++)
        {
            if (UnstableBmp[text[i]])
                return false;
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])
                && Unstable.Contains(char.ConvertToUtf32(text[i], text[++i])))
                return false;
        }
        return true;
    }

    /// <summary>A code point with its canonical combining class; 0 is a starter.</summary>
    private readonly record struct Item(int CodePoint, byte Class);

    private static List<Item> Decompose(string text)
    {
        var items = new List<Item>(text.Length + 16);
        var runStart = 0; // first item of the current run of marks
        for (var i = 0; i < text.Length; i++)
        {
            var isPair = char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]);
            var codePoint = isPair ? char.ConvertToUtf32(text[i], text[++i]) : text[i];
            AddDecomposed(items, codePoint, ref runStart);
        }
        Sort(items, runStart);
        return items;
    }

    private static void AddDecomposed(List<Item> items, int codePoint, ref int runStart)
    {
        if (codePoint - HangulBase is >= 0 and < HangulCount and var index)
        {
            Add(items, LeadBase + index / (VowelCount * TailCount), ref runStart);
            Add(items, VowelBase + index / TailCount % VowelCount, ref runStart);
            if (index % TailCount != 0)
                Add(items, TailBase + index % TailCount, ref runStart);
        }
        else if (codePoint >= FirstDecomposed && Decompositions.TryGetValue(codePoint, out var parts))
        {
            foreach (var part in parts)
                Add(items, part, ref runStart);
        }
        else
        {
            Add(items, codePoint, ref runStart);
        }
    }

    private static void Add(List<Item> items, int codePoint, ref int runStart)
    {
        var mark = codePoint < FirstAffected ? (byte)0 : Classes.GetValueOrDefault(codePoint);
        if (mark == 0)
        {
            Sort(items, runStart);
            runStart = items.Count + 1;
        }
        items.Add(new Item(codePoint, mark));
    }

    // Stable, and not quadratic on ten thousand marks: the position breaks ties.
    private static void Sort(List<Item> items, int start)
    {
        if (items.Count - start < 2)
            return;
        var run = CollectionsMarshal.AsSpan(items)[start..];
        var keys = new long[run.Length];
        for (var i = 0; i < run.Length; i++)
            keys[i] = (long)run[i].Class << 32 | (uint)i;
        keys.AsSpan().Sort(run);
    }

    private static List<int> Compose(List<Item> items)
    {
        var result = new List<int>(items.Count);
        var starter = -1; // index in the result
        var lastClass = -1; // of what stands between the starter and here; -1 when nothing does
        foreach (var item in items)
        {
            var isBlocked = lastClass >= item.Class;
            if (starter >= 0 && !isBlocked && TryCompose(result[starter], item.CodePoint, out var composed))
            {
                result[starter] = composed;
                continue;
            }
            (starter, lastClass) = item.Class == 0 ? (result.Count, -1) : (starter, item.Class);
            result.Add(item.CodePoint);
        }
        return result;
    }

    private static bool TryCompose(int first, int second, out int composed)
    {
        if (first is >= LeadBase and < LeadBase + LeadCount && second is >= VowelBase and < VowelBase + VowelCount)
        {
            composed = HangulBase + ((first - LeadBase) * VowelCount + second - VowelBase) * TailCount;
            return true;
        }
        if (first is >= HangulBase and < HangulBase + HangulCount && (first - HangulBase) % TailCount == 0
            && second is > TailBase and < TailBase + TailCount)
        {
            composed = first + second - TailBase;
            return true;
        }
        return Compositions.TryGetValue((first, second), out composed);
    }

    private static string ToText(List<int> codePoints)
    {
        var text = new StringBuilder(codePoints.Count);
        foreach (var codePoint in codePoints)
        {
            if (codePoint < 0x10000)
                text.Append((char)codePoint);
            else
                text.Append(char.ConvertFromUtf32(codePoint));
        }
        return text.ToString();
    }

    private static Dictionary<int, byte> ReadClasses()
    {
        var classes = new Dictionary<int, byte>();
        foreach (var entry in Entries(NfcData.Classes))
        {
            var (range, value) = Cut(entry, ':');
            var (first, last) = range.Contains('-', StringComparison.Ordinal) ? Cut(range, '-') : (range, range);
            for (var codePoint = Hex(first); codePoint <= Hex(last); codePoint++)
                classes.Add(codePoint, byte.Parse(value, CultureInfo.InvariantCulture));
        }
        return classes;
    }

    private static void ReadSingletons()
    {
        var next = 0;
        foreach (var entry in Entries(NfcData.Singletons))
        {
            if (entry.EndsWith(':'))
            {
                next = Hex(entry[..^1]);
                continue;
            }
            Unstable.Add(next);
            Decompositions.Add(next++, [Hex(entry)]);
        }
    }

    private static void ReadPairs()
    {
        foreach (var entry in Entries(NfcData.Pairs))
        {
            var isExcluded = entry.EndsWith('!');
            var (composed, pair) = Cut(entry.TrimEnd('!'), '=');
            var (first, second) = (Hex(Cut(pair, '+').Left), Hex(Cut(pair, '+').Right));
            Decompositions.Add(Hex(composed), [first, second]);
            Unstable.Add(isExcluded ? Hex(composed) : second);
            if (!isExcluded)
                Compositions.Add((first, second), Hex(composed));
        }
        foreach (var codePoint in Decompositions.Keys.ToArray())
            Decompositions[codePoint] = [.. Expand(codePoint)];
    }

    private static IEnumerable<int> Expand(int codePoint) =>
        Decompositions.TryGetValue(codePoint, out var parts) ? parts.SelectMany(Expand) : [codePoint];

    private static IEnumerable<string> Entries(string data) =>
        data.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);

    private static (string Left, string Right) Cut(string text, char at) =>
        text.Split(at) is [var left, var right] ? (left, right) : throw new FormatException(text);

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
