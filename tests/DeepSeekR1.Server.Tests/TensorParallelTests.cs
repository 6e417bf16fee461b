using System.Net;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>A block-FP8 checkpoint on two ranks over HTTP: the reference ids.</summary>
public sealed class TensorParallelTests
{
    [GoldenFact]
    public async Task Completions_OnTwoRanks_GiveReferenceIds()
    {
        const string Name = "deepseek-v3-fp8-mtp";
        var options = DeepSeekServer.Options(Name);
        await using var server = ServerHost.Create(options with { Engine = options.Engine with { TensorParallelSize = 2 } });
        await server.StartAsync();
        await server.WaitUntilReadyAsync();
        using var client = Http.Client(server);
        var expected = JsonNode.Parse(File.ReadAllText(Goldens.At("models", Name, "expected", "expected.json")))!;
        var answers = await Task.WhenAll(expected["prompts"]!.AsArray().Select(prompt => client.PostAsync(
            "/v1/completions",
            $$"""{"prompt":{{prompt!["ids"]!.ToJsonString()}},"temperature":0,"max_tokens":32,"ignore_eos":true,"return_token_ids":true}""")));
        foreach (var (prompt, answer) in expected["prompts"]!.AsArray().Zip(answers))
        {
            Assert.Equal(HttpStatusCode.OK, answer.Status);
            Assert.Equal(prompt!["greedy"]!.ToJsonString(), answer.Choice["token_ids"]!.ToJsonString());
        }
    }
}
