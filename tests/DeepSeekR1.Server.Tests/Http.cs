using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace DeepSeekR1.Server.Tests;

/// <summary>An answer with its status, headers and JSON body.</summary>
internal sealed record Answer(HttpStatusCode Status, HttpResponseHeaders Headers, JsonNode Json)
{
    /// <summary>Message of the error object.</summary>
    public string Error => Json["error"]!["message"]!.GetValue<string>();

    /// <summary>First choice.</summary>
    public JsonNode Choice => Json["choices"]![0]!;
}

/// <summary>Small calls that tests make.</summary>
internal static class Http
{
    /// <summary>A client for a server.</summary>
    public static HttpClient Client(ServerHost server) => new() { BaseAddress = server.Address, Timeout = TimeSpan.FromSeconds(60) };

    /// <summary>Posts JSON text.</summary>
    public static async Task<Answer> PostAsync(this HttpClient client, string path, string json)
        => await ReadAsync(await client.PostAsync(path, Body(json)));

    /// <summary>Gets JSON.</summary>
    public static async Task<Answer> GetJsonAsync(this HttpClient client, string path) => await ReadAsync(await client.GetAsync(path));

    /// <summary>The JSON of a response.</summary>
    public static async Task<Answer> ReadAsync(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync();
        return new Answer(response.StatusCode, response.Headers, JsonNode.Parse(text) ?? throw new InvalidOperationException(text));
    }

    /// <summary>Posts JSON and returns the raw event stream.</summary>
    public static async Task<string> StreamTextAsync(this HttpClient client, string path, string json)
    {
        using var response = await client.PostAsync(path, Body(json));
        string text = await response.Content.ReadAsStringAsync();
        if (response.Content.Headers.ContentType?.MediaType != "text/event-stream")
            throw new InvalidOperationException(text);
        return text;
    }

    /// <summary>Posts JSON and returns the chunks of the stream; checks that it ends with [DONE].</summary>
    public static async Task<List<JsonNode>> StreamAsync(this HttpClient client, string path, string json)
    {
        string[] events = (await client.StreamTextAsync(path, json)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        if (events[^1] != "data: [DONE]")
            throw new InvalidOperationException("The stream does not end with [DONE]: " + events[^1]);
        return [.. events[..^1].Where(e => e.StartsWith("data: ", StringComparison.Ordinal)).Select(e => JsonNode.Parse(e[6..])!)];
    }

    /// <summary>JSON as a request body.</summary>
    public static StringContent Body(string json) => new(json, Encoding.UTF8, "application/json");
}
