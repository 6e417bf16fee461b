using System.Text.Json.Nodes;
using Microsoft.OpenApi;

namespace DeepSeekR1.Server.Operations;

/// <summary>Example requests of the OpenAPI document; each of them runs as it stands (a test sends them all).</summary>
internal static class RequestExamples
{
    /// <summary>Chat requests.</summary>
    public static Dictionary<string, IOpenApiExample> Chat(string model) => Examples(model,
        ("chat", "A short answer", """
            {"messages": [{"role": "user", "content": "What is 478 + 395?"}], "max_tokens": 128}
            """),
        ("stream", "Piece by piece, with usage at the end", """
            {"messages": [{"role": "user", "content": "What is 47 * 36?"}], "max_tokens": 128, "stream": true, "stream_options": {"include_usage": true}}
            """),
        ("inline", "The thought inside the answer", """
            {"messages": [{"role": "user", "content": "1 + 1?"}], "max_tokens": 128, "reasoning_format": "inline"}
            """),
        ("greedy", "Two parts, greedy, with log-probabilities", """
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Name a colour."}]}], "temperature": 0, "max_tokens": 8, "logprobs": true, "top_logprobs": 2}
            """));

    /// <summary>Completion requests.</summary>
    public static Dictionary<string, IOpenApiExample> Completion(string model) => Examples(model,
        ("text", "Continue a text", """
            {"prompt": "Once upon a time", "max_tokens": 16, "temperature": 0}
            """),
        ("ids", "Continue token ids", """
            {"prompt": [100, 101, 102], "max_tokens": 8, "temperature": 0, "return_token_ids": true}
            """),
        ("list", "Two texts, streamed", """
            {"prompt": ["One, two,", "A, b,"], "max_tokens": 8, "stream": true}
            """));

    /// <summary>Tokenize requests.</summary>
    public static Dictionary<string, IOpenApiExample> Tokenize(string model) => Examples(model,
        ("text", "A text", """{"prompt": "Hello world"}"""),
        ("chat", "A conversation", """{"messages": [{"role": "user", "content": "Hello"}]}"""));

    /// <summary>Detokenize requests.</summary>
    public static Dictionary<string, IOpenApiExample> Detokenize(string model) => Examples(model,
        ("ids", "Token ids", """{"tokens": [100, 101, 102]}"""));

    private static Dictionary<string, IOpenApiExample> Examples(string model, params (string Name, string Summary, string Json)[] examples)
        => examples.ToDictionary(e => e.Name, e => (IOpenApiExample)new OpenApiExample { Summary = e.Summary, Value = WithModel(e.Json, model) });

    private static JsonObject WithModel(string json, string model)
    {
        var request = JsonNode.Parse(json)!.AsObject();
        request.Insert(0, "model", model);
        return request;
    }
}
