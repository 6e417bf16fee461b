using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training.Grpo;

/// <summary>
/// Prompts of a JSONL file: <c>prompt</c> (text) or <c>messages</c> (that end with the user's), and <c>answer</c>; rewards see all columns. Rows for evaluation, at
/// most a tenth, are chosen by the seed and never trained on. Every pass has an order that follows from seed and pass, so a place in the data is one number.
/// </summary>
public sealed class JsonlPrompts : IPromptSource
{
    private readonly List<GrpoPrompt> _trained, _held;
    private readonly long _seed;
    private (long Pass, int[] Order) _current = (-1, []);

    /// <summary>Reads the whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="seed">Seed of choice and orders.</param>
    /// <param name="heldOut">Rows wanted for evaluation; 0 trains on all.</param>
    /// <exception cref="StartupException">The file cannot be read, is too small, or a line is not a prompt with an answer.</exception>
    public JsonlPrompts(string path, long seed, int heldOut)
    {
        _seed = seed;
        if (!File.Exists(path))
            throw new StartupException($"dataset '{path}' does not exist. Name a JSONL file with prompt and answer, or 'arithmetic' for the built-in generator.");
        var all = File.ReadLines(path).Select((line, i) => (line, Where: $"{path}, line {i + 1}")).Where(l => !string.IsNullOrWhiteSpace(l.line))
            .Select(l => Parse(l.line, l.Where)).ToList();
        if (all.Count == 0)
            throw new StartupException($"dataset '{path}' has no prompts.");
        int held = Math.Min(heldOut, all.Count / 10);
        if (heldOut > 0 && held == 0)
            throw new StartupException($"dataset '{path}' has {all.Count} prompts; an evaluation keeps a tenth of them back, so it needs at least 10. Set eval_steps to 0, or give more.");
        int[] order = Order(all.Count, -1);
        (_held, _trained) = ([.. order[..held].Select(i => all[i])], [.. order[held..].Select(i => all[i])]);
    }

    /// <inheritdoc/>
    public GrpoPrompt Get(long index)
    {
        var (pass, place) = Math.DivRem(index, _trained.Count);
        if (_current.Pass != pass)
            _current = (pass, Order(_trained.Count, pass));
        return _trained[_current.Order[place]];
    }

    /// <inheritdoc/>
    public IReadOnlyList<GrpoPrompt> HeldOut(int countPerKind) => [.. _held.Take(countPerKind)];

    private int[] Order(int count, long pass)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        new Random((int)(StableHash.Mix((ulong)_seed * 0x9E3779B97F4A7C15 + (ulong)pass) & 0x7FFFFFFF)).Shuffle(order);
        return order;
    }

    private static GrpoPrompt Parse(string line, string where)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var columns = document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.Clone());
            if (!columns.ContainsKey("answer"))
                throw new FormatException("it has no answer.");
            List<Turn> turns = columns.TryGetValue("messages", out var messages)
                ? [.. messages.EnumerateArray().Select(m => new Turn(m.GetProperty("role").GetString()!, m.GetProperty("content").GetString()!))]
                : [new Turn("user", columns["prompt"].GetString()!)];
            if (turns is not [.., { Role: "user" }])
                throw new FormatException("the last message must be the user's.");
            columns.TryAdd("prompt", JsonSerializer.SerializeToElement(turns[^1].Content));
            return new GrpoPrompt(turns, new TaskRow(where, columns), "file");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new StartupException($"{where} is not a prompt with an answer: {e.Message} A line is {{\"prompt\": ..., \"answer\": ...}} or {{\"messages\": [..., {{\"role\": \"user\", \"content\": ...}}], \"answer\": ...}}.", e);
        }
    }
}
