using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace DeepSeekR1.Server.Tests.Clients;

/// <summary>One run of every case with every npm client; the tests look at single results.</summary>
public sealed class NpmRun(ClientServers servers)
{
    /// <summary>Client libraries in the run; each is refused once by the loading and once by the busy server.</summary>
    public const int NumClients = 6;

    private Task<JsonNode>? _results;

    /// <summary>What a client understood in a case.</summary>
    public async Task<JsonNode> ResultAsync(string client, string name)
        => (await (_results ??= RunAsync()))[client + " " + name] ?? throw new InvalidOperationException($"The run has no result for '{client} {name}'.");

    private async Task<JsonNode> RunAsync()
    {
        await NodeTools.InstallAsync();
        var loading = await servers.LoadingAsync(NumClients);
        var busy = await servers.BusyAsync(NumClients);
        var renamed = await servers.RenamedAsync();
        string settings = JsonSerializer.Serialize(new
        {
            main = servers.BaseUrl,
            loading = new Uri(loading.Address, "/v1"),
            busy = new Uri(busy.Address, "/v1"),
            renamed = new Uri(renamed.Address, "/v1"),
            key = ClientServers.Key,
            model = DeepSeekServer.Model,
        });
        return JsonNode.Parse(await NodeTools.RunAsync("node", "--no-warnings", "suite.mjs", settings))!;
    }
}

/// <summary>
/// The npm clients against the real server: openai, its stream helper, the AI SDK with two providers, LangChain with two. The rows of
/// the table "what breaks whom" are here: every one of them makes at least one of these clients lose or misread something.
/// </summary>
[Collection(ClientCollection.Name)]
public sealed class NpmTests(ClientServers servers)
{
    private static readonly string[] Names =
        ["openai", "openai-stream-helper", "ai-openai-compatible", "ai-deepseek", "langchain-openai", "langchain-deepseek"];

    public static TheoryData<string> All => [.. Names];

    /// <summary>The helper only streams.</summary>
    public static TheoryData<string> Wholes => [.. Names.Where(n => n != "openai-stream-helper")];

    private Task<JsonNode> ResultAsync(string client, string name) => servers.Npm.ResultAsync(client, name);

    /// <summary>Text, thought, finish reason, completion and reasoning tokens.</summary>
    private async Task AssertAnswerAsync(string client, string name, string finish, int completion, string? seen = null)
    {
        // The helper keeps only the last piece of fields that OpenAI does not have; the README says so.
        string thought = seen ?? (client == "openai-stream-helper" ? "" : "ab");
        var expected = new { content = "cd", reasoning = thought, finish, completion, thought = 3 };
        Assert.Equal(JsonSerializer.Serialize(expected), (await ResultAsync(client, name)).ToJsonString());
    }

    private async Task AssertRefusedAsync(string client, string name, int status, string message)
    {
        var result = await ResultAsync(client, name);
        Assert.Equal(status, (int?)result["status"]);
        Assert.Contains(message, (string?)result["message"]);
    }

    [NodeTheory]
    [MemberData(nameof(Wholes))]
    public Task Whole_HasTextThoughtFinishAndUsage(string client) => AssertAnswerAsync(client, "whole", "stop", 6);

    [NodeTheory]
    [MemberData(nameof(Wholes))]
    public Task Whole_CutByMaxTokens_SaysLength(string client) => AssertAnswerAsync(client, "whole-length", "length", 5);

    /// <summary>Role in the first delta, index, integer created, finish reason, usage chunk with choices, reasoning_content.</summary>
    [NodeTheory]
    [MemberData(nameof(All))]
    public Task Stream_HasTextThoughtFinishAndUsage(string client) => AssertAnswerAsync(client, "stream", "stop", 6);

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task Stream_CutByMaxTokens_SaysLength(string client) => AssertAnswerAsync(client, "stream-length", "length", 5);

    /// <summary>The thought under vLLM's name alone: most clients do not see it, none loses anything else.</summary>
    [NodeTheory]
    [MemberData(nameof(All))]
    public Task Stream_WithReasoningAlone_HasTextFinishAndUsage(string client)
        => AssertAnswerAsync(client, "stream-renamed", "stop", 6, seen: client == "ai-openai-compatible" ? "ab" : "");

    /// <summary>Comments, usage: null in every chunk and [DONE] disturb nobody.</summary>
    [NodeTheory]
    [MemberData(nameof(All))]
    public async Task Stream_WithPings_IsTheSame(string client)
    {
        using var http = Http.Client(servers.Main);
        http.DefaultRequestHeaders.Authorization = new("Bearer", ClientServers.Key);
        Assert.StartsWith(": ping\n\n", await http.StreamTextAsync("/v1/chat/completions", DeepSeekServer.Chat("late", "\"stream\":true")));
        await AssertAnswerAsync(client, "stream-pings", "stop", 6);
    }

    [NodeTheory]
    [InlineData("openai-stream-helper")]
    public async Task Stream_OfTwoAnswers_KeepsThemApart(string client)
        => Assert.Equal("cd|cd", (string?)(await ResultAsync(client, "stream-two"))["content"]);

    /// <summary>A failure in mid-stream is nobody's short answer, and every client shows the server's words.</summary>
    [NodeTheory]
    [MemberData(nameof(All))]
    public async Task Stream_ThatFails_IsAnErrorWithOurMessage(string client)
    {
        var result = await ResultAsync(client, "stream-fails");
        Assert.Equal("The server failed on this request; its log holds the details.", (string?)result["message"]);
        Assert.Null(result["content"]);
    }

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task WrongKey_Is401WithOurMessage(string client) => AssertRefusedAsync(client, "wrong-key", 401, "The API key is not valid.");

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task WrongModel_Is404WithOurMessage(string client) => AssertRefusedAsync(client, "wrong-model", 404, "The model 'gpt-4' is not served here.");

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task WrongRoute_Is404WithOurMessage(string client) => AssertRefusedAsync(client, "wrong-route", 404, "No route POST ");

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task WrongField_Is400WithOurMessage(string client) => AssertRefusedAsync(client, "wrong-field", 400, "'min_p' must be between 0 and 1, not 2.");

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task Loading_IsTriedAgainUntilReady(string client) => AssertAnswerAsync(client, "retry-503", "stop", 6);

    [NodeTheory]
    [MemberData(nameof(All))]
    public Task FullQueue_IsTriedAgainUntilThereIsRoom(string client) => AssertAnswerAsync(client, "retry-429", "stop", 6);

    [NodeTheory]
    [MemberData(nameof(All))]
    public async Task Abort_InMidStream_EndsTheAnswerAndFreesTheServer(string client)
    {
        var result = await ResultAsync(client, "leaves");
        Assert.True((bool?)result["abort"] ?? result["finish"] is null, result.ToJsonString());
        var snapshot = await servers.IdleAsync();
        Assert.InRange(snapshot.RequestsCancelled, Names.Length, Names.Length + 100);
    }
}
