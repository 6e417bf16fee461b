using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Text;

namespace DeepSeekR1.Evaluation;

/// <summary>How answers are sampled.</summary>
public sealed record EvalSampling
{
    /// <summary>0 is greedy.</summary>
    public double Temperature { get; init; } = 0.6;

    /// <summary>Nucleus.</summary>
    public double TopP { get; init; } = 0.95;

    /// <summary>Most tokens of an answer, thought included; null leaves the limit to a server, and is 32,768 in this process (less where the context is shorter).</summary>
    public int? MaxTokens { get; init; }
}

/// <summary>One answer: the thought, when there is one, stands between think tags.</summary>
public sealed record EvalAnswer(string Response, int Tokens, bool Truncated)
{
    /// <summary>Joins thought and answer; a thought that was cut has no end tag.</summary>
    public static EvalAnswer Of(string reasoning, string content, int tokens, bool truncated)
    {
        if (reasoning.Length == 0)
            return new EvalAnswer(content, tokens, truncated);
        bool cut = truncated && content.Length == 0;
        return new EvalAnswer($"{Dialect.R1.Opening}{reasoning}{(cut ? "" : Dialect.R1.EmptyThoughtEnd)}{content}", tokens, truncated);
    }
}

/// <summary>Whoever answers: an engine in this process, or a server. Called by many at once.</summary>
public interface IEvalModel
{
    /// <summary>Answers one question.</summary>
    Task<EvalAnswer> AnswerAsync(string prompt, EvalSampling sampling, long seed, CancellationToken cancellation);
}

/// <summary>Answers by an engine in this process, which batches all questions that are under way.</summary>
public sealed class EngineModel(ChatEngine engine) : IEvalModel
{
    private const int DefaultMaxTokens = 32_768;

    /// <inheritdoc/>
    public async Task<EvalAnswer> AnswerAsync(string prompt, EvalSampling sampling, long seed, CancellationToken cancellation)
    {
        var generation = engine.Start(new ChatRequest
        {
            Id = "eval",
            Messages = [new ChatMessage("user", prompt)],
            Settings = new GenerationSettings
            {
                Temperature = (float)sampling.Temperature,
                TopP = (float)sampling.TopP,
                DefaultMaxTokens = sampling.MaxTokens ?? DefaultMaxTokens,
                Seed = seed
            },
        });
        var parts = new OutputParts();
        try
        {
            await foreach (var step in generation.ReadAsync(cancellation))
                foreach (var next in step.Events)
                    parts.Append(next);
        }
        finally
        {
            if (parts.End is null)
                await generation.AbandonAsync();
        }

        return EvalAnswer.Of(parts.Thought, parts.Answer, generation.Usage.CompletionTokens, parts.End?.Reason == EndReason.Length);
    }
}

/// <summary>Answers by a server that speaks OpenAI's chat completions; reasoning_content and reasoning are thoughts. 429, 5xx and a lost connection are tried again.</summary>
public sealed class HttpModel(HttpClient client, Uri baseUrl, string? model, string? apiKey) : IEvalModel
{
    private const int Attempts = 5, Connections = 4;
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(0.5);

    /// <inheritdoc/>
    public async Task<EvalAnswer> AnswerAsync(string prompt, EvalSampling sampling, long seed, CancellationToken cancellation)
    {
        var body = new JsonObject
        {
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = prompt }),
            ["temperature"] = sampling.Temperature,
            ["top_p"] = sampling.TopP,
            ["seed"] = seed & int.MaxValue,
        };
        if (sampling.MaxTokens is { } most)
            body["max_tokens"] = most;
        if (model is not null)
            body["model"] = model;
        for (int attempt = 1; ; attempt++)
        {
            using var response = await SendAsync(body, cancellation);
            string text = await response.Content.ReadAsStringAsync(cancellation);
            if (response.IsSuccessStatusCode)
                return Read(text);
            if (attempt == Attempts || (int)response.StatusCode is not (429 or >= 500))
                throw new EvalException($"{baseUrl} answered {(int)response.StatusCode}: {(text.Length > 300 ? text[..300] : text)}");
            await Task.Delay(response.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(attempt), cancellation);
        }
    }

    /// <summary>A server that is started anew or drops a connection is asked again after 0.5, 1 and 2 s: the seed makes the request the same.</summary>
    private async Task<HttpResponseMessage> SendAsync(JsonObject body, CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
            try
            {
                return await PostAsync(body, cancellation);
            }
            catch (HttpRequestException) when (attempt < Connections)
            {
                await Task.Delay(FirstPause * (1 << (attempt - 1)), cancellation);
            }
            catch (HttpRequestException e)
            {
                throw new EvalException($"{baseUrl} cannot be reached: {e.Message} Finished answers are kept: when it runs again, the same command asks only what is missing.");
            }
    }

    private async Task<HttpResponseMessage> PostAsync(JsonObject body, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(baseUrl.ToString().TrimEnd('/') + "/chat/completions"));
        request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"); // with its length: not every server reads chunks
        if (apiKey is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
        return await client.SendAsync(request, cancellation);
    }

    private EvalAnswer Read(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var choice = document.RootElement.GetProperty("choices")[0];
            var message = choice.GetProperty("message");
            string reasoning = Text(message, "reasoning_content") ?? Text(message, "reasoning") ?? "";
            int tokens = document.RootElement.TryGetProperty("usage", out var usage) && usage.ValueKind == JsonValueKind.Object
                && usage.TryGetProperty("completion_tokens", out var count) && count.TryGetInt32(out int number) ? number : 0;
            return EvalAnswer.Of(reasoning, Text(message, "content") ?? "", tokens, Text(choice, "finish_reason") == "length");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or IndexOutOfRangeException)
        {
            throw new EvalException($"{baseUrl} did not answer with a chat completion: {e.Message}");
        }
    }

    private static string? Text(JsonElement element, string name)
        => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
