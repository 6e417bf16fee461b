using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Right requests and what they give.</summary>
[Collection(ServerCollection.Name)]
public sealed class ApiTests(DeepSeekServer server)
{
    [GoldenFact]
    public async Task Completions_GoldenPrompts_GiveReferenceIds()
    {
        var expected = JsonNode.Parse(File.ReadAllText(Goldens.At("models", DeepSeekServer.Model, "expected", "expected.json")))!;
        foreach (var prompt in expected["prompts"]!.AsArray())
        {
            var answer = await server.Client.PostAsync("/v1/completions",
                $$"""{"prompt":{{prompt!["ids"]!.ToJsonString()}},"temperature":0,"max_tokens":32,"ignore_eos":true,"return_token_ids":true,"logprobs":1}""");
            Assert.Equal(prompt["greedy"]!.ToJsonString(), answer.Choice["token_ids"]!.ToJsonString());
            Assert.Equal(prompt["ids"]!.ToJsonString(), answer.Choice["prompt_token_ids"]!.ToJsonString());
            double[] got = answer.Choice["logprobs"]!["token_logprobs"].Deserialize<double[]>()!;
            double[] wanted = prompt["greedy_logprobs"].Deserialize<double[]>()!;
            Assert.All(got.Zip(wanted), pair => Assert.Equal(pair.Second, pair.First, 1e-3));
            Assert.Equal("length", (string?)answer.Choice["finish_reason"]);
        }
    }

    [GoldenFact]
    public async Task Completions_ListOfPromptsTimesN_OrdersChoices()
    {
        var answer = await server.Client.PostAsync("/v1/completions",
            """{"prompt":["ab","c"],"n":2,"temperature":0,"max_tokens":3,"ignore_eos":true,"return_token_ids":true}""");
        var choices = answer.Json["choices"]!.AsArray();
        Assert.Equal([0, 1, 2, 3], choices.Select(c => (int)c!["index"]!));
        Assert.Equal(choices[0]!["token_ids"]!.ToJsonString(), choices[1]!["token_ids"]!.ToJsonString());
        Assert.Equal(choices[2]!["token_ids"]!.ToJsonString(), choices[3]!["token_ids"]!.ToJsonString());
        Assert.Equal((3, 12), ((int)answer.Json["usage"]!["prompt_tokens"]!, (int)answer.Json["usage"]!["completion_tokens"]!));
    }

    [GoldenFact]
    public async Task Completions_DefaultMaxTokens_Is16()
    {
        var answer = await server.Client.PostAsync("/v1/completions", """{"prompt":[374,80],"ignore_eos":true}""");
        Assert.Equal(16, (int)answer.Json["usage"]!["completion_tokens"]!);
    }

    [GoldenFact]
    public async Task Chat_DefaultMaxTokens_IsRestOfContext()
    {
        var answer = await server.Client.PostAsync("/v1/chat/completions",
            """{"messages":[{"role":"user","content":"hi"}],"ignore_eos":true,"temperature":0}""");
        Assert.Equal(256, (int)answer.Json["usage"]!["total_tokens"]!);
        Assert.Equal("length", (string?)answer.Choice["finish_reason"]);
    }

    [GoldenFact]
    public async Task Chat_SameSeed_SameAnswerOtherSeedOther()
    {
        string Request(int seed) => $$"""{"messages":[{"role":"user","content":"hi"}],"seed":{{seed}},"temperature":1,"max_tokens":20,"ignore_eos":true,"return_token_ids":true}""";
        var first = await server.Client.PostAsync("/v1/chat/completions", Request(5));
        var again = await server.Client.PostAsync("/v1/chat/completions", Request(5));
        var other = await server.Client.PostAsync("/v1/chat/completions", Request(6));
        Assert.Equal(first.Choice["token_ids"]!.ToJsonString(), again.Choice["token_ids"]!.ToJsonString());
        Assert.NotEqual(first.Choice["token_ids"]!.ToJsonString(), other.Choice["token_ids"]!.ToJsonString());
    }

    [GoldenFact]
    public async Task Chat_Logprobs_AlignWithTokens()
    {
        await server.ScriptAsync("logprobs", "a</think>b");
        var answer = await server.Client.PostAsync("/v1/chat/completions",
            DeepSeekServer.Chat("logprobs", "\"logprobs\":true,\"top_logprobs\":3,\"return_token_ids\":true"));
        var entries = answer.Choice["logprobs"]!["content"]!.AsArray();
        Assert.Equal(["a", "</think>", "b", "<\uff5cend\u2581of\u2581sentence\uff5c>"], entries.Select(e => (string?)e!["token"]));
        Assert.All(entries, e => Assert.Equal(3, e!["top_logprobs"]!.AsArray().Count));
        Assert.Equal([97], entries[0]!["bytes"].Deserialize<int[]>()!);
    }

    [GoldenFact]
    public async Task Models_ListAndOne_HaveVllmsExtras()
    {
        var list = await server.Client.GetJsonAsync("/v1/models");
        var card = list.Json["data"]![0]!;
        Assert.Equal(("deepseek-v3-yarn", 256), ((string?)card["id"], (int)card["max_model_len"]!));
        var one = await server.Client.GetJsonAsync("/models/deepseek-v3-yarn");
        Assert.Equal(card.ToJsonString(), one.Json.ToJsonString());
        var none = await server.Client.GetJsonAsync("/v1/models/some/other");
        using var escaped = new HttpRequestMessage(HttpMethod.Get, new Uri(server.Client.BaseAddress!, "/v1/models/some%2Fother"));
        Assert.Equal(none.Error, (await Http.ReadAsync(await server.Client.SendAsync(escaped))).Error);
        Assert.Equal((HttpStatusCode.NotFound, "The model 'some/other' is not served here. Use 'deepseek-v3-yarn', or see GET /v1/models."), (none.Status, none.Error));
    }

    [GoldenTheory]
    [InlineData("/health")]
    [InlineData("/health/live")]
    [InlineData("/metrics")]
    [InlineData("/v1/models")]
    public async Task Head_OfWhatIsRead_AnswersWithoutABody(string path)
    {
        using var answer = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, path));
        Assert.Equal((HttpStatusCode.OK, ""), (answer.StatusCode, await answer.Content.ReadAsStringAsync()));
    }

    [GoldenFact]
    public async Task Tokenize_TextAndMessages_AndBack()
    {
        var text = await server.Client.PostAsync("/tokenize", """{"prompt":"a<think>","return_token_strs":true}""");
        Assert.Equal((2, 256), ((int)text.Json["count"]!, (int)text.Json["max_model_len"]!));
        Assert.Equal("""["a","\u003Cthink\u003E"]""", text.Json["token_strs"]!.ToJsonString());
        var chat = await server.Client.PostAsync("/tokenize", """{"messages":[{"role":"user","content":"<think>"}]}""");
        int[] ids = chat.Json["tokens"].Deserialize<int[]>()!;
        Assert.Equal((0, 507, 508, 509), (ids[0], ids[1], ids[^3], ids[^2]));
        Assert.Equal(1, ids.Count(id => id == 509));
        var back = await server.Client.PostAsync("/detokenize", $$"""{"tokens":{{chat.Json["tokens"]!.ToJsonString()}}}""");
        Assert.Equal("<\uff5cbegin\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c><think><\uff5cAssistant\uff5c><think>\n", (string?)back.Json["prompt"]);
    }

    [GoldenFact]
    public async Task Chat_RoutesWithoutV1_Answer()
    {
        await server.ScriptAsync("short", "</think>ok");
        var answer = await server.Client.PostAsync("/chat/completions", DeepSeekServer.Chat("short"));
        Assert.Equal("ok", (string?)answer.Choice["message"]!["content"]);
    }

    [GoldenFact]
    public async Task Metrics_CountTokens()
    {
        await server.Client.PostAsync("/v1/completions", """{"prompt":[5],"max_tokens":2,"ignore_eos":true}""");
        string text = await server.Client.GetStringAsync("/metrics");
        Assert.Contains("""vllm:num_requests_running{model_name="deepseek-v3-yarn",engine="0"} """, text);
        Assert.Contains("# TYPE vllm:generation_tokens_total counter", text);
        Assert.DoesNotContain("vllm:generation_tokens_total{model_name=\"deepseek-v3-yarn\",engine=\"0\"} 0\n", text);
    }

    [GoldenFact]
    public async Task OpenApi_EveryExample_Runs()
    {
        var document = (await server.Client.GetJsonAsync("/swagger/v1/swagger.json")).Json;
        Assert.StartsWith("3.1", (string?)document["openapi"]);
        int sent = 0;
        foreach (var (path, item) in document["paths"]!.AsObject())
            foreach (var (_, example) in item!["post"]?["requestBody"]?["content"]!["application/json"]!["examples"]!.AsObject() ?? [])
            {
                using var response = await server.Client.PostAsync(path, Http.Body(example!["value"]!.ToJsonString()));
                Assert.True(response.IsSuccessStatusCode, $"{path}: {await response.Content.ReadAsStringAsync()}");
                sent++;
            }
        Assert.Equal(10, sent);
    }

    /// <summary>Every field says what it means, what it is when it is left out, and a number says its range.</summary>
    [GoldenFact]
    public async Task OpenApi_EveryField_HasMeaningDefaultAndRange()
    {
        var document = (await server.Client.GetJsonAsync("/swagger/v1/swagger.json")).Json;
        int fields = 0;
        foreach (var (path, item) in document["paths"]!.AsObject())
        {
            if (item!["post"]?["requestBody"]?["content"]!["application/json"]!["schema"] is not { } schema)
                continue;
            string[] required = [.. schema["required"]?.AsArray().Select(r => (string)r!) ?? [], "prompt", "messages"];
            foreach (var (name, field) in schema["properties"]!.AsObject())
            {
                string what = $"{path} {name}: {field!.ToJsonString()}";
                string description = (string?)field["description"] ?? "";
                Assert.True(description.Length > 5, what);
                Assert.True(required.Contains(name) || field["default"] is not null || description.Contains("efault"), what);
                if ((string?)field["type"] is "integer" or "number" && name != "seed")
                    Assert.True(field["minimum"] is not null || field["exclusiveMinimum"] is not null, what);
                fields++;
            }
        }
        Assert.InRange(fields, 60, 200);
        var chat = document["paths"]!["/v1/chat/completions"]!["post"]!["requestBody"]!["content"]!["application/json"]!["schema"]!["properties"]!;
        Assert.Equal(("0", "2", "0.6"), ((string?)chat["temperature"]!["minimum"]?.ToString(), (string?)chat["temperature"]!["maximum"]?.ToString(), chat["temperature"]!["default"]!.ToString()));
        Assert.Contains("low", chat["reasoning_effort"]!["enum"]!.ToJsonString());
    }

    [GoldenFact]
    public async Task Parallel_SixteenStreams_EachEqualsItsLoneRun()
    {
        string Request(int i) => $$"""{"prompt":[{{100 + i}},{{200 + 3 * i}},7],"temperature":0,"max_tokens":{{20 + i}},"ignore_eos":true,"stream":true,"return_token_ids":true}""";
        async Task<string> RunAsync(int i) => string.Join(',', (await server.Client.StreamAsync("/v1/completions", Request(i)))
            .SelectMany(c => c["choices"]![0]!["token_ids"]!.AsArray().Select(t => (int)t!)));
        var lone = new List<string>();
        for (int i = 0; i < 16; i++)
            lone.Add(await RunAsync(i));
        string[] together = await Task.WhenAll(Enumerable.Range(0, 16).Select(RunAsync));
        Assert.Equal(lone, together);
    }
}
