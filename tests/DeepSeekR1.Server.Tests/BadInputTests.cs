using System.Net;
using System.Net.Sockets;
using System.Text;
using DeepSeekR1.Testing;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Bad requests over the wire; after each of them the server still answers.</summary>
[Collection(ServerCollection.Name)]
public sealed class BadInputTests(DeepSeekServer server)
{
    [GoldenTheory]
    [InlineData("/v1/chat/completions", "{", 400, null, "invalid_json", "The request body is not valid JSON (line 1, byte 2). Send one JSON object.")]
    [InlineData("/v1/chat/completions", "{\"messages\":[]}", 400, "messages", "invalid_value", "'messages' is empty. Send at least one message.")]
    [InlineData("/v1/chat/completions", "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", 404, "model", "model_not_found", "The model 'x' is not served here. Use 'deepseek-v3-yarn', or see GET /v1/models.")]
    [InlineData("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"temperature\":NaN}", 400, null, "invalid_json", "The request body is not valid JSON (line 1, byte 59). Send one JSON object.")]
    [InlineData("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"temperature\":\"NaN\"}", 400, "temperature", "invalid_type", "'temperature' must be a number, not a string: \"NaN\".")]
    [InlineData("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"continue_final_message\":true}", 400, "continue_final_message", "invalid_value", "continue_final_message needs a last message of role 'assistant'; the last message has role 'user'.")]
    [InlineData("/v1/completions", "{\"prompt\":[512]}", 400, "prompt", "invalid_value", "Token id 512 at position 0 of 'prompt' is outside the vocabulary (0 to 511).")]
    [InlineData("/v1/completions", "{\"prompt\":[-1]}", 400, "prompt", "invalid_value", "Token id -1 at position 0 of 'prompt' is outside the vocabulary (0 to 511).")]
    [InlineData("/v1/completions", "{\"prompt\":\"\"}", 400, "prompt", "empty_prompt", "The prompt has no tokens. Send at least one token.")]
    [InlineData("/detokenize", "{\"tokens\":[1,5000]}", 400, "tokens", "invalid_value", "Token id 5000 at position 1 of 'tokens' is outside the vocabulary (0 to 511).")]
    [InlineData("/tokenize", "{}", 400, "prompt", "invalid_value", "Send either 'prompt' (a text) or 'messages' (a conversation).")]
    public async Task Post_Bad_ExactError(string path, string json, int status, string? param, string code, string message)
    {
        var answer = await server.Client.PostAsync(path, json);
        Assert.Equal((status, message), ((int)answer.Status, answer.Error));
        Assert.Equal(param, (string?)answer.Json["error"]!["param"]);
        Assert.Equal(code, (string?)answer.Json["error"]!["code"]);
        Assert.Equal("invalid_request_error", (string?)answer.Json["error"]!["type"]);
        Assert.Equal("false", answer.Headers.GetValues("x-should-retry").Single());
        Assert.True(answer.Headers.Contains("x-request-id"));
        await AssertAliveAsync();
    }

    [GoldenFact]
    public async Task Post_TooLongPrompt_SaysLengthAndLimit()
    {
        string ids = string.Join(',', Enumerable.Repeat(5, 256));
        var answer = await server.Client.PostAsync("/v1/completions", $$"""{"prompt":[{{ids}}]}""");
        Assert.Equal("This model's maximum context length is 256 tokens, but the prompt has 256 tokens and needs room for at least one more. "
            + "Shorten the prompt to 255 tokens or fewer.", answer.Error);
        Assert.Equal("context_length_exceeded", (string?)answer.Json["error"]!["code"]);
        await AssertAliveAsync();
    }

    [GoldenFact]
    public async Task Post_FullContext_EndsWithLength()
    {
        string ids = string.Join(',', Enumerable.Repeat(5, 250));
        var answer = await server.Client.PostAsync("/v1/completions", $$"""{"prompt":[{{ids}}],"ignore_eos":true}""");
        Assert.Equal("length", (string?)answer.Choice["finish_reason"]);
        Assert.Equal(6, (int)answer.Json["usage"]!["completion_tokens"]!);
    }

    [GoldenFact]
    public async Task Post_MaxTokensBeyondTheContext_Is400WithTheNumbers()
    {
        var answer = await server.Client.PostAsync("/v1/completions", """{"prompt":[5,6],"max_tokens":1000}""");
        Assert.Equal(HttpStatusCode.BadRequest, answer.Status);
        Assert.Equal("context_length_exceeded", (string?)answer.Json["error"]!["code"]);
        Assert.Equal("max_tokens", (string?)answer.Json["error"]!["param"]);
        Assert.Equal(
            "max_tokens is 1000 and the prompt has 2 tokens, together 1002; the longest sequence is 256 tokens. Lower max_tokens to 254 or shorten the prompt.",
            answer.Error);
        await AssertAliveAsync();
    }

    [GoldenFact]
    public async Task Post_InvalidUtf8_Is400()
    {
        var body = new ByteArrayContent([.. "{\"prompt\":\""u8, 0xC3, 0x28, .. "\"}"u8]);
        body.Headers.ContentType = new("application/json");
        var answer = await Http.ReadAsync(await server.Client.PostAsync("/v1/completions", body));
        Assert.Equal((HttpStatusCode.BadRequest, "The request body is not valid UTF-8. Encode the JSON text as UTF-8."), (answer.Status, answer.Error));
    }

    [GoldenFact]
    public async Task Post_WrongMediaType_Is415()
    {
        var answer = await Http.ReadAsync(await server.Client.PostAsync("/v1/completions", new StringContent("prompt=x", Encoding.UTF8, "application/x-www-form-urlencoded")));
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, answer.Status);
        Assert.Equal("The content type 'application/x-www-form-urlencoded; charset=utf-8' is not supported. Send Content-Type: application/json.", answer.Error);
    }

    /// <summary>What never fits is no full queue: whoever was told to try again later would try for ever.</summary>
    [GoldenFact]
    public async Task Post_MoreAnswersThanTheServerHolds_Is400()
    {
        var options = DeepSeekServer.Options();
        await using var own = ServerHost.Create(options with { Engine = options.Engine with { MaxNumSeqs = 2, MaxQueue = 3 } });
        await own.StartAsync();
        await own.WaitUntilReadyAsync();
        using var client = Http.Client(own);
        async Task<(int, string?, string?)> AskAsync(string members)
        {
            var answer = await client.PostAsync("/v1/completions", $"{{{members},\"max_tokens\":1,\"ignore_eos\":true}}");
            return ((int)answer.Status, (string?)answer.Json["error"]?["param"], (string?)answer.Json["error"]?["message"]);
        }

        Assert.Equal((200, null, null), await AskAsync("\"prompt\":[5],\"n\":5"));
        Assert.Equal((400, "n", "1 prompt(s) with 6 answer(s) each are 6 answers at once; this server holds at most 5 (--max-num-seqs plus --max-queue). Lower n or best_of, or send several requests."),
            await AskAsync("\"prompt\":[5],\"n\":2,\"best_of\":6"));
        Assert.Equal((400, "prompt", "6 prompt(s) with 1 answer(s) each are 6 answers at once; this server holds at most 5 (--max-num-seqs plus --max-queue). Lower n or best_of, or send several requests."),
            await AskAsync("\"prompt\":[[5],[5],[5],[5],[5],[5]]"));
    }

    [GoldenFact]
    public async Task Post_CompressedBody_Is415()
    {
        var body = Http.Body("""{"prompt":"a"}""");
        body.Headers.ContentEncoding.Add("gzip");
        var answer = await Http.ReadAsync(await server.Client.PostAsync("/v1/completions", body));
        Assert.Equal((HttpStatusCode.UnsupportedMediaType, "The content encoding 'gzip' is not supported. Send the JSON text as it is, without Content-Encoding."), (answer.Status, answer.Error));
    }

    [GoldenFact]
    public async Task Post_HugeBody_Is413()
    {
        var body = new ByteArrayContent(new byte[(32 << 20) + 1]);
        body.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = body };
        request.Headers.ExpectContinue = true;
        var answer = await Http.ReadAsync(await server.Client.SendAsync(request));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.Status);
        Assert.Equal("The request body is larger than 33554432 bytes. Send a smaller one.", answer.Error);
        await AssertAliveAsync();
    }

    [GoldenFact]
    public async Task Post_ClosedInMidBody_ServerLives()
    {
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(server.Server.Address.Host, server.Server.Address.Port);
            await socket.GetStream().WriteAsync("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"u8.ToArray());
        }
        await AssertAliveAsync();
    }

    [GoldenFact]
    public async Task Post_RandomBytes_ServerLives()
    {
        var random = new Random(1);
        for (int i = 0; i < (Goldens.Long ? 5000 : 100); i++)
        {
            byte[] bytes = Encoding.UTF8.GetBytes("""{"messages":[{"role":"user","content":"hello"}],"max_tokens":2,"temperature":0.5,"stop":["x"],"n":1}""");
            for (int k = random.Next(1, 4); k > 0; k--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var body = new ByteArrayContent(bytes);
            body.Headers.ContentType = new("application/json");
            using var response = await server.Client.PostAsync("/v1/chat/completions", body);
            Assert.True((int)response.StatusCode is 200 or 400 or 404, $"{response.StatusCode}: {Encoding.Latin1.GetString(bytes)}");
        }
        await AssertAliveAsync();
    }

    private async Task AssertAliveAsync() => Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health")).StatusCode);
}
