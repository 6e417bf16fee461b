using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Server.Operations;
using DeepSeekR1.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>Plain completions, the list of models, tokenize and detokenize.</summary>
internal sealed class CompletionsApi(
    Lifecycle lifecycle, RequestMapper mapper, AnswerWriter writer, ServedModels models, Access access, TimeProvider clock)
{
    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        foreach (string root in (string[])["/v1", ""])
        {
            routes.MapPost(root + "/completions", CompleteAsync);
            routes.MapMethods(root + "/models", HealthApi.Reading, ListModelsAsync);
            routes.MapMethods(root + "/models/{**id}", HealthApi.Reading, GetModelAsync);
            routes.MapPost(root + "/tokenize", TokenizeAsync);
            routes.MapPost(root + "/detokenize", DetokenizeAsync);
        }
    }

    private async Task CompleteAsync(HttpContext context)
    {
        var engine = lifecycle.Require();
        var tenant = access.Admit(context);
        string id = "cmpl-" + Guid.NewGuid().ToString("N");
        var (request, answer) = mapper.MapCompletion(await RequestBody.ReadAsync(context), id);
        var format = new CompletionFormat(id, clock.GetUtcNow().ToUnixTimeSeconds(), answer, engine);
        request = request with { Settings = request.Settings with { Tenant = tenant.Id } };
        await writer.WriteAsync(context, id, engine.Start(request), format, answer, tenant);
    }

    private Task ListModelsAsync(HttpContext context)
    {
        var cards = models.Names.Select(name => models.Card(name, lifecycle.EngineOrNull)).ToArray();
        return context.Response.WriteAsJsonAsync(new ModelList("list", cards), WireJson.Default.ModelList);
    }

    private Task GetModelAsync(HttpContext context)
    {
        string name = RouteId.Of(context);
        return models.Serves(name)
            ? context.Response.WriteAsJsonAsync(models.Card(name, lifecycle.EngineOrNull), WireJson.Default.ModelCard)
            : throw models.NotFound(name);
    }

    private async Task TokenizeAsync(HttpContext context)
    {
        var engine = lifecycle.Require();
        var body = await RequestBody.ReadAsync(context);
        mapper.CheckModel(body);
        var ids = Tokenize(engine, body);
        bool texts = RequestFields.ReturnTokenStrs.Read(body) ?? false;
        var answer = new TokenizeResponse(ids.Count, engine.Facts.MaxModelLen, ids,
            texts ? [.. ids.Select(id => Encoding.UTF8.GetString(engine.TokenBytes(id).Span))] : null);
        await context.Response.WriteAsJsonAsync(answer, WireJson.Default.TokenizeResponse);
    }

    private static IReadOnlyList<int> Tokenize(ChatEngine engine, RequestBody body)
    {
        bool hasPrompt = body.TryGet("prompt", out _);
        bool hasMessages = body.TryGet("messages", out _);
        if (hasPrompt == hasMessages)
            throw new InvalidRequestException(hasPrompt ? "messages" : "prompt", "invalid_value",
                "Send either 'prompt' (a text) or 'messages' (a conversation).");
        if (hasPrompt)
            return engine.Tokenize(RequestFields.PlainText.Read(body)!, RequestFields.AddSpecialTokens.Read(body) ?? true);
        UnsupportedFields.CheckChat(body.Root);
        return engine.Tokenize(RequestMapper.Conversation(body, "tokenize"));
    }

    private async Task DetokenizeAsync(HttpContext context)
    {
        var engine = lifecycle.Require();
        var body = await RequestBody.ReadAsync(context);
        mapper.CheckModel(body);
        if (RequestFields.Tokens.Read(body) is not { } tokens)
            throw new InvalidRequestException("tokens", "missing_field", "'tokens' is missing. Send a list of token ids.");
        string text = engine.Detokenize(tokens);
        await context.Response.WriteAsJsonAsync(new DetokenizeResponse(text), WireJson.Default.DetokenizeResponse);
    }
}
