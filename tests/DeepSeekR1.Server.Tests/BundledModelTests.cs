using System.Net.Http.Json;
using System.Text.Json;
using DeepSeekR1.Cli;
using DeepSeekR1.Engine;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>The model in the box answers sums with a real thought, over HTTP, and says what it is.</summary>
public sealed class BundledModelTests
{
    [Theory]
    [InlineData("What is 478 + 395?", "873")]
    [InlineData("47*36", "1692")]
    [InlineData("Subtract 58 from 91.", "33")]
    public async Task Chat_ASum_IsThoughtOutAndRight(string question, string answer)
    {
        await using var server = await StartAsync();
        using var client = new HttpClient { BaseAddress = server.Address };
        var response = await client.PostAsJsonAsync("/v1/chat/completions", new { temperature = 0, messages = new[] { new { role = "user", content = question } } });
        var choice = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("choices")[0];
        Assert.Equal("stop", choice.GetProperty("finish_reason").GetString());
        Assert.Contains($"\\boxed{{{answer}}}", choice.GetProperty("message").GetProperty("content").GetString());
        Assert.EndsWith($"so {answer}", choice.GetProperty("message").GetProperty("reasoning_content").GetString()!.TrimEnd());
    }

    [Fact]
    public async Task Models_SayThatItIsADemo()
    {
        await using var server = await StartAsync();
        using var client = new HttpClient { BaseAddress = server.Address };
        var card = (await client.GetFromJsonAsync<JsonElement>("/v1/models")).GetProperty("data")[0];
        Assert.Equal(BundledModel.Name, card.GetProperty("id").GetString());
        Assert.Equal(BundledModel.Description, card.GetProperty("description").GetString());
    }

    private static async Task<ServerHost> StartAsync()
    {
        var server = ServerHost.Create(new ServerOptions
        {
            Port = 0,
            Engine = new EngineOptions { ModelPath = BundledModel.Locate()!, NumThreads = 1, KvCacheMemoryBytes = 64 << 20 },
            ModelDescription = BundledModel.Description,
        });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        return server;
    }
}
