using System.Text.Json;

namespace DeepSeekR1.Training.Grpo.Rewards;

/// <summary>Checks a text against the common part of JSON Schema: type, properties, required, additionalProperties, items, enum, const and bounds.</summary>
internal static class JsonSchemaCheck
{
    private static readonly HashSet<string> Known =
        ["$schema", "title", "description", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"];

    /// <summary>Whether every keyword of the schema is one that is checked.</summary>
    internal static bool IsSupported(JsonElement schema)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return true;
        return schema.ValueKind == JsonValueKind.Object && schema.EnumerateObject().All(p => Known.Contains(p.Name) && p.Name switch
        {
            "properties" => p.Value.EnumerateObject().All(inner => IsSupported(inner.Value)),
            "items" or "additionalProperties" => IsSupported(p.Value),
            _ => true,
        });
    }

    /// <summary>Whether the text, but for white space and one code fence around it, is JSON that fits.</summary>
    internal static bool Fits(string text, JsonElement schema)
    {
        text = text.Trim();
        if (text.StartsWith("```", StringComparison.Ordinal) && text.EndsWith("```", StringComparison.Ordinal) && text.IndexOf('\n', StringComparison.Ordinal) is var line and > 0)
            text = text[line..^3];
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 64 });
            return Fits(document.RootElement, schema);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool Fits(JsonElement value, JsonElement schema)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return schema.GetBoolean();
        foreach (var rule in schema.EnumerateObject())
            if (!Fits(value, rule.Name, rule.Value, schema))
                return false;
        return true;
    }

    private static bool Fits(JsonElement value, string keyword, JsonElement rule, JsonElement schema) => keyword switch
    {
        "type" => rule.ValueKind == JsonValueKind.Array ? rule.EnumerateArray().Any(t => IsType(value, t.GetString())) : IsType(value, rule.GetString()),
        "const" => JsonElement.DeepEquals(value, rule),
        "enum" => rule.EnumerateArray().Any(option => JsonElement.DeepEquals(value, option)),
        "minimum" => value.ValueKind != JsonValueKind.Number || value.GetDouble() >= rule.GetDouble(),
        "maximum" => value.ValueKind != JsonValueKind.Number || value.GetDouble() <= rule.GetDouble(),
        "minLength" => value.ValueKind != JsonValueKind.String || value.GetString()!.Length >= rule.GetInt32(),
        "maxLength" => value.ValueKind != JsonValueKind.String || value.GetString()!.Length <= rule.GetInt32(),
        "minItems" => value.ValueKind != JsonValueKind.Array || value.GetArrayLength() >= rule.GetInt32(),
        "maxItems" => value.ValueKind != JsonValueKind.Array || value.GetArrayLength() <= rule.GetInt32(),
        "items" => value.ValueKind != JsonValueKind.Array || value.EnumerateArray().All(item => Fits(item, rule)),
        "required" => value.ValueKind != JsonValueKind.Object || rule.EnumerateArray().All(name => value.TryGetProperty(name.GetString()!, out _)),
        "properties" => value.ValueKind != JsonValueKind.Object || rule.EnumerateObject().All(p => !value.TryGetProperty(p.Name, out var inner) || Fits(inner, p.Value)),
        "additionalProperties" => value.ValueKind != JsonValueKind.Object || value.EnumerateObject().All(p => IsDeclared(p.Name, schema) || Fits(p.Value, rule)),
        _ => true,
    };

    private static bool IsDeclared(string name, JsonElement schema) => schema.TryGetProperty("properties", out var properties) && properties.TryGetProperty(name, out _);

    private static bool IsType(JsonElement value, string? type) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "null" => value.ValueKind == JsonValueKind.Null,
        "number" => value.ValueKind == JsonValueKind.Number,
        "integer" => value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out decimal number) && number == decimal.Truncate(number),
        _ => false,
    };
}
