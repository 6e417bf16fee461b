using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Templates;

namespace DeepSeekR1.Tests.Text.Templates;

/// <summary>Reads the template goldens and says how a rendering differs from them.</summary>
internal static class TemplateGoldens
{
    /// <summary>The goldens' clock: 2025-03-07 09:05:03, a Friday.</summary>
    public static readonly TimeProvider Clock = new FixedClock();

    /// <summary>The lines of a jsonl file.</summary>
    public static List<JsonObject> Lines(string file) =>
        [.. File.ReadLines(Goldens.At("templates", file)).Select(line => JsonNode.Parse(line)!.AsObject())];

    /// <summary>A template of the goldens, compiled.</summary>
    public static ChatTemplate Template(string file) => ChatTemplate.Parse(File.ReadAllText(Goldens.At("templates", file)), Clock);

    /// <summary>The input of a case.</summary>
    public static TemplateInput Input(JsonObject line) => new()
    {
        Messages = line["messages"]!.AsArray(),
        Tools = line["tools"]?.AsArray(),
        AddGenerationPrompt = line["add_generation_prompt"]!.GetValue<bool>(),
        BosToken = line["bos_token"]?.GetValue<string>(),
        EosToken = line["eos_token"]?.GetValue<string>(),
        Variables = line["kwargs"]!.AsObject(),
    };

    /// <summary>How a case fails; null when it passes.</summary>
    public static string? Check(ChatTemplate template, JsonObject line)
    {
        IReadOnlyList<TextSegment> segments;
        try
        {
            segments = template.Render(Input(line));
        }
        catch (TemplateException exception)
        {
            return CheckError(line, exception);
        }
        if (line.ContainsKey("error"))
            return $"rendered, but {line["kind"]} was expected: {line["message"]}";
        var expected = line["segments"]!.AsArray()
            .Select(segment => (segment!["text"]!.GetValue<string>(), segment["from_message"]!.GetValue<bool>()));
        var actual = segments.Select(segment => (segment.Text, segment.FromMessage));
        return actual.SequenceEqual(expected) ? null : $"\n  expected {Show(expected)}\n  actual   {Show(actual)}";
    }

    private static string? CheckError(JsonObject line, TemplateException exception)
    {
        if (!line.ContainsKey("error"))
            return $"failed with {exception.Kind}: {exception.Message}";
        return exception.Kind == line["kind"]!.GetValue<string>() && exception.Message == line["message"]!.GetValue<string>()
            ? null
            : $"failed with {exception.Kind}: {exception.Message}; expected {line["kind"]}: {line["message"]}";
    }

    private static string Show(IEnumerable<(string Text, bool FromMessage)> segments) => string.Concat(segments.Select(segment =>
        $"[{(segment.FromMessage ? '+' : '-')}{segment.Text.Replace("\n", "\\n", StringComparison.Ordinal)}]"));

    private sealed class FixedClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2025, 3, 7, 9, 5, 3, TimeSpan.Zero);
    }
}
