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
        Properties = fields.ToDictionary(f => f.Name, f => Field(f, required.Contains(f.Name) ? null : defaults)),
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

    private static IOpenApiSchema Field(RequestField field, FieldDefaults? defaults)
    {
        var schema = field.Type switch
        {
            "stop" => OneOf(Text(), Array(Text())),
            "integers" => Array(Integer()),
            "strings" => Array(Text()),
            "prompt" => OneOf(Text(), Array(Text()), Array(Integer()), Array(Array(Integer()))),
            "messages" => Array(Message()),
            "integer" => Integer(),
            "number" => new OpenApiSchema { Type = JsonSchemaType.Number },
            "boolean" => new OpenApiSchema { Type = JsonSchemaType.Boolean },
            "object" => Members(field.Name),
            _ => Choices.TryGetValue(field.Name, out string[]? choices) ? Enum(choices) : Text(),
        };
        schema.Description = field.Description;
        if (defaults is not null && field.Name is not ("prompt" or "messages"))
            SetDefault(schema, defaults.Of(field.Name, field.Type));
        if (field.ExclusiveMin)
            schema.ExclusiveMinimum = Bound(field.Min);
        else
            schema.Minimum = Bound(field.Min);
        schema.Maximum = Bound(field.Max);
        return schema;
    }

    /// <summary>Texts of which only some are allowed.</summary>
    private static readonly Dictionary<string, string[]> Choices = new()
    {
        ["reasoning_format"] = ["separate", "inline"],
        ["reasoning_effort"] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
    };

    private static OpenApiSchema Members(string field) => field switch
    {
        "stream_options" => Object(("include_usage", Flag()), ("continuous_usage_stats", Flag())),
        "thinking" => Object(("type", Enum("enabled", "disabled"))),
        "logit_bias" => new OpenApiSchema { Type = JsonSchemaType.Object, AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.Number, Minimum = "-100", Maximum = "100" } },
        _ => Object(),
    };

    private static void SetDefault(OpenApiSchema schema, System.Text.Json.Nodes.JsonNode? value)
    {
        if (value is not null)
            schema.Default = value;
        else if (!schema.Description!.Contains("efault", StringComparison.Ordinal))
            schema.Description = schema.Description.TrimEnd('.') + ". Default: not set.";
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

    private static string? Bound(double? value) => value?.ToString(CultureInfo.InvariantCulture);

    private static OpenApiSchema Text(bool nullable = false)
        => new() { Type = nullable ? JsonSchemaType.String | JsonSchemaType.Null : JsonSchemaType.String };

    private static OpenApiSchema Integer() => new() { Type = JsonSchemaType.Integer };

    private static OpenApiSchema Array(OpenApiSchema items) => new() { Type = JsonSchemaType.Array, Items = items };

    private static OpenApiSchema OneOf(params OpenApiSchema[] schemas) => new() { OneOf = [.. schemas] };

    private static OpenApiSchema Enum(params string[] values) => new() { Type = JsonSchemaType.String, Enum = [.. values] };

    private static OpenApiSchema Object(params (string Name, OpenApiSchema Schema)[] properties) => new()
    {
        Type = JsonSchemaType.Object,
        Properties = properties.ToDictionary(p => p.Name, p => (IOpenApiSchema)p.Schema),
    };
}
