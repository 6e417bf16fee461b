using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Text;

namespace DeepSeekR1.Cli;

/// <summary>A server with OpenAI's interface: this one or another.</summary>
internal sealed class RemoteChatSource : ChatSource
{
    private readonly HttpClient _http;
    private readonly string _model;

    private RemoteChatSource(HttpClient http, string model) => (_http, _model) = (http, model);

    /// <inheritdoc/>
    public override string Name => $"{_model} at {_http.BaseAddress}";

    /// <summary>Asks the server which model it serves, unless it is named.</summary>
    /// <exception cref="UsageException">The server cannot be reached or refuses.</exception>
    public static async Task<RemoteChatSource> ConnectAsync(Uri address, string? key, string? model, CancellationToken cancellation)
    {
        var http = new HttpClient { BaseAddress = address, Timeout = Timeout.InfiniteTimeSpan };
        if (key is not null)
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        try
        {
            using var answer = await SendAsync(http, new HttpRequestMessage(HttpMethod.Get, "models"), cancellation);
            var list = JsonNode.Parse(await answer.Content.ReadAsStringAsync(cancellation));
            return new RemoteChatSource(http, model ?? (string?)list?["data"]?[0]?["id"] ?? throw new ChatSourceException($"{address} serves no model."));
        }
        catch (Exception e) when (e is ChatSourceException or JsonException or InvalidOperationException)
        {
            http.Dispose();
            throw new UsageException(e is ChatSourceException ? e.Message : $"{address} does not answer like an OpenAI server: give the address that ends with /v1.");
        }
    }

    /// <inheritdoc/>
    public override async IAsyncEnumerable<ChatPiece> AnswerAsync(
        IReadOnlyList<ChatTurn> history, ChatSettings settings, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "chat/completions") { Content = Body(history, settings) };
        using var answer = await SendAsync(_http, request, cancellation);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(cancellation));
        bool done = false;
        while (!done && await NextAsync(reader, cancellation) is { } line)
        {
            if (!line.StartsWith("data:", StringComparison.Ordinal))
                continue;
            string data = line[5..].Trim();
            done = data == "[DONE]";
            if (!done)
                yield return Read(JsonNode.Parse(data)!);
        }
        if (!done)
            throw new ChatSourceException("The connection broke off: the answer is not complete.");
    }

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        _http.Dispose();
        return ValueTask.CompletedTask;
    }

    private StringContent Body(IReadOnlyList<ChatTurn> history, ChatSettings settings)
    {
        var body = new JsonObject
        {
            ["model"] = _model,
            ["messages"] = new JsonArray([.. history.Select(turn => new JsonObject { ["role"] = turn.Role, ["content"] = turn.Content })]),
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        if (settings.Temperature is { } temperature)
            body["temperature"] = temperature;
        if (settings.MaxTokens is { } limit)
            body["max_tokens"] = limit;
        return new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
    }

    private static ChatPiece Read(JsonNode chunk)
    {
        if (chunk["error"] is { } error)
            throw new ChatSourceException((string?)error["message"] ?? error.ToJsonString());
        var delta = chunk["choices"] is JsonArray { Count: > 0 } choices ? choices[0]?["delta"] : null;
        ChatUsage? usage = chunk["usage"] is JsonObject counts
            ? new ChatUsage((int?)counts["completion_tokens"] ?? 0, (int?)counts["completion_tokens_details"]?["reasoning_tokens"] ?? 0)
            : null;
        var events = new List<OutputEvent>();
        if (((string?)delta?["reasoning_content"] ?? (string?)delta?["reasoning"]) is { Length: > 0 } thought)
            events.Add(new ThoughtText(thought));
        if ((string?)delta?["content"] is { Length: > 0 } answer)
            events.Add(new AnswerText(answer));
        return new ChatPiece(events, usage);
    }

    private static async Task<string?> NextAsync(StreamReader reader, CancellationToken cancellation)
    {
        try
        {
            return await reader.ReadLineAsync(cancellation);
        }
        catch (IOException e)
        {
            throw new ChatSourceException("The connection broke off: the answer is not complete.", e);
        }
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient http, HttpRequestMessage request, CancellationToken cancellation)
    {
        try
        {
            var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
            if (answer.IsSuccessStatusCode)
                return answer;
            using (answer)
                throw new ChatSourceException($"{http.BaseAddress} refused with {(int)answer.StatusCode}: {Message(await answer.Content.ReadAsStringAsync(cancellation))}");
        }
        catch (HttpRequestException e)
        {
            throw new ChatSourceException($"Cannot reach {http.BaseAddress}: {e.Message}. Is 'deepseek-r1 serve' running there?", e);
        }
    }

    private static string Message(string body)
    {
        try
        {
            return (string?)JsonNode.Parse(body)?["error"]?["message"] ?? body;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return body;
        }
    }
}
