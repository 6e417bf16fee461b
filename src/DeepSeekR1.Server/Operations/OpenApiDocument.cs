using DeepSeekR1.Server.OpenAi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace DeepSeekR1.Server.Operations;

/// <summary>
/// The OpenAPI document at /swagger/v1/swagger.json and its page at /swagger. Request schemas come from the same list of
/// fields that the mapper reads by.
/// </summary>
internal sealed class OpenApiDocument(ServedModels models, ServerOptions options, Lifecycle lifecycle) : IDocumentFilter
{
    private const string ScriptPath = "/swagger/live-sse.js";

    /// <summary>Adds the generator.</summary>
    public static void Add(IServiceCollection services)
    {
        services.AddEndpointsApiExplorer();
        services.AddSwaggerGen(options =>
        {
            options.SwaggerDoc("v1", new OpenApiInfo
            {
                Title = "DeepSeekR1",
                Version = "v1",
                Description = "OpenAI-style inference server for DeepSeek-R1-family models.",
            });
            options.DocumentFilter<OpenApiDocument>();
        });
    }

    /// <summary>Adds document, page and the script that shows event streams while they run.</summary>
    public static void Use(WebApplication app)
    {
        app.UseSwagger(options => options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1);
        app.Use(ServeScriptAsync);
        app.UseSwaggerUI(options =>
        {
            options.SwaggerEndpoint("/swagger/v1/swagger.json", "DeepSeekR1");
            options.DocumentTitle = "DeepSeekR1";
            options.EnableTryItOutByDefault();
            options.DisplayRequestDuration();
            options.EnablePersistAuthorization();
            options.InjectJavascript(ScriptPath);
        });
    }

    /// <inheritdoc/>
    public void Apply(Microsoft.OpenApi.OpenApiDocument swaggerDoc, DocumentFilterContext context)
    {
        swaggerDoc.Paths = [];
        string model = models.Names[0];
        var defaults = new FieldDefaults(model, options, lifecycle.EngineOrNull?.Facts.Defaults);
        Post(swaggerDoc, "/v1/chat/completions", "createChatCompletion", "Answer a conversation",
            OpenApiSchemas.Request(RequestFields.Chat, defaults, "messages"), RequestExamples.Chat(model), OpenApiSchemas.ChatAnswer(), OpenApiSchemas.ChatChunk());
        AnswerNow(swaggerDoc);
        Post(swaggerDoc, "/v1/completions", "createCompletion", "Continue a text",
            OpenApiSchemas.Request(RequestFields.Completion, defaults, "prompt"), RequestExamples.Completion(model), OpenApiSchemas.CompletionAnswer(),
                OpenApiSchemas.CompletionAnswer());
        Post(swaggerDoc, "/tokenize", "tokenize", "Text or conversation to token ids",
            OpenApiSchemas.Request(RequestFields.Tokenize, defaults), RequestExamples.Tokenize(model), OpenApiSchemas.TokenizeAnswer());
        Post(swaggerDoc, "/detokenize", "detokenize", "Token ids to text",
            OpenApiSchemas.Request(RequestFields.Detokenize, defaults, "tokens"), RequestExamples.Detokenize(model), OpenApiSchemas.DetokenizeAnswer());
        Get(swaggerDoc, "/v1/models", "listModels", "The served model", "Models");
        Get(swaggerDoc, "/v1/models/{id}", "retrieveModel", "One served name", "Models", model);
        Get(swaggerDoc, "/health", "health", "200 when requests are answered", "Operations");
        Get(swaggerDoc, "/health/ready", "ready", "The same", "Operations");
        Get(swaggerDoc, "/health/live", "live", "200 while the process lives, with the progress of loading", "Operations");
        Get(swaggerDoc, "/metrics", "metrics", "Counters and gauges in Prometheus' text format", "Operations");
        AddBearer(swaggerDoc);
    }

    private static void AddBearer(Microsoft.OpenApi.OpenApiDocument document)
    {
        document.Components ??= new OpenApiComponents();
        document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
        {
            ["bearer"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "Only where the server was started with --api-key." },
        };
        document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("bearer", document)] = [] }];
    }

    private static void Post(
        Microsoft.OpenApi.OpenApiDocument document, string path, string id, string summary,
        OpenApiSchema request, IDictionary<string, IOpenApiExample> examples, OpenApiSchema answer, OpenApiSchema? chunk = null)
    {
        var ok = new Dictionary<string, OpenApiMediaType> { ["application/json"] = new OpenApiMediaType { Schema = answer } };
        if (chunk is not null)
            ok["text/event-stream"] = new OpenApiMediaType { Schema = chunk };
        var operation = Operation(id, summary, chunk is null ? "Tokens" : "Generation");
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Content = new Dictionary<string, OpenApiMediaType>
            {
                ["application/json"] = new OpenApiMediaType { Schema = request, Examples = examples },
            },
        };
        operation.Responses!["200"] = new OpenApiResponse
        {
            Description = chunk is null ? "The answer" : "The answer; with stream = true as server-sent events",
            Content = ok,
        };
        foreach (var (status, text) in new[] { ("400", "The request is wrong"), ("401", "The API key is missing or wrong"), ("404", "The model is not served"), ("413", "The body is too large"), ("415", "The body is not JSON"), ("429", "The queue is full, or a limit of the key is used up; Retry-After says for how long"), ("500", "The engine failed"), ("503", "The model is loading, or the server is shutting down") })
            operation.Responses[status] = OpenApiSchemas.ErrorResponse(text);
        document.Paths[path] = new OpenApiPathItem { Operations = new Dictionary<HttpMethod, OpenApiOperation> { [HttpMethod.Post] = operation } };
    }

    private static void AnswerNow(Microsoft.OpenApi.OpenApiDocument document)
    {
        var operation = Operation("answerNow", "End the thought of a running answer: the model wraps up and answers", "Generation");
        operation.Parameters =
        [
            new OpenApiParameter
            {
                Name = "id", In = ParameterLocation.Path, Required = true, Schema = new OpenApiSchema { Type = JsonSchemaType.String },
                Description = "The id of the answer's chunks, or the x-request-id of its request, while it runs.",
            },
        ];
        operation.Responses!["200"] = new OpenApiResponse
        {
            Description = "The choices whose thought is wrapped up",
            Content = new Dictionary<string, OpenApiMediaType> { ["application/json"] = new OpenApiMediaType { Schema = OpenApiSchemas.AnswerNowAnswer() } },
        };
        foreach (var (status, text) in new[] { ("401", "The API key is missing or wrong"), ("404", "No such answer is running"), ("409", "It has no thought to end"), ("503", "The model is loading") })
            operation.Responses[status] = OpenApiSchemas.ErrorResponse(text);
        document.Paths["/v1/chat/completions/{id}/answer-now"] = new OpenApiPathItem { Operations = new Dictionary<HttpMethod, OpenApiOperation> { [HttpMethod.Post] = operation } };
    }

    private static void Get(Microsoft.OpenApi.OpenApiDocument document, string path, string id, string summary, string tag, string? model = null)
    {
        var operation = Operation(id, summary, tag);
        operation.Responses!["200"] = new OpenApiResponse { Description = summary };
        if (model is not null)
            operation.Parameters =
            [
                new OpenApiParameter
                {
                    Name = "id", In = ParameterLocation.Path, Required = true, Example = model,
                    Schema = new OpenApiSchema { Type = JsonSchemaType.String },
                },
            ];
        document.Paths[path] = new OpenApiPathItem { Operations = new Dictionary<HttpMethod, OpenApiOperation> { [HttpMethod.Get] = operation } };
    }

    private static OpenApiOperation Operation(string id, string summary, string tag) => new()
    {
        OperationId = id,
        Summary = summary,
        Tags = new HashSet<OpenApiTagReference> { new(tag) },
        Responses = [],
    };

    private static Task ServeScriptAsync(HttpContext context, RequestDelegate next)
    {
        if (context.Request.Path != ScriptPath)
            return next(context);
        context.Response.ContentType = "text/javascript; charset=utf-8";
        using var script = typeof(OpenApiDocument).Assembly.GetManifestResourceStream("live-sse.js")!;
        return script.CopyToAsync(context.Response.Body);
    }
}
