using System.Text.RegularExpressions;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Text;
using Microsoft.Extensions.AI;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The engine as an IChatClient, and the README's sample of it.</summary>
public sealed partial class ChatClientTests : IClassFixture<ChatClientTests.Loaded>
{
    private readonly Loaded _loaded;

    public ChatClientTests(Loaded loaded) => _loaded = loaded;

    /// <summary>One client for all tests: it thinks "ab" and answers "cd", whatever it is asked.</summary>
    public sealed class Loaded : IDisposable
    {
        private readonly int[] _script = [];

        public Loaded()
        {
            if (Goldens.Missing is not null)
                return;
            var engine = new ChatEngine(LlmEngine.Load(DeepSeekServer.Options().Engine));
            _script = [.. engine.Tokenize("ab</think>cd", addSpecialTokens: false), DeepSeekServer.Eos];
            Client = new DeepSeekChatClient(engine, DeepSeekServer.Model) { Adjust = settings => Last = settings with { Constraint = _ => new Script(_script) } };
        }

        public DeepSeekChatClient Client { get; } = null!;

        public GenerationSettings? Last { get; private set; }

        public void Dispose() => Client?.Dispose();

        private sealed class Script(int[] ids) : ListGuide
        {
            protected override bool TryGetAllowed(ReadOnlySpan<int> outputIds, List<int> allowed)
            {
                allowed.Add(ids[Math.Min(outputIds.Length, ids.Length - 1)]);
                return true;
            }
        }
    }

    [GoldenTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Answer_HasThoughtTextFinishAndUsage(bool stream)
    {
        var answer = stream
            ? await _loaded.Client.GetStreamingResponseAsync("hi").ToChatResponseAsync()
            : await _loaded.Client.GetResponseAsync("hi");
        Assert.Equal(("cd", "ab"), (answer.Text, string.Concat(answer.Messages[0].Contents.OfType<TextReasoningContent>().Select(c => c.Text))));
        Assert.Equal((ChatFinishReason.Stop, DeepSeekServer.Model, ChatRole.Assistant), (answer.FinishReason!.Value, answer.ModelId, answer.Messages.Single().Role));
        Assert.Equal((7, 6, 13, 3), (answer.Usage!.InputTokenCount, answer.Usage.OutputTokenCount, answer.Usage.TotalTokenCount, answer.Usage.ReasoningTokenCount));
    }

    [GoldenFact]
    public async Task Stream_CutByLimit_ArrivesInPiecesAndSaysLength()
    {
        var updates = await _loaded.Client.GetStreamingResponseAsync("hi", new ChatOptions { MaxOutputTokens = 5 }).ToListAsync();
        Assert.Equal(["a", "b", "c", "d"], updates.Where(u => u.FinishReason is null).SelectMany(u => u.Contents)
            .Select(c => c is TextReasoningContent r ? r.Text : ((TextContent)c).Text));
        Assert.Equal(ChatFinishReason.Length, updates[^1].FinishReason);
        Assert.Single(updates.Select(u => u.ResponseId).Distinct());
    }

    [GoldenFact]
    public async Task Options_ReachTheEngine()
    {
        await _loaded.Client.GetResponseAsync("hi", new ChatOptions
        {
            Temperature = 0.5f,
            TopP = 0.9f,
            TopK = 7,
            Seed = 11,
            MaxOutputTokens = 3,
            StopSequences = ["x"],
            FrequencyPenalty = 1,
            PresencePenalty = -1,
        });
        var s = _loaded.Last!;
        Assert.Equal((0.5f, 0.9f, 7, 11L, 3), (s.Temperature, s.TopP, s.TopK, s.Seed, s.MaxTokens));
        Assert.Equal(("x", 1f, -1f), (s.Stop.Single(), s.FrequencyPenalty, s.PresencePenalty));
    }

    [GoldenFact]
    public async Task History_WithThoughtsAndInstructions_IsAccepted()
    {
        var first = await _loaded.Client.GetResponseAsync("hi", new ChatOptions { Instructions = "Be brief." });
        Microsoft.Extensions.AI.ChatMessage[] history = [new(ChatRole.User, "hi"), .. first.Messages, new(ChatRole.User, "and now?")];
        var second = await _loaded.Client.GetResponseAsync(history);
        Assert.Equal("cd", second.Text);
        Assert.InRange(second.Usage!.InputTokenCount!.Value, first.Usage!.InputTokenCount!.Value + 1, 100);
    }

    [GoldenFact]
    public async Task NoThinking_BeginsWithTheAnswer()
    {
        var answer = await _loaded.Client.GetResponseAsync("hi", new ChatOptions { Reasoning = new ReasoningOptions { Effort = ReasoningEffort.None } });
        Assert.Empty(answer.Messages[0].Contents.OfType<TextReasoningContent>());
        Assert.Equal(0, answer.Usage!.ReasoningTokenCount);
    }

    [GoldenFact]
    public async Task WhatHasNoEffect_IsRefusedByName()
    {
        await AssertRefusedAsync("Tools", new ChatOptions { Tools = [AIFunctionFactory.Create(() => 1)] });
        await AssertRefusedAsync("ResponseFormat", new ChatOptions { ResponseFormat = ChatResponseFormat.Json });
        await AssertRefusedAsync("Temperature", new ChatOptions { Temperature = 3 });
        await AssertRefusedAsync("Contents", new ChatOptions(), new DataContent(new byte[] { 1 }, "image/png"));
    }

    private async Task AssertRefusedAsync(string name, ChatOptions options, params AIContent[] contents)
    {
        var message = new Microsoft.Extensions.AI.ChatMessage(ChatRole.User, [new TextContent("hi"), .. contents]);
        Assert.Equal(name, (await Assert.ThrowsAsync<InvalidRequestException>(() => _loaded.Client.GetResponseAsync([message], options))).Param);
    }

    [GoldenFact]
    public async Task Reader_Leaves_SequenceEnds()
    {
        await foreach (var _ in _loaded.Client.GetStreamingResponseAsync("hi"))
            break;
        var engine = _loaded.Client.GetService<ChatEngine>()!;
        for (int i = 0; i < 200 && engine.Snapshot() is not { Running: 0, BlocksUsed: 0 }; i++)
            await Task.Delay(10);
        Assert.Equal((0, 0), (engine.Snapshot().Running, engine.Snapshot().BlocksUsed));
        Assert.Equal("deepseek-r1", _loaded.Client.GetService<ChatClientMetadata>()!.ProviderName);
    }

    /// <summary>The README shows what this project compiles and this test runs.</summary>
    [GoldenFact]
    public async Task Readme_Sample_IsThisCodeAndRuns()
    {
        string source = File.ReadAllText(Path.Combine(Goldens.Repository, "tests", "DeepSeekR1.Server.Tests", "ReadmeSample.cs"));
        string body = Indent().Replace(source.Split("// Sample begins.\n")[1].Split("        // Sample ends.")[0], "");
        Assert.Contains("```csharp\nusing DeepSeekR1.Text;\nusing Microsoft.Extensions.AI;\n\n" + body + "```", File.ReadAllText(Path.Combine(Goldens.Repository, "README.md")));

        var (output, original) = (new StringWriter(), Console.Out);
        Console.SetOut(output);
        try
        {
            await ReadmeSample.RunAsync(Path.Combine(Goldens.Models, "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf"));
        }
        finally
        {
            Console.SetOut(original);
        }
        Assert.Equal("The capital of France is Paris.", output.ToString());
    }

    [GeneratedRegex("^        ", RegexOptions.Multiline)]
    private static partial Regex Indent();
}
