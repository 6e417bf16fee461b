using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using OpenAI;
using OpenAI.Chat;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>A real model that speaks: SmolLM2 as GGUF in float32, over HTTP, against the texts of its reference.</summary>
public sealed class SmolTests
{
    private static readonly string Folder = Path.Combine(Goldens.Models, "smollm2-135m-instruct");

    [GoldenFact]
    public async Task Chat_SixteenStreamsAtOnce_AreTheReferenceTexts()
    {
        await using var server = ServerHost.Create(new ServerOptions
        {
            Engine = new EngineOptions
            {
                ModelPath = Path.Combine(Folder, "SmolLM2-135M-Instruct.Q4_1.gguf"),
                DType = "float32",
                KvCacheMemoryBytes = 256 << 20,
            },
            Port = 0,
            Logger = Serilog.Core.Logger.None,
        });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var client = Http.Client(server);
        var reference = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "reference.json")))!;
        var chats = reference["chat"]!.AsArray();
        Assert.Equal(15, chats.Count);
        var cases = chats.Append(chats[0]).Select(c => c!).ToArray();
        var answers = await Task.WhenAll(cases.Select(c => AnswerAsync(client, c)));
        for (int i = 0; i < cases.Length; i++)
        {
            Assert.Equal(cases[i]["prompt_ids"]!.ToJsonString(), answers[i].Prompt.ToJsonString());
            Assert.Equal((string?)cases[i]["greedy_text"], answers[i].Text);
            Assert.Equal((string?)cases[i]["finish_reason"], answers[i].Finish);
        }
        var openAi = new ChatClient("SmolLM2-135M-Instruct.Q4_1", new System.ClientModel.ApiKeyCredential("none"),
            new OpenAIClientOptions { Endpoint = new Uri(server.Address, "/v1") });
        var answer = await openAi.CompleteChatAsync(["What is the capital of France?"], new ChatCompletionOptions { Temperature = 0 });
        Assert.Equal("The capital of France is Paris.", answer.Value.Content[0].Text);
        await server.StopAsync();
    }

    private static async Task<(JsonNode Prompt, string Text, string? Finish)> AnswerAsync(HttpClient client, JsonNode test)
    {
        var chunks = await client.StreamAsync("/v1/chat/completions", new JsonObject
        {
            ["messages"] = test["messages"]!.DeepClone(),
            ["temperature"] = 0,
            ["max_tokens"] = 64,
            ["stream"] = true,
            ["return_token_ids"] = true,
        }.ToJsonString());
        string text = string.Concat(chunks.Select(c => (string?)c["choices"]![0]!["delta"]!["content"]));
        return (chunks[0]["prompt_token_ids"]!, text, (string?)chunks[^1]["choices"]![0]!["finish_reason"]);
    }
}
