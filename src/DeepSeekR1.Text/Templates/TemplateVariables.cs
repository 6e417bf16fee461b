using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DeepSeekR1.Text.Templates;

/// <summary>
/// The variables of a chat template. Strings and keys of messages, tools and documents are request text. Literal are: the role of a message
/// and the type of a content part, tool call or tool, which the server must check against closed lists; BOS and EOS; and the variables that
/// the caller sets.
/// </summary>
internal static class JinjaInput
{
    private static readonly string[] Reserved = ["messages", "tools", "add_generation_prompt"];

    private static readonly string[] ReasoningNames = ["reasoning_content", "reasoning", "thinking"];

    /// <summary>What Hugging Face defines for every template.</summary>
    /// <exception cref="TemplateException">A variable has the name of a fixed one, or a number or text cannot be represented.</exception>
    public static IReadOnlyDictionary<string, object> Variables(TemplateInput input)
    {
        var variables = new Dictionary<string, object>
        {
            ["messages"] = new JinjaList([.. input.Messages.Select(Message)]),
            ["tools"] = input.Tools is null ? JinjaNone.Value : new JinjaList([.. input.Tools.Select(Typed)]),
            ["documents"] = JinjaNone.Value,
            ["add_generation_prompt"] = JinjaBox.Bool(input.AddGenerationPrompt),
        };
        if (input.BosToken is { } bos)
            variables["bos_token"] = JinjaString.Literal(bos);
        if (input.EosToken is { } eos)
            variables["eos_token"] = JinjaString.Literal(eos);
        foreach (var (name, value) in input.Variables ?? [])
        {
            if (Reserved.Contains(name))
                throw JinjaErrors.Type($"render() got multiple values for keyword argument '{name}'");
            variables[name] = Value(value, isRequest: name == "documents");
        }
        return variables;
    }

    /// <summary>A JSON value; 1 becomes an int and 1.0 a float.</summary>
    public static object Value(JsonNode? node, bool isRequest)
    {
        JinjaRun.EnsureStack();
        return node switch
        {
            null => JinjaNone.Value,
            JsonArray array => new JinjaList([.. array.Select(item => Value(item, isRequest))]),
            JsonObject fields => Dict(fields, isRequest, (_, value) => Value(value, isRequest)),
            _ => Scalar((JsonValue)node, isRequest),
        };
    }

    // As transformers 5: the three names for a thought stand for each other.
    private static object Message(JsonNode? message)
    {
        if (message is not JsonObject fields)
            return Value(message, isRequest: true);
        var dict = Dict(fields, isRequest: true, (name, value) => name switch
        {
            "role" => Checked(value),
            "content" or "tool_calls" when value is JsonArray parts => new JinjaList([.. parts.Select(Typed)]),
            _ => Value(value, isRequest: true),
        });
        var thought = ReasoningNames.Select(name => dict.Find(JinjaString.Literal(name)))
            .FirstOrDefault(value => value is not (null or JinjaNone));
        foreach (var alias in new[] { "reasoning_content", "thinking" })
            if (thought is not null && dict.Find(JinjaString.Literal(alias)) is null)
                dict.Set(JinjaString.Literal(alias), thought);
        return dict;
    }

    // A name from a closed list. Anything else than a string is not on the list.
    private static object Checked(JsonNode? value) => Value(value, isRequest: value is not JsonValue);

    // An object whose own type is literal and the rest request text.
    private static object Typed(JsonNode? node) => node is JsonObject fields
        ? Dict(fields, isRequest: true, (name, value) => name == "type" ? Checked(value) : Value(value, isRequest: true))
        : Value(node, isRequest: true);

    private static JinjaDict Dict(JsonObject fields, bool isRequest, Func<string, JsonNode?, object> convert)
    {
        var dict = new JinjaDict();
        foreach (var (name, value) in fields)
            dict.Set(JinjaString.Of(name, isRequest), convert(name, value));
        return dict;
    }

    private static object Scalar(JsonValue value, bool isRequest) => value.GetValueKind() switch
    {
        JsonValueKind.True => JinjaBox.True,
        JsonValueKind.False => JinjaBox.False,
        JsonValueKind.String => Text(value, isRequest),
        JsonValueKind.Number => Number(value),
        _ => JinjaNone.Value,
    };

    private static JinjaString Text(JsonValue value, bool isRequest)
    {
        try
        {
            return JinjaString.Of(value.GetValue<string>(), isRequest);
        }
        catch (InvalidOperationException exception)
        {
            // Text with an escape for half of a surrogate pair.
            throw JinjaErrors.Value(exception.Message);
        }
    }

    private static object Number(JsonValue value)
    {
        // A number made in code, not parsed: its JSON text would not tell 1.0 from 1.
        if (!value.TryGetValue<JsonElement>(out _) && value.GetValue<object>() is double or float)
            return Convert.ToDouble(value.GetValue<object>(), CultureInfo.InvariantCulture);
        var text = value.ToJsonString();
        if (text.AsSpan().IndexOfAny(".eE") >= 0)
            return double.Parse(text, CultureInfo.InvariantCulture);
        if (JinjaText.ParseInteger(text.TrimStart('-'), 10) is not { } number)
            throw JinjaErrors.Value("Exceeds the limit (4300 digits) for integer string conversion");
        return text[0] == '-' ? -number : number;
    }
}
