using System.Text.Json;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training.Grpo;

/// <summary>Problems of the built-in generator as prompts of reinforcement learning; held-out ones are for evaluation only.</summary>
public sealed class ArithmeticPrompts(long seed, IReadOnlyList<PromptKind> kinds) : IPromptSource
{
    private readonly ArithmeticGenerator _generator = new(seed);
    private readonly int _parts = kinds.Sum(k => k.Weight);

    /// <inheritdoc/>
    public GrpoPrompt Get(long index)
    {
        int part = (int)(index % _parts);
        int number = 0;
        while ((part -= kinds[number].Weight) >= 0)
            number++;
        var kind = kinds[number];
        return Prompt(_generator.DrawTrained(index, kind.Kind, kind.Digits, kind.OtherDigits), kind);
    }

    /// <inheritdoc/>
    public IReadOnlyList<GrpoPrompt> HeldOut(int countPerKind)
        => [.. kinds.SelectMany(kind => Enumerable.Range(0, countPerKind).Select(i => Prompt(_generator.DrawHeldOut(i, kind.Kind, kind.Digits, kind.OtherDigits), kind)))];

    private static GrpoPrompt Prompt(Conversation conversation, PromptKind kind)
    {
        var columns = new Dictionary<string, JsonElement>
        {
            ["prompt"] = JsonSerializer.SerializeToElement(conversation.Turns[^1].Content),
            ["answer"] = JsonSerializer.SerializeToElement(conversation.Answer),
        };
        string name = kind.Kind.ToString().ToLowerInvariant() + (kind.Digits == 0 ? "" : kind.OtherDigits == 0 ? $"{kind.Digits}" : $"{kind.Digits}x{kind.OtherDigits}");
        return new GrpoPrompt(conversation.Turns, new TaskRow(conversation.Id, columns), name);
    }
}
