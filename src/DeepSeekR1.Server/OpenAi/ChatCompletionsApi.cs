using DeepSeekR1.Server.Operations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>POST /v1/chat/completions, also without /v1.</summary>
internal sealed class ChatCompletionsApi(
    ServerOptions options, Lifecycle lifecycle, RequestMapper mapper, AnswerWriter writer, Access access, TimeProvider clock)
{
    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/chat/completions", AnswerAsync);
        routes.MapPost("/chat/completions", AnswerAsync);
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var engine = lifecycle.Require();
        var tenant = access.Admit(context);
        string id = "chatcmpl-" + Guid.NewGuid().ToString("N");
        var (request, answer) = mapper.MapChat(await RequestBody.ReadAsync(context), id);
        var format = new ChatFormat(id, clock.GetUtcNow().ToUnixTimeSeconds(), answer, engine, options.ReasoningField);
        request = request with { Settings = request.Settings with { Tenant = tenant.Id } };
        await writer.WriteAsync(context, id, engine.Start(request), format, answer, tenant);
    }
}
