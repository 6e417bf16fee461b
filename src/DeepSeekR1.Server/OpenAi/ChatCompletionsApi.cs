using System.Collections.Concurrent;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>POST /v1/chat/completions, and the way to end a thought that is under way; both also without /v1.</summary>
internal sealed class ChatCompletionsApi(
    ServerOptions options, Lifecycle lifecycle, RequestMapper mapper, AnswerWriter writer, Access access, TimeProvider clock)
{
    private readonly ConcurrentDictionary<string, Running> _running = new();

    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        foreach (string root in (string[])["/v1", ""])
        {
            routes.MapPost(root + "/chat/completions", AnswerAsync);
            routes.MapPost(root + "/chat/completions/{id}/answer-now", AnswerNowAsync);
        }
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var engine = lifecycle.Require();
        var tenant = access.Admit(context);
        string id = "chatcmpl-" + Guid.NewGuid().ToString("N");
        var (request, answer) = mapper.MapChat(await RequestBody.ReadAsync(context), id);
        var format = new ChatFormat(id, clock.GetUtcNow().ToUnixTimeSeconds(), answer, engine, options.ReasoningField);
        request = request with { Settings = request.Settings with { Tenant = tenant.Id } };
        var generation = engine.Start(request);
        _running[id] = new Running(generation, context.TraceIdentifier, tenant.Id);
        try
        {
            await writer.WriteAsync(context, id, generation, format, answer, tenant);
        }
        finally
        {
            _running.TryRemove(id, out _);
        }
    }

    /// <summary>Ends the thought of a running answer. Its id is that of its chunks, or the x-request-id of its request.</summary>
    private async Task AnswerNowAsync(HttpContext context)
    {
        lifecycle.Require();
        string id = RouteId.Of(context);
        string? tenant = context.Features.Get<Tenant>()?.Id;
        var found = _running.Where(r => (r.Key == id || r.Value.RequestId == id) && r.Value.Tenant == tenant).ToArray();
        if (found.Length == 0)
            throw new OpenAiException(OpenAiError.Invalid(404, "completion_not_found",
                $"No chat completion '{id}' is running here. Send the id of its chunks, or the x-request-id of its request, while it runs.", "id"));
        foreach (var (key, running) in found)
            if (await running.Generation.EndThoughtsAsync() is { Count: > 0 } choices)
            {
                await context.Response.WriteAsJsonAsync(new AnswerNowResponse(key, "chat.completion.answer_now", choices), WireJson.Default.AnswerNowResponse);
                return;
            }
        throw new OpenAiException(OpenAiError.Invalid(409, "thought_is_over",
            $"Chat completion '{id}' has no thought to end: it is over, or there was none. Its answer is on the way.", "id"));
    }

    /// <summary>A request that is being answered.</summary>
    private sealed record Running(TextGeneration Generation, string RequestId, string? Tenant);
}
