using System.Globalization;
using DeepSeekR1.Server.OpenAi;
using Microsoft.OpenApi;

namespace DeepSeekR1.Server.Operations;

/// <summary>Schemas of the OpenAPI document.</summary>
internal static class OpenApiSchemas
{
    /// <summary>A request, from the list of its fields.</summary>
    public static OpenApiSchema Request(IEnumerable<RequestField> fields, FieldDefaults defaults, params string[] required) => new()
    {
        Type = JsonSchemaType.Object,
        Properties = fields.SelectMany(f => Named(f, required.Contains(f.Name) ? null : defaults)).ToDictionary(f => f.Name, f => f.Schema),
        Required = new HashSet<string>(required),
    };

    /// <summary>A whole chat answer.</summary>
    public static OpenApiSchema ChatAnswer() => Answer(Object(
        ("role", Text()), ("content", Text(nullable: true)), ("reasoning_content", Text()), ("reasoning", Text())), "message");

    /// <summary>A chunk of a chat answer.</summary>
    public static OpenApiSchema ChatChunk() => Answer(Object(
        ("role", Text()), ("content", Text()), ("reasoning_content", Text()), ("reasoning", Text())), "delta");

    /// <summary>A completion answer or a chunk of it.</summary>
    public static OpenApiSchema CompletionAnswer() => Answer(Text(), "text");

    /// <summary>Answer of tokenize.</summary>
    public static OpenApiSchema TokenizeAnswer() => Object(
        ("count", Integer()), ("max_model_len", Integer()), ("tokens", Array(Integer())), ("token_strs", Array(Text())));

    /// <summary>Answer of answer-now.</summary>
    public static OpenApiSchema AnswerNowAnswer() => Object(("id", Text()), ("object", Text()), ("choices", Array(Integer())));

    /// <summary>Answer of detokenize.</summary>
    public static OpenApiSchema DetokenizeAnswer() => Object(("prompt", Text()));

    /// <summary>An error.</summary>
    public static OpenApiResponse ErrorResponse(string description) => new()
    {
        Description = description,
        Content = new Dictionary<string, OpenApiMediaType>
        {
            ["application/json"] = new OpenApiMediaType
            {
                Schema = Object(("error", Object(
                    ("message", Text()), ("type", Text()), ("param", Text(nullable: true)), ("code", Text(nullable: true))))),
            },
        },
    };

    private static OpenApiSchema Answer(OpenApiSchema body, string bodyName) => Object(
        ("id", Text()),
        ("object", Text()),
        ("created", Integer()),
        ("model", Text()),
        ("choices", Array(Object(
            ("index", Integer()), (bodyName, body), ("logprobs", Object()), ("finish_reason", Enum("stop", "length")), ("token_ids", Array(Integer()))))),
        ("usage", Object(
            ("prompt_tokens", Integer()), ("completion_tokens", Integer()), ("total_tokens", Integer()),
            ("prompt_tokens_details", Object(("cached_tokens", Integer()))),
            ("completion_tokens_details", Object(("reasoning_tokens", Integer()))),
            ("prompt_cache_hit_tokens", Integer()), ("prompt_cache_miss_tokens", Integer()))));

    /// <summary>A text or a list of texts.</summary>
    public static OpenApiSchema TextOrTexts() => OneOf(Text(), Array(Text()));

    /// <summary>The four forms of a prompt.</summary>
    public static OpenApiSchema Prompt() => OneOf(Text(), Array(Text()), Array(Integer()), Array(Array(Integer())));

    /// <summary>A conversation.</summary>
    public static OpenApiSchema Messages() => Array(Message());

    /// <summary>Options of streams.</summary>
    public static OpenApiSchema StreamOptions() => Object(("include_usage", Flag()), ("continuous_usage_stats", Flag()));

    /// <summary>DeepSeek's switch of thoughts.</summary>
    public static OpenApiSchema Thinking() => Object(("type", Enum("enabled", "disabled")));

    /// <summary>Token ids and numbers.</summary>
    public static OpenApiSchema LogitBias() => new()
    {
        Type = JsonSchemaType.Object,
        AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.Number, Minimum = "-100", Maximum = "100" },
    };

    /// <summary>A field under each of its names.</summary>
    private static IEnumerable<(string Name, IOpenApiSchema Schema)> Named(RequestField field, FieldDefaults? defaults)
    {
        yield return (field.Name, Field(field, field.Description, defaults is null ? null : field.Default(defaults), defaults is null));
        foreach (var (name, description) in field.Aliases)
            yield return (name, Field(field, description, null, defaults is null));
    }

    private static OpenApiSchema Field(RequestField field, string description, System.Text.Json.Nodes.JsonNode? byDefault, bool isRequired)
    {
        var schema = field.Schema();
        schema.Description = description;
        if (byDefault is not null)
            schema.Default = byDefault;
        else if (!isRequired && field.Name is not ("prompt" or "messages") && !description.Contains("efault", StringComparison.Ordinal))
            schema.Description = description.TrimEnd('.') + ". Default: not set.";
        return schema;
    }

    private static OpenApiSchema Flag() => new() { Type = JsonSchemaType.Boolean, Default = false };

    private static OpenApiSchema Message()
    {
        var message = Object(
            ("role", Enum("system", "developer", "user", "assistant")),
            ("content", OneOf(Text(), Array(Object(("type", Enum("text")), ("text", Text()))))),
            ("reasoning_content", Text()),
            ("name", Text()));
        message.Required = new HashSet<string> { "role" };
        return message;
    }

    internal static string? Bound(double? value) => value?.ToString(CultureInfo.InvariantCulture);

    internal static OpenApiSchema Text(bool nullable = false)
        => new() { Type = nullable ? JsonSchemaType.String | JsonSchemaType.Null : JsonSchemaType.String };

    internal static OpenApiSchema Integer() => new() { Type = JsonSchemaType.Integer };

    internal static OpenApiSchema Array(OpenApiSchema items) => new() { Type = JsonSchemaType.Array, Items = items };

    private static OpenApiSchema OneOf(params OpenApiSchema[] schemas) => new() { OneOf = [.. schemas] };

    internal static OpenApiSchema Enum(params string[] values) => new() { Type = JsonSchemaType.String, Enum = [.. values] };

    internal static OpenApiSchema Object(params (string Name, OpenApiSchema Schema)[] properties) => new()
    {
        Type = JsonSchemaType.Object,
        Properties = properties.ToDictionary(p => p.Name, p => (IOpenApiSchema)p.Schema),
    };
}
