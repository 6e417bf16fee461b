using System.ClientModel;
using System.Text;
using DeepSeekR1.Testing;
using Microsoft.Extensions.AI;
using OpenAI;
using OpenAI.Chat;
using Xunit;
using AiFinish = Microsoft.Extensions.AI.ChatFinishReason;
using Finish = OpenAI.Chat.ChatFinishReason;

namespace DeepSeekR1.Server.Tests.Clients;

/// <summary>The official .NET clients, OpenAI and Microsoft.Extensions.AI, against the real server.</summary>
[Collection(ClientCollection.Name)]
public sealed class OpenAiDotNetTests(ClientServers servers)
{
    private ChatClient OpenAi(Uri? address = null, string key = ClientServers.Key, string model = DeepSeekServer.Model)
        => new(model, new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = address is null ? servers.BaseUrl : new Uri(address, "/v1") });

    private static ChatCompletionOptions User(string user, int? tokens = null) => new() { EndUserId = user, MaxOutputTokenCount = tokens };

    private static ChatOptions AiUser(string user) => new() { RawRepresentationFactory = _ => User(user) };

    [GoldenTheory]
    [InlineData(null, 6)]
    [InlineData(5, 5)]
    public async Task OpenAi_Whole_HasTextUsageFinishAndDate(int? limit, int tokens)
    {
        var answer = (await OpenAi().CompleteChatAsync(
            [new SystemChatMessage("s"), new UserChatMessage(ChatMessageContentPart.CreateTextPart("hi"))], User("short", limit))).Value;
        Assert.Equal(("cd", limit is null ? Finish.Stop : Finish.Length), (answer.Content[0].Text, answer.FinishReason));
        Assert.Equal((tokens, 3), (answer.Usage.OutputTokenCount, answer.Usage.OutputTokenDetails.ReasoningTokenCount));
        Assert.InRange(answer.CreatedAt, DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddMinutes(1));
    }

    [GoldenTheory]
    [InlineData("short", null, 6)]
    [InlineData("late", null, 6)]
    [InlineData("short", 5, 5)]
    public async Task OpenAi_Stream_HasTextThoughtUsageAndFinish(string user, int? limit, int tokens)
    {
        var (text, thought, usage, finish) = (new StringBuilder(), new StringBuilder(), (ChatTokenUsage?)null, (Finish?)null);
        await foreach (var update in OpenAi().CompleteChatStreamingAsync([new UserChatMessage("hi")], User(user, limit)))
        {
            text.AppendJoin("", update.ContentUpdate.Select(p => p.Text));
#pragma warning disable SCME0001 // The client keeps fields that OpenAI does not have in its patch.
            if (update.Patch.TryGetValue("$.choices[0].delta.reasoning_content"u8, out string? piece))
                thought.Append(piece);
#pragma warning restore SCME0001
            usage = update.Usage ?? usage;
            finish = update.FinishReason ?? finish;
        }
        Assert.Equal(("cd", "ab", limit is null ? Finish.Stop : Finish.Length), (text.ToString(), thought.ToString(), finish!.Value));
        Assert.Equal((tokens, 3), (usage!.OutputTokenCount, usage.OutputTokenDetails.ReasoningTokenCount));
    }

    [GoldenFact]
    public async Task OpenAi_Errors_HaveStatusAndOurMessage()
    {
        await AssertRefusedAsync(OpenAi(key: "wrong"), User("short"), 401, "The API key is not valid.");
        await AssertRefusedAsync(OpenAi(model: "gpt-4"), User("short"), 404, "The model 'gpt-4' is not served here.");
        await AssertRefusedAsync(OpenAi(), new ChatCompletionOptions { Temperature = 9 }, 400, "'temperature' must be between 0 and 2, not 9.");
    }

    private static async Task AssertRefusedAsync(ChatClient client, ChatCompletionOptions options, int status, string message)
    {
        var failure = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync([new UserChatMessage("hi")], options));
        Assert.Equal(status, failure.Status);
        Assert.Contains(message, failure.Message);
        // The message shows type and code of the error, which this client reads only when code is a text.
        Assert.Matches("invalid_request_error: [a-z_]+|authentication_error: invalid_api_key", failure.Message);
    }

    /// <summary>This client ignores the error event; only the broken connection tells that the answer is not complete.</summary>
    [GoldenFact]
    public async Task OpenAi_StreamThatFails_Throws()
    {
        var failure = await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            await foreach (var _ in OpenAi().CompleteChatStreamingAsync([new UserChatMessage("hi")], User("fails")))
            {
            }
        });
        Assert.IsType<HttpIOException>(failure);
    }

    [GoldenFact]
    public async Task OpenAi_LoadingOrFull_IsTriedAgain()
    {
        var loading = await servers.LoadingAsync(refusals: 1);
        Assert.Equal("cd", (await OpenAi(loading.Address).CompleteChatAsync([new UserChatMessage("hi")], User("short"))).Value.Content[0].Text);
        var busy = await servers.BusyAsync(refusals: 1);
        Assert.Equal("cd", (await OpenAi(busy.Address).CompleteChatAsync([new UserChatMessage("hi")], User("short"))).Value.Content[0].Text);
    }

    [GoldenFact]
    public async Task OpenAi_Abort_FreesTheServer()
    {
        long before = (await servers.IdleAsync()).RequestsCancelled;
        using var leaving = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in OpenAi().CompleteChatStreamingAsync([new UserChatMessage("hi")], User("slower", 200), leaving.Token))
                await leaving.CancelAsync();
        });
        Assert.Equal(before + 1, (await servers.IdleAsync(cancelled: before + 1)).RequestsCancelled);
    }

    [GoldenTheory]
    [InlineData(false, "short")]
    [InlineData(true, "short")]
    [InlineData(true, "late")]
    public async Task ExtensionsAi_Answer_HasThoughtTextFinishAndUsage(bool stream, string user)
    {
        using var client = OpenAi().AsIChatClient();
        var answer = stream
            ? await client.GetStreamingResponseAsync("hi", AiUser(user)).ToChatResponseAsync()
            : await client.GetResponseAsync("hi", AiUser(user));
        Assert.Equal("cd", answer.Text);
        Assert.Equal("ab", string.Concat(answer.Messages[0].Contents.OfType<TextReasoningContent>().Select(c => c.Text)));
        Assert.Equal(AiFinish.Stop, answer.FinishReason);
        Assert.Equal((6, 3), (answer.Usage!.OutputTokenCount, answer.Usage.ReasoningTokenCount));
    }

    /// <summary>The thought under vLLM's name alone: this client does not see it and loses nothing else.</summary>
    [GoldenTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ExtensionsAi_WithReasoningAlone_HasTextFinishAndUsage(bool stream)
    {
        var renamed = await servers.RenamedAsync();
        using var client = OpenAi(renamed.Address).AsIChatClient();
        var answer = stream
            ? await client.GetStreamingResponseAsync("hi", AiUser("short")).ToChatResponseAsync()
            : await client.GetResponseAsync("hi", AiUser("short"));
        Assert.Equal(("cd", AiFinish.Stop, 6L, 3L), (answer.Text, answer.FinishReason!.Value, answer.Usage!.OutputTokenCount, answer.Usage.ReasoningTokenCount));
        Assert.DoesNotContain(answer.Messages[0].Contents, c => c is TextReasoningContent);
    }

    [GoldenFact]
    public async Task ExtensionsAi_Failures_Throw()
    {
        using var client = OpenAi().AsIChatClient();
        await Assert.ThrowsAsync<HttpIOException>(() => client.GetStreamingResponseAsync("hi", AiUser("fails")).ToChatResponseAsync());
        using var stranger = OpenAi(key: "wrong").AsIChatClient();
        Assert.Equal(401, (await Assert.ThrowsAsync<ClientResultException>(() => stranger.GetResponseAsync("hi"))).Status);
    }
}
