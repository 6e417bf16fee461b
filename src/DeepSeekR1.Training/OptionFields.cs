using System.Collections;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Training;

/// <summary>Checks the fields of a configuration against an options type before it is read, so that errors speak of fields, not of .NET members.</summary>
internal static class OptionFields
{
    /// <summary>Refuses unknown fields and values of a wrong type.</summary>
    /// <param name="fields">The configuration.</param>
    /// <param name="type">The options.</param>
    /// <param name="format">How they are read.</param>
    /// <param name="source">Where the configuration comes from, for messages.</param>
    /// <param name="prefix">Fields that lead here, with a dot at the end.</param>
    /// <exception cref="StartupException">Names the field, what was meant or is allowed, and the source.</exception>
    public static void Check(JsonObject fields, Type type, JsonSerializerOptions format, string source, string prefix = "")
    {
        var known = type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(p => p.GetCustomAttribute<JsonIgnoreAttribute>() is null)
            .ToDictionary(p => JsonNamingPolicy.SnakeCaseLower.ConvertName(p.Name));
        foreach (var (name, value) in fields)
        {
            if (!known.TryGetValue(name, out var property))
                throw new StartupException($"{source} has the field '{prefix}{name}', which does not exist. The nearest that does is '{prefix}{known.Keys.MinBy(k => EditDistance.Between(k, name))}'.");
            CheckValue(value, property, format, source, prefix + name);
        }
    }

    private static void CheckValue(JsonNode? value, PropertyInfo property, JsonSerializerOptions format, string source, string field)
    {
        var type = property.PropertyType;
        if (IsRecord(type) && value is JsonObject inner)
            Check(inner, type, format, source, field + ".");
        else if (type.IsGenericType && IsRecord(type.GetGenericArguments()[0]) && value is JsonArray items)
            for (int i = 0; i < items.Count; i++)
            {
                if (items[i] is not JsonObject item)
                    throw new StartupException($"{field}[{i}] in {source} is {Shown(items[i])}; it must be an object of fields.");
                Check(item, type.GetGenericArguments()[0], format, source, $"{field}[{i}].");
            }
        else if (!Fits(value, type, format) && !(property.GetCustomAttribute<JsonConverterAttribute>() is not null && value?.GetValueKind() == JsonValueKind.String))
            throw new StartupException($"{field} in {source} is {Shown(value)}; it must be {Allowed(type)}.");
    }

    private static bool IsRecord(Type type) => type.IsClass && type.Namespace?.StartsWith("DeepSeekR1.", StringComparison.Ordinal) == true;

    private static bool Fits(JsonNode? value, Type type, JsonSerializerOptions format)
    {
        if (value is null)
            return Nullable.GetUnderlyingType(type) is not null || !type.IsValueType && type != typeof(string);
        try
        {
            return value.Deserialize(type, format) is not null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            return false;
        }
    }

    private static string Shown(JsonNode? value) => value?.ToJsonString() ?? "null";

    private static string Allowed(Type type) => (Nullable.GetUnderlyingType(type) ?? type) switch
    {
        { IsEnum: true } t => string.Join(", ", Enum.GetNames(t).Select(JsonNamingPolicy.SnakeCaseLower.ConvertName)),
        var t when t == typeof(bool) => "true or false",
        var t when t == typeof(int) || t == typeof(long) => "a whole number",
        var t when t == typeof(double) => "a number",
        var t when t == typeof(string) => "a text",
        var t when typeof(IEnumerable).IsAssignableFrom(t) => "a list",
        _ => "an object of fields",
    };
}
