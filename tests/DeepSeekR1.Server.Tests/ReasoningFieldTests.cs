using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// Fields around thoughts over HTTP: reserve, forced thoughts, the hint for mathematics, answers that are continued, and histories with
/// thoughts in every dialect.
/// </summary>
[Collection(ServerCollection.Name)]
public sealed class ReasoningFieldTests(DeepSeekServer server)
{
    private const string User = """{"role":"user","content":"hi"}""";

    [GoldenTheory]
    [InlineData("\"answer_reserve\":60,\"max_tokens\":60")]
    [InlineData("\"answer_reserve\":60,\"max_tokens\":20,\"thinking_token_budget\":5")]
    [InlineData("\"answer_reserve\":60,\"max_completion_tokens\":1")]
    public async Task Reserve_NotBelowTheLimit_Is400(string members)
    {
        var answer = await server.Client.PostAsync("/v1/chat/completions", $"{{\"messages\":[{User}],{members}}}");
        Assert.Equal((HttpStatusCode.BadRequest, "max_tokens"), (answer.Status, (string?)answer.Json["error"]!["param"]));
        Assert.Contains("60 tokens are kept for the answer (answer_reserve)", answer.Error, StringComparison.Ordinal);
    }

    [GoldenTheory]
    [InlineData("\"answer_reserve\":40", 40)]
    [InlineData("\"answer_reserve\":40,\"thinking_token_budget\":1000", 40)]
    [InlineData("\"thinking_token_budget\":1000", 30)]
    [InlineData("\"n\":1", 0)]
    public async Task Reserve_IsLeftForTheAnswer(string members, int reserve)
    {
        int close = await CloseAsync();
        var answer = await AskAsync(server, $"[{User}]", "\"max_tokens\":120,\"logit_bias\":{\"" + close + "\":-100}," + members);
        int[] ids = Ids(answer);
        int closed = Array.IndexOf(ids, close);
        Assert.Equal(120, ids.Length);
        if (reserve == 0)
            Assert.Equal(-1, closed);
        else
            Assert.InRange(ids.Length - closed - 1, reserve, reserve + 10);
    }

    [GoldenFact]
    public async Task SmallLimit_WithABudget_StillAnswers()
    {
        int close = await CloseAsync();
        var answer = await AskAsync(server, $"[{User}]", "\"max_tokens\":32,\"thinking_token_budget\":20,\"logit_bias\":{\"" + close + "\":-100}");
        Assert.Equal(20, Array.IndexOf(Ids(answer), close));
        Assert.NotEmpty((string)answer.Choice["message"]!["content"]!);
    }

    [GoldenFact]
    public async Task ServerBudget_IsTheDefaultAndARequestWins()
    {
        int close = await CloseAsync();
        await using var own = await StartAsync(o => o with { ThinkingTokenBudget = 10, AnswerReserve = 50 });
        using var client = Http.Client(own);
        string bias = "\"max_tokens\":120,\"logit_bias\":{\"" + close + "\":-100}";
        async Task<int> ClosedAsync(string members) => Array.IndexOf(Ids(await AskAsync(client, $"[{User}]", members)), close);
        int byDefault = await ClosedAsync(bias);
        Assert.InRange(byDefault, 10, 70);
        Assert.Equal(byDefault, await ClosedAsync(bias + ",\"thinking_token_budget\":10"));
        Assert.Equal(-1, await ClosedAsync(bias + ",\"reasoning_effort\":\"high\""));
        var refused = await client.PostAsync("/v1/chat/completions", $"{{\"messages\":[{User}],\"max_tokens\":50}}");
        Assert.Equal((HttpStatusCode.BadRequest, "max_tokens"), (refused.Status, (string?)refused.Json["error"]!["param"]));
    }

    [GoldenFact]
    public async Task EnforceThinking_TemplateWithoutTag_BeginsWithAThought()
    {
        string template = Path.GetTempFileName();
        await File.WriteAllTextAsync(template, "{% for m in messages %}{{ m.content }}{% endfor %}!");
        await using var own = await StartAsync(o => o with { ChatTemplateFile = template });
        using var client = Http.Client(own);
        int[] opening = await server.TokenizeAsync("<think>\n");
        var plain = await AskAsync(client, $"[{User}]", "\"max_tokens\":4");
        Assert.Null((string?)plain.Choice["message"]!["reasoning_content"]);
        var forced = await AskAsync(client, $"[{User}]", "\"max_tokens\":4,\"enforce_thinking\":true");
        Assert.Equal([.. Prompt(plain), .. opening], Prompt(forced));
        Assert.NotEmpty((string)forced.Choice["message"]!["reasoning_content"]!);
        Assert.Equal(4, (int)forced.Json["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);

        // What the template does itself is not done twice, and a thought cannot be wanted and not wanted.
        Assert.Equal(Prompt(await AskAsync(server, $"[{User}]", "\"n\":1")), Prompt(await AskAsync(server, $"[{User}]", "\"enforce_thinking\":true")));
        var both = await client.PostAsync("/v1/chat/completions", $"{{\"messages\":[{User}],\"enforce_thinking\":true,\"reasoning_effort\":\"none\"}}");
        Assert.Equal((HttpStatusCode.BadRequest, "enforce_thinking"), (both.Status, (string?)both.Json["error"]!["param"]));
        File.Delete(template);
    }

    [GoldenFact]
    public async Task MathsHint_StandsInTheLastQuestion()
    {
        const string history = """{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c""";
        const string hint = """\nPlease reason step by step, and put your final answer within \\boxed{}.""";
        var hinted = await AskAsync(server, $"[{history}\"}}]", "\"maths_hint\":true,\"max_tokens\":1");
        var written = await AskAsync(server, $"[{history}{hint}\"}}]", "\"max_tokens\":1");
        Assert.Equal(Prompt(written), Prompt(hinted));
    }

    [GoldenTheory]
    [InlineData("\"content\":\"xy\"")]
    [InlineData("\"content\":\"<think>ab\"")]
    [InlineData("\"content\":\"<think>ab</think>xy\"")]
    [InlineData("\"content\":\"xy\",\"reasoning_content\":\"ab\"")]
    [InlineData("\"content\":\"\",\"reasoning\":\"ab\"")]
    public async Task LastMessageOfTheAssistant_IsContinuedUnlessTheRequestSaysOtherwise(string message)
    {
        string Messages(string more) => $"[{User},{{\"role\":\"assistant\",{message}{more}}}]";
        int[] asked = Prompt(await AskAsync(server, Messages(""), "\"max_tokens\":1,\"continue_final_message\":true"));
        Assert.Equal(asked, Prompt(await AskAsync(server, Messages(""), "\"max_tokens\":1")));
        Assert.Equal(asked, Prompt(await AskAsync(server, Messages(",\"prefix\":true"), "\"max_tokens\":1")));
        int[] turn = Prompt(await AskAsync(server, Messages(",\"prefix\":false"), "\"max_tokens\":1"));
        Assert.NotEqual(asked, turn);
        Assert.Equal(turn, Prompt(await AskAsync(server, Messages(""), "\"max_tokens\":1,\"add_generation_prompt\":true")));
        Assert.Equal(turn, Prompt(await AskAsync(server, Messages(""), "\"max_tokens\":1,\"continue_final_message\":false")));
    }

    [GoldenFact]
    public async Task LastMessageOfTheAssistant_Empty_IsAnOrdinaryTurn()
        => Assert.Equal(
            Prompt(await AskAsync(server, $"[{User}]", "\"max_tokens\":1")),
            Prompt(await AskAsync(server, $"[{User},{{\"role\":\"assistant\",\"content\":\"\"}}]", "\"max_tokens\":1")));

    [GoldenTheory]
    [InlineData("<think>ab", "c</think>d", "abc", "d", "<think>abc</think>d")]
    [InlineData("<think>ab</think>x", "yz", "ab", "xyz", "<think>ab</think>xyz")]
    [InlineData("x", "yz", null, "xyz", "xyz")]
    public async Task Echo_RepeatsWhatIsContinued(string prefill, string script, string? reasoning, string content, string inline)
    {
        string name = "echo " + prefill;
        await server.ScriptAsync(name, script);
        string messages = $"[{User},{{\"role\":\"assistant\",\"content\":{JsonSerializer.Serialize(prefill)}}}]";
        string request = DeepSeekServer.Request(name, messages, "\"echo\":true,\"max_tokens\":20");
        var whole = await server.Client.PostAsync("/v1/chat/completions", request);
        Assert.Equal((reasoning, content), ((string?)whole.Choice["message"]!["reasoning_content"], (string?)whole.Choice["message"]!["content"]));
        var chunks = await server.Client.StreamAsync("/v1/chat/completions", request[..^1] + ",\"stream\":true}");
        Assert.Equal((reasoning ?? "", content), (Join(chunks, "reasoning_content"), Join(chunks, "content")));
        var tagged = await server.Client.StreamAsync("/v1/chat/completions", request[..^1] + ",\"stream\":true,\"reasoning_format\":\"inline\"}");
        Assert.Equal(inline, Join(tagged, "content"));
        var plain = await server.Client.PostAsync("/v1/chat/completions", request.Replace("\"echo\":true", "\"echo\":false", StringComparison.Ordinal));
        Assert.Equal(whole.Json["usage"]!["completion_tokens"]!.ToJsonString(), plain.Json["usage"]!["completion_tokens"]!.ToJsonString());
    }

    [GoldenFact]
    public async Task ThoughtTurnedOff_BehindAPrefill_AddsNothingToTheAnswer()
    {
        string messages = $"[{User},{{\"role\":\"assistant\",\"content\":\"xy\"}}]";
        Assert.Equal(Prompt(await AskAsync(server, messages, "\"max_tokens\":1")), Prompt(await AskAsync(server, messages, "\"max_tokens\":1,\"think\":false")));
        await server.ScriptAsync("closed at once", "ab");
        string inside = $"[{User},{{\"role\":\"assistant\",\"content\":\"<think>half a thought\"}}]";
        var answer = await server.Client.PostAsync("/v1/chat/completions", DeepSeekServer.Request("closed at once", inside, "\"think\":false"));
        Assert.Equal((null, "ab"), ((string?)answer.Choice["message"]!["reasoning_content"], (string?)answer.Choice["message"]!["content"]));
    }

    [GoldenTheory]
    [InlineData("\"content\":\"b\",\"reasoning_content\":\"a\"")]
    [InlineData("\"content\":\"b\",\"reasoning\":\"a\"")]
    [InlineData("\"content\":\"b\",\"reasoning\":\"a\",\"reasoning_content\":\"a\"")]
    [InlineData("\"content\":\"<think>a</think>b\"")]
    [InlineData("\"content\":\"a</think>b\"")]
    [InlineData("\"content\":[{\"type\":\"thinking\",\"thinking\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]")]
    [InlineData("\"content\":[{\"type\":\"reasoning\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]")]
    [InlineData("\"content\":\"b\",\"reasoning_content\":\"\"")]
    [InlineData("\"content\":\"b\",\"reasoning_content\":null,\"reasoning\":null,\"tool_calls\":null")]
    [InlineData("\"content\":\"b\",\"reasoning\":{\"effort\":\"low\"}")]
    [InlineData("\"content\":\"b\"")]
    public async Task History_WithThoughtsInAnyDialect_IsTheSamePrompt(string message)
    {
        string Messages(string m) => $"[{User},{{\"role\":\"assistant\",{m}}},{User}]";
        int[] expected = Prompt(await AskAsync(server, Messages("\"content\":\"b\""), "\"max_tokens\":1"));
        Assert.Equal(expected, Prompt(await AskAsync(server, Messages(message), "\"max_tokens\":1")));
        Assert.Equal(HttpStatusCode.OK, (await server.Client.PostAsync("/v1/chat/completions", $"{{\"messages\":{Messages("\"content\":null")},\"max_tokens\":1}}")).Status);
    }

    private async Task<int> CloseAsync() => Assert.Single(await server.TokenizeAsync("</think>"));

    private static async Task<ServerHost> StartAsync(Func<ServerOptions, ServerOptions> change)
    {
        var own = ServerHost.Create(change(DeepSeekServer.Options()));
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        return own;
    }

    private static Task<Answer> AskAsync(DeepSeekServer server, string messages, string members) => AskAsync(server.Client, messages, members);

    private static async Task<Answer> AskAsync(HttpClient client, string messages, string members)
    {
        var answer = await client.PostAsync(
            "/v1/chat/completions", $"{{\"messages\":{messages},\"temperature\":0,\"ignore_eos\":true,\"return_token_ids\":true,{members}}}");
        Assert.True(answer.Status == HttpStatusCode.OK, answer.Json.ToJsonString());
        return answer;
    }

    private static int[] Ids(Answer answer) => answer.Choice["token_ids"]!.Deserialize<int[]>()!;

    private static int[] Prompt(Answer answer) => answer.Json["prompt_token_ids"]!.Deserialize<int[]>()!;

    private static string Join(List<JsonNode> chunks, string field)
        => string.Concat(chunks.SelectMany(c => c["choices"]!.AsArray()).Select(c => (string?)c!["delta"]![field]));
}
