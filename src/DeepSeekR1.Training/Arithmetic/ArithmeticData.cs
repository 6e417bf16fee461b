using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Writes the generator's dialogues as JSONL files: for training elsewhere, and for evaluation.</summary>
public static class ArithmeticData
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The evaluation sets: name, kind and digits of the longer and the other number (0 for the usual lengths).</summary>
    private static readonly (string Name, ProblemKind Kind, int Digits, int Other)[] Splits =
    [
        ("add2", ProblemKind.Add, 2, 0), ("add3", ProblemKind.Add, 3, 0), ("add4", ProblemKind.Add, 4, 0), ("add5", ProblemKind.Add, 5, 0),
        ("sub2", ProblemKind.Subtract, 2, 0), ("sub3", ProblemKind.Subtract, 3, 0), ("sub4", ProblemKind.Subtract, 4, 0), ("sub5", ProblemKind.Subtract, 5, 0),
        ("mul2x1", ProblemKind.Multiply, 2, 1), ("mul2x2", ProblemKind.Multiply, 2, 2), ("mul3x2", ProblemKind.Multiply, 3, 2),
            ("mul3x3", ProblemKind.Multiply, 3, 3), ("mul4x2", ProblemKind.Multiply, 4, 2), ("mul4x3", ProblemKind.Multiply, 4, 3),
        ("div", ProblemKind.Divide, 0, 0), ("linear", ProblemKind.Linear, 0, 0), ("compare", ProblemKind.Larger, 0, 0),
    ];

    /// <summary>Names of the evaluation sets whose problems have an answer.</summary>
    public static IReadOnlyList<string> ProblemSplits { get; } = [.. Splits.Select(s => s.Name), "story"];

    /// <summary>Names of the evaluation sets; refusal is one more.</summary>
    public static IReadOnlyList<string> SplitNames { get; } = [.. ProblemSplits, "refusal"];

    /// <summary>Training dialogues first to first + count - 1 of a seed.</summary>
    public static void WriteTraining(string path, ArithmeticGenerator generator, long first, long count)
    {
        using var writer = new StreamWriter(path);
        for (long i = first; i < first + count; i++)
            writer.WriteLine(Training(generator.Draw(i)).ToJsonString(Readable));
    }

    /// <summary>Held-out problems of a set: one object a line with id, category, prompt and answer.</summary>
    public static void WriteHeldOut(string path, long seed, string split, int count)
    {
        using var writer = new StreamWriter(path);
        foreach (string line in HeldOutLines(seed, split, count))
            writer.WriteLine(line);
    }

    /// <summary>Held-out problems of a set as JSON objects with id, category, prompt, answer and reply. Identifiers differ between sets.</summary>
    public static IEnumerable<string> HeldOutLines(long seed, string split, int count) => HeldOut(seed, split, count).Select(conversation => new JsonObject
    {
        ["id"] = $"{split}-{conversation.Id}",
        ["category"] = split,
        ["prompt"] = conversation.Turns[^1].Content,
        ["answer"] = conversation.Answer,
        ["reply"] = conversation.Reply,
    }.ToJsonString(Readable));

    /// <summary>Held-out problems of a set, each once.</summary>
    public static IEnumerable<Conversation> HeldOut(long seed, string split, int count)
    {
        var generator = new ArithmeticGenerator(seed);
        if (split == "refusal")
            return Enumerable.Range(0, count).Select(i => generator.DrawHeldOutRefusal(i));
        if (split == "story")
            return Enumerable.Range(0, count).Select(i => generator.DrawHeldOutStory(i));
        var (name, kind, digits, other) = Splits.FirstOrDefault(s => s.Name == split);
        return name is null
            ? throw new ArgumentException($"There is no set '{split}'; there are {string.Join(", ", SplitNames)}.")
            : Enumerable.Range(0, count).Select(i => generator.DrawHeldOut(i, kind, digits, other));
    }

    private static JsonObject Training(Conversation conversation)
    {
        var messages = new JsonArray([.. conversation.Turns.Select(t => new JsonObject { ["role"] = t.Role, ["content"] = t.Content })]);
        messages.Add((JsonNode)new JsonObject { ["role"] = "assistant", ["reasoning_content"] = conversation.Thought, ["content"] = conversation.Reply });
        var line = new JsonObject { ["id"] = conversation.Id, ["category"] = conversation.Category, ["messages"] = messages };
        if (conversation.Unlearned.Count > 0)
            line["unlearned"] = new JsonArray([.. conversation.Unlearned.Select(u => new JsonArray(u.Start, u.Length))]);
        return line;
    }
}
