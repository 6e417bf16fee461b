using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Engine;
using DeepSeekR1.Text;
using Xunit;

namespace DeepSeekR1.Tests.Text;

/// <summary>What the last event says. The real engine on a tiny model.</summary>
public sealed class AnswerEndTests
{
    [GoldenFact]
    public async Task End_ByLimitTokenOrString_SaysWhich()
    {
        await using var engine = new ChatEngine(EngineFixture.Load("qwen2"));
        var settings = new GenerationSettings { Temperature = 0.8f, Seed = 11, MaxTokens = 12, IgnoreEos = true };
        var (free, text, limit) = await ReadAsync(engine, settings);
        Assert.Equal((12, new AnswerEnded(EndReason.Length)), (free.Count, limit));

        int token = free[5];
        var (stopped, _, byToken) = await ReadAsync(engine, settings with { StopTokenIds = [token] });
        Assert.Equal(free[..(free.IndexOf(token) + 1)], stopped);
        Assert.Equal(new AnswerEnded(EndReason.Stop, StopToken: token), byToken);

        string stop = text.Substring(text.Length / 2, 2);
        var (_, cut, byString) = await ReadAsync(engine, settings with { Stop = ["never", stop] });
        Assert.Equal(text[..text.IndexOf(stop, StringComparison.Ordinal)], cut);
        Assert.Equal(new AnswerEnded(EndReason.Stop, StopString: stop), byString);
    }

    private static async Task<(List<int> Tokens, string Text, AnswerEnded? End)> ReadAsync(ChatEngine engine, GenerationSettings settings)
    {
        var request = new CompletionRequest { Id = "end", Prompts = [new PromptInput(null, [5, 6, 7, 8])], Settings = settings };
        var parts = new OutputParts();
        var tokens = new List<int>();
        await foreach (var step in engine.Start(request).ReadAsync())
        {
            tokens.AddRange(step.Tokens.Select(t => t.Id));
            foreach (var next in step.Events)
                parts.Append(next);
        }
        return (tokens, parts.Answer, parts.End);
    }
}
