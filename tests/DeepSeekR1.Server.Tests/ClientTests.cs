using System.ClientModel;
using DeepSeekR1.Testing;
using Microsoft.Extensions.AI;
using OpenAI;
using OpenAI.Chat;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The official .NET clients against the real server.</summary>
[Collection(ServerCollection.Name)]
public sealed class ClientTests(DeepSeekServer server)
{
    private OpenAIClient OpenAi() => new(
        new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(server.Server.Address, "/v1") });

    [GoldenFact]
    public async Task OpenAi_WholeAnswer_HasTextUsageAndFinish()
    {
        await server.ScriptAsync("openai", "a</think>bc");
        var answer = (await OpenAi().GetChatClient(DeepSeekServer.Model).CompleteChatAsync(
            [new SystemChatMessage("s"), new UserChatMessage(ChatMessageContentPart.CreateTextPart("hi"))],
            new ChatCompletionOptions { EndUserId = "openai", MaxOutputTokenCount = 20 })).Value;
        Assert.Equal("bc", answer.Content[0].Text);
        Assert.Equal(OpenAI.Chat.ChatFinishReason.Stop, answer.FinishReason);
        Assert.Equal((5, 2), (answer.Usage.OutputTokenCount, answer.Usage.OutputTokenDetails.ReasoningTokenCount));
    }

    [GoldenFact]
    public async Task OpenAi_Stream_HasTextUsageAndFinish()
    {
        await server.ScriptAsync("openai", "a</think>bc");
        var (text, usage, finish) = ("", (ChatTokenUsage?)null, (OpenAI.Chat.ChatFinishReason?)null);
        await foreach (var update in OpenAi().GetChatClient(DeepSeekServer.Model).CompleteChatStreamingAsync(
            [new UserChatMessage("hi")], new ChatCompletionOptions { EndUserId = "openai" }))
        {
            text += string.Concat(update.ContentUpdate.Select(p => p.Text));
            usage = update.Usage ?? usage;
            finish = update.FinishReason ?? finish;
        }
        Assert.Equal(("bc", 5, OpenAI.Chat.ChatFinishReason.Stop), (text, usage!.OutputTokenCount, finish!.Value));
    }

    [GoldenFact]
    public async Task OpenAi_BadRequest_ShowsOurMessage()
    {
        var failure = await Assert.ThrowsAsync<ClientResultException>(() => OpenAi().GetChatClient("gpt-4").CompleteChatAsync("hi"));
        Assert.Equal(404, failure.Status);
        Assert.Contains("The model 'gpt-4' is not served here.", failure.Message);
    }

    [GoldenTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ExtensionsAi_Answer_HasThoughtAndText(bool stream)
    {
        await server.ScriptAsync("meai", "ab</think>cd");
        using var client = OpenAi().GetChatClient(DeepSeekServer.Model).AsIChatClient();
        var options = new ChatOptions { RawRepresentationFactory = _ => new ChatCompletionOptions { EndUserId = "meai" } };
        var answer = stream
            ? await client.GetStreamingResponseAsync("hi", options).ToChatResponseAsync()
            : await client.GetResponseAsync("hi", options);
        Assert.Equal("cd", answer.Text);
        Assert.Equal("ab", string.Concat(answer.Messages[0].Contents.OfType<TextReasoningContent>().Select(c => c.Text)));
        Assert.Equal(Microsoft.Extensions.AI.ChatFinishReason.Stop, answer.FinishReason);
        Assert.Equal(6, answer.Usage!.OutputTokenCount);
    }
}
