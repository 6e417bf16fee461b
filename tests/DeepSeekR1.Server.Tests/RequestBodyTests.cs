using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.OpenAi;
using Xunit;

namespace DeepSeekR1.Server.Tests;

/// <summary>Bad requests and their exact messages, at the mapper; needs no engine.</summary>
public sealed class RequestBodyTests
{
    private static readonly ServerOptions Options = new() { Engine = new EngineOptions { ModelPath = "models/tiny" } };
    private static readonly RequestMapper Mapper = new(Options, new ServedModels(Options, TimeProvider.System));

    private static RequestBody Body(string json) => RequestBody.Parse(Encoding.UTF8.GetBytes(json));

    /// <summary>A chat request with further members.</summary>
    private static string Chat(string members) => $$"""{"messages":[{"role":"user","content":"hi"}],{{members}}}""";

    [Theory]
    [InlineData("\"temperature\":\"hot\"", "temperature", "'temperature' must be a number, not a string: \"hot\".")]
    [InlineData("\"temperature\":-1", "temperature", "'temperature' must be between 0 and 2, not -1.")]
    [InlineData("\"temperature\":1e400", "temperature", "'temperature' must be between 0 and 2, not 1e400.")]
    [InlineData("\"temperature\":[1]", "temperature", "'temperature' must be a number, not a list: [1].")]
    [InlineData("\"top_p\":0", "top_p", "'top_p' must be above 0 and at most 1, not 0.")]
    [InlineData("\"top_k\":-2", "top_k", "'top_k' must be at least -1, not -2.")]
    [InlineData("\"min_p\":1.5", "min_p", "'min_p' must be between 0 and 1, not 1.5.")]
    [InlineData("\"top_n_sigma\":-2", "top_n_sigma", "'top_n_sigma' must be between -1 and 1000, not -2.")]
    [InlineData("\"n\":0", "n", "'n' must be between 1 and 128, not 0.")]
    [InlineData("\"n\":1.5", "n", "'n' must be an integer, not a number: 1.5.")]
    [InlineData("\"max_tokens\":0", "max_tokens", "'max_tokens' must be at least 1, not 0.")]
    [InlineData("\"max_tokens\":true", "max_tokens", "'max_tokens' must be an integer, not a boolean: true.")]
    [InlineData("\"max_tokens\":99999999999999999999", "max_tokens", "'max_tokens' must be between 1 and 2147483647, not 99999999999999999999.")]
    [InlineData("\"seed\":18446744073709551615", "seed", "'seed' must be between -9223372036854775808 and 9223372036854775807, not 18446744073709551615.")]
    [InlineData("\"seed\":-1e400", "seed", "'seed' must be between -9223372036854775808 and 9223372036854775807, not -1e400.")]
    [InlineData("\"min_tokens\":-1e400", "min_tokens", "'min_tokens' must be at least 0, not -1e400.")]
    [InlineData("\"stop_token_ids\":[1.0,1.5]", "stop_token_ids[1]", "'stop_token_ids[1]' must be an integer, not a number: 1.5.")]
    [InlineData("\"seed\":\"x\"", "seed", "'seed' must be an integer, not a string: \"x\".")]
    [InlineData("\"stream\":\"yes\"", "stream", "'stream' must be true or false, not a string: \"yes\".")]
    [InlineData("\"stop\":5", "stop", "'stop' must be a string or a list of strings, not a number: 5.")]
    [InlineData("\"stop\":\"\"", "stop", "A stop string must have 1 to 1024 characters.")]
    [InlineData("\"stop\":[1]", "stop[0]", "'stop[0]' must be a string, not a number: 1.")]
    [InlineData("\"top_logprobs\":3", "top_logprobs", "'top_logprobs' needs 'logprobs': true.")]
    [InlineData("\"logprobs\":true,\"top_logprobs\":21", "top_logprobs", "'top_logprobs' must be between 0 and 20, not 21.")]
    [InlineData("\"stream_options\":{\"include_usage\":true}", "stream_options", "'stream_options' needs 'stream': true.")]
    [InlineData("\"min_tokens\":9,\"max_tokens\":8", "min_tokens", "'min_tokens' (9) must not be above the token limit (8).")]
    [InlineData("\"reasoning_format\":\"x\"", "reasoning_format", "'reasoning_format' must be separate or inline (also auto, deepseek = separate, none = inline), not \"x\".")]
    [InlineData("\"user\":\"\\ud800\"", "user", "'user' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"tool_choice\":\"\\ud800\"", "tool_choice", "'tool_choice' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"response_format\":{\"type\":\"\\uDC00\"}", "response_format.type", "'response_format.type' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"stop\":[\"\\ud83d\\ude00\",\"\\ud83d\"]", "stop[1]", "'stop[1]' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"a\\ud800\":1", null, "The name of a field of the request holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"metadata\":{\"My\\nname\":\"\\ud800\"}", "metadata.*", "'metadata.*' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"logit_bias\":{\"\\ud800\":1}", "logit_bias", "The name of a field of 'logit_bias' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"chat_template_kwargs\":{\"a\":[{\"\\ud800\":1}]}", "chat_template_kwargs.a[0]", "The name of a field of 'chat_template_kwargs.a[0]' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.")]
    [InlineData("\"tools\":[{}]", "tools", "'tools' = [{}]: tool calls are not supported yet; leave it out or send [].")]
    [InlineData("\"presence_penalty\":2.5", "presence_penalty", "'presence_penalty' must be between -2 and 2, not 2.5.")]
    [InlineData("\"bad_words\":\"a\"", "bad_words", "'bad_words' must be a list of strings, not a string: \"a\".")]
    [InlineData("\"allowed_token_ids\":[]", "allowed_token_ids", "'allowed_token_ids' is empty: nothing could be generated. Leave it out or list ids.")]
    [InlineData("\"repetition_penalty\":0", "repetition_penalty", "'repetition_penalty' must be above 0 and at most 10, not 0.")]
    [InlineData("\"logit_bias\":{\"5\":101}", "logit_bias", "'logit_bias.5' must be between -100 and 100, not 101.")]
    [InlineData("\"logit_bias\":{\"a\":1}", "logit_bias", "'logit_bias' has the key 'a'; keys are token ids.")]
    [InlineData("\"response_format\":{\"type\":\"json_object\"}", "response_format", "'response_format' = {\"type\":\"json_object\"}: constrained answers are not supported; leave it out or send {\"type\":\"text\"}.")]
    [InlineData("\"stream\":true,\"stream_options\":{\"include_obfuscation\":true}", "stream_options.include_obfuscation", "'stream_options.include_obfuscation' = true: padding of stream chunks is not supported; leave it out or send false.")]
    public void Chat_BadField_NamesFieldValueAndLimit(string members, string? param, string message)
    {
        var error = Assert.Throws<InvalidRequestException>(() => Mapper.MapChat(Body(Chat(members)), "id"));
        Assert.Equal((param, message), (error.Param, error.Message));
    }

    [Theory]
    [InlineData("{}", "messages", "'messages' is missing. Send a list with at least one message.")]
    [InlineData("""{"messages":[]}""", "messages", "'messages' is empty. Send at least one message.")]
    [InlineData("""{"messages":"hi"}""", "messages", "'messages' must be a list of messages, not a string: \"hi\".")]
    [InlineData("""{"messages":["hi"]}""", "messages[0]", "'messages[0]' must be an object, not a string: \"hi\".")]
    [InlineData("""{"messages":[{"content":"hi"}]}""", "messages[0].role", "'messages[0].role' is missing. Send system, developer, user or assistant.")]
    [InlineData("""{"messages":[{"role":"king","content":"hi"}]}""", "messages[0].role", "Unknown role 'king' in messages[0]. Use system, developer, user or assistant.")]
    [InlineData("""{"messages":[{"role":"tool","content":"hi"}]}""", "messages[0].role", "Role 'tool' in messages[0]: tool calls are not supported yet. Use system, developer, user or assistant.")]
    [InlineData("""{"messages":[{"role":"user"}]}""", "messages[0].content", "'messages[0].content' is missing. Only assistant messages may have none.")]
    [InlineData("""{"messages":[{"role":"user","content":7}]}""", "messages[0].content", "'messages[0].content' must be a string or a list of text parts, not a number: 7.")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}""", "messages[0].content[0].type", "'messages[0].content[0]' has type 'image_url'. This model reads only text parts: {\"type\":\"text\",\"text\":\"...\"}.")]
    [InlineData("""{"messages":[{"role":"user","content":[{"text":"a"}]}]}""", "messages[0].content[0].type", "'messages[0].content[0].type' is missing. Send {\"type\":\"text\",\"text\":\"...\"}.")]
    [InlineData("""{"messages":[{"role":"assistant","tool_calls":[{}]}]}""", "messages[0].tool_calls", "'messages[0].tool_calls': tool calls are not supported yet. Leave it out or send [].")]
    public void Chat_BadMessages_NamesPath(string json, string param, string message)
    {
        var error = Assert.Throws<InvalidRequestException>(() => Mapper.MapChat(Body(json), "id"));
        Assert.Equal((param, message), (error.Param, error.Message));
    }

    [Theory]
    [InlineData("{}", "prompt", "'prompt' is missing. Send a text, a list of texts, or token ids.")]
    [InlineData("""{"prompt":[]}""", "prompt", "'prompt' is empty. Send at least one text or token id.")]
    [InlineData("""{"prompt":{}}""", "prompt", "'prompt' must be a text, a list of texts, or token ids, not an object: {}.")]
    [InlineData("""{"prompt":[1,"x"]}""", "prompt[1]", "'prompt[1]' must be an integer, not a string: \"x\".")]
    [InlineData("""{"prompt":"a","suffix":"b"}""", "suffix", "'suffix' = \"b\": filling in the middle is not supported; leave it out.")]
    [InlineData("""{"prompt":"a","echo":5}""", "echo", "'echo' must be true or false, not a number: 5.")]
    [InlineData("""{"prompt":"a","logprobs":true}""", "logprobs", "'logprobs' must be an integer, not a boolean: true.")]
    public void Completion_BadField_NamesIt(string json, string param, string message)
    {
        var error = Assert.Throws<InvalidRequestException>(() => Mapper.MapCompletion(Body(json), "id"));
        Assert.Equal((param, message), (error.Param, error.Message));
    }

    [Theory]
    [InlineData("{", "The request body is not valid JSON (line 1, byte 2). Send one JSON object.")]
    [InlineData("", "The request body is not valid JSON (line 1, byte 1). Send one JSON object.")]
    [InlineData("[1]", "The request body must be a JSON object, not a list.")]
    [InlineData("{\"temperature\":NaN}", "The request body is not valid JSON (line 1, byte 16). Send one JSON object.")]
    public void Parse_Malformed_SaysWhere(string json, string message)
        => Assert.Equal(message, Assert.Throws<OpenAiException>(() => Body(json)).Message);

    [Fact]
    public void Parse_InvalidUtf8_IsRefused()
        => Assert.Equal("The request body is not valid UTF-8. Encode the JSON text as UTF-8.",
            Assert.Throws<OpenAiException>(() => RequestBody.Parse(new byte[] { 0x7B, 0x22, 0xFF, 0x22, 0x7D })).Message);

    [Fact]
    public void Parse_TooDeep_IsRefused()
        => Assert.Equal("The request body nests more than 64 levels deep. Send a flatter JSON object.",
            Assert.Throws<OpenAiException>(() => Body($$"""{"metadata":{{new string('[', 1000)}}{{new string(']', 1000)}}}""")).Message);

    [Fact]
    public void Chat_NeutralAndStoredFields_AreAccepted()
    {
        var (request, answer) = Mapper.MapChat(Body(Chat("""
            "temperature":null,"presence_penalty":0,"frequency_penalty":0.0,"repetition_penalty":1.0,"tools":[],"tool_choice":"auto",
            "parallel_tool_calls":true,"response_format":{"type":"text"},"thinking":{"type":"enabled"},"logit_bias":{},"reasoning_effort":null,
            "user":"me","prompt_cache_key":"k","prompt_cache_retention":"24h","safety_identifier":"s","verbosity":"low","service_tier":"auto",
            "store":true,"metadata":{"a":"b"},"never_heard_of":[1,2],"top_k":0,"stop":null,"stream":null,"seed":16.0,"functions":[],"modalities":["text"]
            """)), "id");
        Assert.Equal(16, request.Settings.Seed);
        Assert.Equal("tiny", answer.Model);
        Assert.False(answer.Stream);
    }

    [Fact]
    public void TopNSigma_IsSet()
    {
        Assert.Equal(1.5f, Mapper.MapChat(Body(Chat("\"top_n_sigma\":1.5")), "id").Request.Settings.TopNSigma);
        Assert.Equal(0f, Mapper.MapCompletion(Body("""{"prompt":"a","top_n_sigma":0}"""), "id").Request.Settings.TopNSigma);
    }

    [Theory]
    [InlineData("tiny")]
    [InlineData("models/tiny")]
    [InlineData("")]
    public void Model_NameOrPathOrNothing_IsServed(string name)
        => Assert.Equal("tiny", Mapper.MapChat(Body(Chat($"\"model\":\"{name}\"")), "id").Answer.Model);

    [Fact]
    public void Model_Unknown_Is404()
    {
        var error = Assert.Throws<OpenAiException>(() => Mapper.MapChat(Body(Chat("\"model\":\"gpt-4\"")), "id")).Error;
        Assert.Equal((404, "model_not_found", "model"), (error.Status, error.Code, error.Param));
        Assert.Equal("The model 'gpt-4' is not served here. Use 'tiny', or see GET /v1/models.", error.Message);
    }

    [Fact]
    public void Chat_Parts_AreJoinedAndThoughtsFound()
    {
        var (request, _) = Mapper.MapChat(Body("""
            {"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
             {"role":"assistant","content":null,"reasoning":"r","tool_calls":null},
             {"role":"assistant","content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"c"}]}]}
            """), "id");
        Assert.Equal(new Text.ChatMessage("user", "a\nb"), request.Messages[0]);
        Assert.Equal(new Text.ChatMessage("assistant", null, "r"), request.Messages[1]);
        Assert.Equal(new Text.ChatMessage("assistant", "c", "t"), request.Messages[2]);
    }
}
