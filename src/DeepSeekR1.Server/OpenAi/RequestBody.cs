using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using DeepSeekR1.Engine;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// A request's JSON object with typed access. A null member counts as absent; a wrong type or a value out of range is
/// refused with name, value and limit.
/// </summary>
internal sealed class RequestBody(JsonElement root)
{
    private const int MaxDepth = 64;
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = MaxDepth };

    /// <summary>The whole object.</summary>
    public JsonElement Root => root;

    /// <summary>Reads a request's body.</summary>
    /// <exception cref="OpenAiException">Media type, size, encoding or JSON are wrong.</exception>
    public static async Task<RequestBody> ReadAsync(HttpContext context)
    {
        if (!context.Request.HasJsonContentType())
            throw new OpenAiException(OpenAiError.Invalid(415, "unsupported_media_type",
                $"The content type '{context.Request.ContentType}' is not supported. Send Content-Type: application/json."));
        string encoding = context.Request.Headers.ContentEncoding.ToString();
        if (encoding.Length > 0 && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
            throw new OpenAiException(OpenAiError.Invalid(415, "unsupported_content_encoding",
                $"The content encoding '{encoding}' is not supported. Send the JSON text as it is, without Content-Encoding."));
        return Parse(await ReadBytesAsync(context));
    }

    /// <summary>Parses UTF-8 JSON.</summary>
    internal static RequestBody Parse(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.Span.StartsWith("\uFEFF"u8))
            utf8 = utf8[3..];
        if (!Utf8.IsValid(utf8.Span))
            throw Malformed("The request body is not valid UTF-8. Encode the JSON text as UTF-8.");
        JsonElement root;
        try
        {
            root = JsonDocument.Parse(utf8, Options).RootElement;
        }
        catch (JsonException e)
        {
            throw Malformed(IsOnlyTooDeep(utf8.Span)
                ? $"The request body nests more than {MaxDepth} levels deep. Send a flatter JSON object."
                : string.Create(CultureInfo.InvariantCulture,
                    $"The request body is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}). Send one JSON object."));
        }
        if (utf8.Span.IndexOf("\\ud"u8) >= 0 || utf8.Span.IndexOf("\\uD"u8) >= 0)
            CheckTexts(root, "");
        return root.ValueKind == JsonValueKind.Object
            ? new RequestBody(root)
            : throw Malformed($"The request body must be a JSON object, not {TypeName(root)}.");
    }

    /// <summary>Reads every name and text once: half of a surrogate pair is no character, and whoever met it first would throw.</summary>
    private static void CheckTexts(JsonElement value, string path)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                Text(path, value);
                break;
            case JsonValueKind.Array:
                int i = 0;
                foreach (var item in value.EnumerateArray())
                    CheckTexts(item, $"{path}[{i++}]");
                break;
            case JsonValueKind.Object:
                foreach (var member in value.EnumerateObject())
                    CheckTexts(member.Value, path.Length == 0 ? NameOf(member, path) : $"{path}.{NameOf(member, path)}");
                break;
        }
    }

    /// <summary>A member's name for paths, which are logged: what does not look like the name of a field is a client's own text and stays out.</summary>
    private static string NameOf(JsonProperty member, string path)
    {
        try
        {
            return member.Name.Length <= 40 && member.Name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '_') ? member.Name : "*";
        }
        catch (InvalidOperationException)
        {
            throw new InvalidRequestException(path.Length == 0 ? null : path, "invalid_value",
                $"The name of a field of {(path.Length == 0 ? "the request" : $"'{path}'")} holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.");
        }
    }

    /// <summary>A member that is present and not null.</summary>
    public bool TryGet(string name, out JsonElement value)
        => root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>A number in a range; the least one itself may be excluded.</summary>
    public static float Number(string name, JsonElement value, double min, double max, bool exclusiveMin)
    {
        if (value.ValueKind != JsonValueKind.Number)
            throw WrongType(name, "a number", value);
        double number = value.GetDouble();
        bool tooSmall = number < min || (exclusiveMin && number <= min);
        return double.IsFinite(number) && !tooSmall && number <= max ? (float)number
            : throw OutOfRange(name, value, exclusiveMin ? $"above {Show(min)} and at most {Show(max)}" : $"between {Show(min)} and {Show(max)}");
    }

    /// <summary>A 64-bit integer in a range; <see cref="int.MaxValue"/> as largest value is shown only to those who are above it.</summary>
    public static long Integer(string name, JsonElement value, int? min, int? max)
    {
        if (value.ValueKind != JsonValueKind.Number)
            throw WrongType(name, "an integer", value);
        if (TryInteger(value, out long number) && number >= (min ?? long.MinValue) && number <= (max ?? long.MaxValue))
            return number;
        double large = value.GetDouble();
        if (!double.IsInteger(large) && !double.IsInfinity(large))
            throw WrongType(name, "an integer", value);
        throw OutOfRange(name, value, max == int.MaxValue && large < min ? $"at least {min}" : $"between {min ?? long.MinValue} and {max ?? long.MaxValue}");
    }

    /// <summary>true or false.</summary>
    public static bool Flag(string name, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw WrongType(name, "true or false", value),
    };

    /// <summary>A member that is true or false; null when it is absent.</summary>
    public bool? Flag(string name) => TryGet(name, out var value) ? Flag(name, value) : null;

    /// <summary>A member that is a string; null when it is absent.</summary>
    public string? Text(string name) => TryGet(name, out var value) ? Text(name, value) : null;

    /// <summary>The string in an element.</summary>
    public static string Text(string name, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw WrongType(name, "a string", value);
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new InvalidRequestException(name, "invalid_value",
                $"'{name}' holds half of a surrogate pair (\\uD800 to \\uDFFF). Send whole characters.");
        }
    }

    /// <summary>A list of integers.</summary>
    public static int[] Integers(string name, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw WrongType(name, "a list of integers", value);
        var items = new int[value.GetArrayLength()];
        int i = 0;
        foreach (var item in value.EnumerateArray())
            items[i++] = item.ValueKind == JsonValueKind.Number && TryInteger(item, out long id) && id is >= int.MinValue and <= int.MaxValue
                ? (int)id
                : throw WrongType($"{name}[{i - 1}]", "an integer", item);
        return items;
    }

    /// <summary>The error for a value of the wrong type.</summary>
    public static InvalidRequestException WrongType(string name, string wanted, JsonElement value)
        => new(name, "invalid_type", $"'{name}' must be {wanted}, not {TypeName(value)}: {Shorten(value)}.");

    /// <summary>A value for messages, cut to a readable length.</summary>
    public static string Shorten(JsonElement value)
    {
        string text = value.GetRawText();
        return text.Length <= 40 ? text : text[..37] + "...";
    }

    /// <summary>A bound for people.</summary>
    public static string Show(double bound) => bound.ToString("0.######", CultureInfo.InvariantCulture);

    private static InvalidRequestException OutOfRange(string name, JsonElement value, string range)
        => new(name, "invalid_value", $"'{name}' must be {range}, not {Shorten(value)}.");

    private static bool IsOnlyTooDeep(ReadOnlySpan<byte> utf8)
    {
        var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = int.MaxValue });
        try
        {
            while (reader.Read())
            {
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool TryInteger(JsonElement value, out long number)
    {
        if (value.TryGetInt64(out number))
            return true;
        // 16.0 and 1e3 are integers too; clients with one number type send them.
        double d = value.GetDouble();
        number = double.IsInteger(d) && Math.Abs(d) <= 1L << 53 ? (long)d : 0;
        return number == d;
    }

    private static string TypeName(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };

    private static OpenAiException Malformed(string message) => new(OpenAiError.Invalid(400, "invalid_json", message));

    private static async Task<ReadOnlyMemory<byte>> ReadBytesAsync(HttpContext context)
    {
        long? limit = context.Features.Get<IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize;
        var buffer = new ArrayBufferWriter<byte>((int)Math.Clamp(context.Request.ContentLength ?? 4096, 256, 1 << 20));
        try
        {
            for (int read; (read = await context.Request.Body.ReadAsync(buffer.GetMemory(4096), context.RequestAborted)) > 0;)
                buffer.Advance(read);
        }
        catch (BadHttpRequestException e) when (e.StatusCode == 413)
        {
            throw new OpenAiException(OpenAiError.TooLarge(limit));
        }
        return buffer.WrittenMemory;
    }
}
