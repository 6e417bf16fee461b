using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;
using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training;

/// <summary>
/// Dialogues of a JSONL file as a source: <c>messages</c> that end with the assistant's (content, and reasoning_content or reasoning), or <c>prompt</c> and
/// <c>completion</c>, a thought in think tags. <c>unlearned</c>, runs [start, length] of characters of the thought, stay out of the loss. Every pass over the
/// file has an order of its own
/// that follows from seed and pass, so a place in the data is one number here too.
/// </summary>
public sealed class JsonlSource : ISampleSource
{
    private readonly List<Conversation> _conversations = [];
    private readonly SampleEncoder _encoder;
    private readonly int _maxLength;
    private readonly long _seed;
    private (long Pass, int[] Order) _current = (-1, []);

    /// <summary>Reads the whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="encoder">Makes ids of its dialogues.</param>
    /// <param name="maxLength">Longest sample in tokens.</param>
    /// <param name="seed">Seed of the orders.</param>
    /// <exception cref="StartupException">The file cannot be read, is empty, or a line is not a dialogue; the message names the line.</exception>
    public JsonlSource(string path, SampleEncoder encoder, int maxLength, long seed)
    {
        (_encoder, _maxLength, _seed) = (encoder, maxLength, seed);
        if (!File.Exists(path))
            throw new StartupException($"dataset '{path}' does not exist. Name a JSONL file, or 'arithmetic' for the built-in generator.");
        int number = 0;
        foreach (var line in File.ReadLines(path))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
                _conversations.Add(Parse(line, $"{path}, line {number}"));
        }

        if (_conversations.Count == 0)
            throw new StartupException($"dataset '{path}' has no dialogues.");
    }

    /// <summary>Dialogues in the file.</summary>
    public int Count => _conversations.Count;

    /// <inheritdoc/>
    public TrainingSample? Get(long index)
    {
        var (pass, place) = Math.DivRem(index, _conversations.Count);
        if (_current.Pass != pass)
        {
            int[] order = [.. Enumerable.Range(0, _conversations.Count)];
            new Random((int)(StableHash.Mix((ulong)_seed * 0x9E3779B97F4A7C15 + (ulong)pass) & 0x7FFFFFFF)).Shuffle(order);
            _current = (pass, order);
        }

        var sample = _encoder.Encode(_conversations[_current.Order[place]]);
        return sample.Ids.Length <= _maxLength ? sample : null;
    }

    private static Conversation Parse(string line, string where)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            var (turns, thought, reply) = root.TryGetProperty("messages", out var messages)
                ? FromMessages(messages)
                : ([new Turn("user", root.GetProperty("prompt").GetString()!)], null, root.GetProperty("completion").GetString()!);
            if (thought is null)
                (thought, reply) = Split(reply);
            return new Conversation(where, "file", turns, thought, reply, null, Unlearned(root, thought.Length));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new StartupException(
                $"{where} is not a dialogue: {e.Message} A line is {{\"messages\": [..., {{\"role\": \"assistant\", \"content\": ...}}]}} or {{\"prompt\": ..., \"completion\": ...}}.", e);
        }
    }

    private static (List<Turn> Turns, string? Thought, string Reply) FromMessages(JsonElement messages)
    {
        var turns = messages.EnumerateArray().Select(m => new Turn(m.GetProperty("role").GetString()!, m.GetProperty("content").GetString() ?? "")).ToList();
        if (turns.Count < 2 || turns[^1].Role != "assistant")
            throw new FormatException("the last of at least two messages must be the assistant's.");
        var last = messages[messages.GetArrayLength() - 1];
        string? thought = last.TryGetProperty("reasoning_content", out var given) || last.TryGetProperty("reasoning", out given) ? given.GetString() : null;
        return (turns[..^1], thought, turns[^1].Content);
    }

    /// <summary>Takes a thought out of its tags; without tags the thought is empty.</summary>
    private static (string Thought, string Reply) Split(string completion)
    {
        int end = completion.IndexOf(Dialect.ThinkClose, StringComparison.Ordinal);
        if (end < 0)
            return ("", completion);
        string thought = completion[..end];
        int open = thought.IndexOf(Dialect.ThinkOpen, StringComparison.Ordinal);
        return (thought[(open < 0 ? 0 : open + Dialect.ThinkOpen.Length)..].Trim('\n'), completion[(end + Dialect.ThinkClose.Length)..].TrimStart('\n'));
    }

    private static List<(int Start, int Length)> Unlearned(JsonElement root, int length)
    {
        var runs = new List<(int Start, int Length)>();
        if (!root.TryGetProperty("unlearned", out var list))
            return runs;
        int done = 0;
        foreach (var run in list.EnumerateArray())
        {
            var (start, count) = (run[0].GetInt32(), run[1].GetInt32());
            if (start < done || count < 0 || start + (long)count > length)
                throw new FormatException($"unlearned run [{start}, {count}] is not in order or not inside the thought of {length} characters.");
            runs.Add((start, count));
            done = start + count;
        }

        return runs;
    }
}
