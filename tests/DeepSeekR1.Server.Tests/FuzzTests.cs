using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>
/// Valid bodies with something changed, thousands of them: whatever comes, the answer is a 2xx or a 4xx with a well-formed body, and the
/// server goes on.
/// </summary>
public sealed class FuzzTests(DeepSeekServer server) : IClassFixture<DeepSeekServer>
{
    private const int AtOnce = 16;
    private static readonly int Bodies = Goldens.Long ? 100_000 : 5_000;

    private static readonly (string Path, string Body)[] Valid =
    [
        ("/v1/chat/completions", """{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"hi"}]}],"temperature":0.7,"top_p":0.9,"top_k":5,"min_p":0.1,"seed":3,"n":2,"stop":["x"],"logprobs":true,"top_logprobs":2}"""),
        ("/v1/chat/completions",
            """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"<think>a</think>b","reasoning_content":"c"},{"role":"user","content":"d"}],"stream":true,"stream_options":{"include_usage":true},"thinking_token_budget":3,"reasoning_effort":"low","reasoning_format":"inline"}"""),
        ("/v1/completions", """{"prompt":[[5,6,7],[8]],"temperature":0,"logprobs":3,"presence_penalty":0.5,"frequency_penalty":-0.5,"repetition_penalty":1.1,"logit_bias":{"7":-5},"bad_words":["a b"],"stop_token_ids":[4]}"""),
        ("/v1/completions", """{"prompt":["one","two"],"allowed_token_ids":[5,6,7],"min_tokens":1,"priority":-3,"cache_salt":"s","ignore_eos":true,"include_stop_str_in_output":true,"return_token_ids":true,"user":"u"}"""),
        ("/tokenize", """{"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":true,"chat_template_kwargs":{"a":[1,{"b":null}]}}"""),
        ("/detokenize", """{"tokens":[5,6,7]}"""),
    ];

    private static readonly string[] Splinters =
    [
        "null", "true", "false", "0", "-1", "1e400", "1e-400", "9223372036854775808", "-0", "0.5", "\"\"", "\"\\u0000\"", "[]", "{}", "[[]]", "[null]", "{\"a\":1}",
        "\"user\"", "\"\u4e16\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "2147483648", "\"1\"", "[1,\"a\"]", "\"<think>\"", "[-1]", "[99999999]",
    ];

    [GoldenFact]
    public async Task AnyBody_IsAnsweredWellFormed()
    {
        var statuses = new System.Collections.Concurrent.ConcurrentDictionary<HttpStatusCode, int>();
        await Parallel.ForEachAsync(Enumerable.Range(0, Bodies), new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (round, cancellation) =>
        {
            var random = new Random(round);
            var (path, valid) = Valid[round % Valid.Length];
            string body = Mutate(valid, random);
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using var response = await server.Client.PostAsync(path, content, cancellation);
            string text = await response.Content.ReadAsStringAsync(cancellation);
            int status = (int)response.StatusCode;
            Assert.True(status is >= 200 and < 300 or >= 400 and < 500, $"round {round}: {status} for {path} {body}\n{text}");
            statuses.AddOrUpdate(response.StatusCode, 1, (_, n) => n + 1);
            if (response.Content.Headers.ContentType?.MediaType == "text/event-stream")
                Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
            else if (status >= 400)
                Assert.False(string.IsNullOrEmpty((string?)JsonNode.Parse(text)!["error"]!["message"]), $"round {round}: {text}");
            else
                Assert.NotNull(JsonNode.Parse(text));
        });
        Assert.True(statuses[HttpStatusCode.OK] > Bodies / 20 && statuses[HttpStatusCode.BadRequest] > Bodies / 5, string.Join(", ", statuses));
        var end = await server.IdleAsync();
        Assert.Equal(0, end.BlocksUsed);
    }

    private static string Mutate(string valid, Random random)
    {
        if (random.Next(8) == 0)
            return Damage(valid, random);
        var root = JsonNode.Parse(valid)!.AsObject();

        // Short answers, whatever the rest says.
        if (root.ContainsKey("messages") || root.ContainsKey("prompt"))
            root["max_tokens"] = 2;
        for (int count = 1 + random.Next(2); count > 0; count--)
        {
            var names = root.Select(p => p.Key).ToList();
            string name = names[random.Next(names.Count)];
            string value = Splinters[random.Next(Splinters.Length)];
            try
            {
                if (random.Next(4) == 0)
                    root.Remove(name);
                else if (random.Next(3) == 0 && root[name] is JsonArray { Count: > 0 } list)
                    list[random.Next(list.Count)] = JsonNode.Parse(value);
                else if (name != "max_tokens")
                    root[name] = JsonNode.Parse(value);
            }
            catch (Exception e) when (e is System.Text.Json.JsonException or InvalidOperationException)
            {
                return Damage(valid, random);
            }

            if (root.Count == 0)
                break;
        }

        return root.ToJsonString();
    }

    private static string Damage(string valid, Random random)
    {
        int at = random.Next(valid.Length);
        return random.Next(3) switch
        {
            0 => valid[..at],
            1 => valid[..at] + (random.Next(4) == 0 ? "\"\\ud800\"" : Splinters[random.Next(Splinters.Length)]) + valid[at..],
            _ => valid.Remove(at, Math.Min(valid.Length - at, 1 + random.Next(5))),
        };
    }
}
