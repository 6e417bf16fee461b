using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>Fields with a form of their own: JSON to a value, or a refusal with name, value and what is wanted.</summary>
internal static class FieldForms
{
    /// <summary>Most characters of a stop string or a bad word.</summary>
    public const int MaxStopLength = 1024;

    /// <summary>Token ids and what is added to their logits.</summary>
    public static Dictionary<int, float> Bias(string name, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object of token ids and numbers", value);
        var biases = new Dictionary<int, float>();
        foreach (var member in value.EnumerateObject())
        {
            if (!int.TryParse(member.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                throw new InvalidRequestException(name, "invalid_value", $"'{name}' has the key '{member.Name}'; keys are token ids.");
            if (member.Value.ValueKind != JsonValueKind.Number)
                throw RequestBody.WrongType($"{name}.{member.Name}", "a number", member.Value);
            double bias = member.Value.GetDouble();
            biases[id] = bias is >= -100 and <= 100
                ? (float)bias
                : throw new InvalidRequestException(name, "invalid_value", $"'{name}.{member.Name}' must be between -100 and 100, not {RequestBody.Shorten(member.Value)}.");
        }

        return biases;
    }

    /// <summary>A list of short texts, none of them empty.</summary>
    public static string[] Words(string name, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType(name, "a list of strings", value);
        string[] words = Texts(name, value);
        return words.All(word => word.Length is > 0 and <= MaxStopLength)
            ? words
            : throw new InvalidRequestException(name, "invalid_value", $"A string of '{name}' must have 1 to {MaxStopLength} characters.");
    }

    /// <summary>A short text or a list of them, none of them empty.</summary>
    public static string[] Stops(string name, JsonElement value)
    {
        if (value.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            throw RequestBody.WrongType(name, "a string or a list of strings", value);
        string[] stops = value.ValueKind == JsonValueKind.String ? [RequestBody.Text(name, value)] : Texts(name, value);
        return stops.All(stop => stop.Length is > 0 and <= MaxStopLength)
            ? stops
            : throw new InvalidRequestException(name, "invalid_value", $"A stop string must have 1 to {MaxStopLength} characters.");
    }

    /// <summary>At least one integer.</summary>
    public static int[] SomeIntegers(string name, JsonElement value)
        => RequestBody.Integers(name, value) is { Length: > 0 } ids
            ? ids
            : throw new InvalidRequestException(name, "invalid_value", $"'{name}' is empty: nothing could be generated. Leave it out or list ids.");

    /// <summary>An object, for typed access to its members.</summary>
    public static RequestBody Members(string name, JsonElement value)
        => value.ValueKind == JsonValueKind.Object ? new RequestBody(value) : throw RequestBody.WrongType(name, "an object", value);

    private static string[] Texts(string name, JsonElement list) => [.. list.EnumerateArray().Select((item, i) => RequestBody.Text($"{name}[{i}]", item))];
}
