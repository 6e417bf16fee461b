using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates;

/// <summary>
/// The variables of a chat template. Strings and keys of messages, tools and documents are request text. Literal are: the role of a message
/// and the type of a content part, tool call or tool, which the server must check against closed lists; BOS and EOS; and the variables that
/// the caller sets.
/// </summary>
internal static class TemplateVariables
{
    private static readonly string[] Reserved = ["messages", "tools", "add_generation_prompt"];

    private static readonly string[] ReasoningNames = ["reasoning_content", "reasoning", "thinking"];

    /// <summary>What Hugging Face defines for every template.</summary>
    /// <exception cref="TemplateException">A variable has the name of a fixed one, or a number or text cannot be represented.</exception>
    public static IReadOnlyDictionary<string, object> Of(TemplateInput input)
    {
        var variables = new Dictionary<string, object>
        {
            ["messages"] = new ListValue([.. input.Messages.Select(Message)]),
            ["tools"] = input.Tools is null ? NoneValue.Instance : new ListValue([.. input.Tools.Select(Typed)]),
            ["documents"] = NoneValue.Instance,
            ["add_generation_prompt"] = Boxed.Bool(input.AddGenerationPrompt),
        };
        if (input.BosToken is { } bos)
            variables["bos_token"] = StringValue.Literal(bos);
        if (input.EosToken is { } eos)
            variables["eos_token"] = StringValue.Literal(eos);
        foreach (var (name, value) in input.Variables ?? [])
        {
            if (Reserved.Contains(name))
                throw Errors.Type($"render() got multiple values for keyword argument '{name}'");
            variables[name] = Value(value, isRequest: name == "documents");
        }
        return variables;
    }

    /// <summary>A JSON value; 1 becomes an int and 1.0 a float.</summary>
    public static object Value(JsonNode? node, bool isRequest)
    {
        Rendering.EnsureStack();
        return node switch
        {
            null => NoneValue.Instance,
            JsonArray array => new ListValue([.. array.Select(item => Value(item, isRequest))]),
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
            "content" or "tool_calls" when value is JsonArray parts => new ListValue([.. parts.Select(Typed)]),
            _ => Value(value, isRequest: true),
        });
        var thought = ReasoningNames.Select(name => dict.Find(StringValue.Literal(name)))
            .FirstOrDefault(value => value is not (null or NoneValue));
        foreach (var alias in new[] { "reasoning_content", "thinking" })
            if (thought is not null && dict.Find(StringValue.Literal(alias)) is null)
                dict.Set(StringValue.Literal(alias), thought);
        return dict;
    }

    // A name from a closed list. Anything else than a string is not on the list.
    private static object Checked(JsonNode? value) => Value(value, isRequest: value is not JsonValue);

    // An object whose own type is literal and the rest request text.
    private static object Typed(JsonNode? node) => node is JsonObject fields
        ? Dict(fields, isRequest: true, (name, value) => name == "type" ? Checked(value) : Value(value, isRequest: true))
        : Value(node, isRequest: true);

    private static DictValue Dict(JsonObject fields, bool isRequest, Func<string, JsonNode?, object> convert)
    {
        var dict = new DictValue();
        foreach (var (name, value) in fields)
            dict.Set(StringValue.Of(name, isRequest), convert(name, value));
        return dict;
    }

    private static object Scalar(JsonValue value, bool isRequest) => value.GetValueKind() switch
    {
        JsonValueKind.True => Boxed.True,
        JsonValueKind.False => Boxed.False,
        JsonValueKind.String => Text(value, isRequest),
        JsonValueKind.Number => Number(value),
        _ => NoneValue.Instance,
    };

    private static StringValue Text(JsonValue value, bool isRequest)
    {
        try
        {
            return StringValue.Of(value.GetValue<string>(), isRequest);
        }
        catch (InvalidOperationException exception)
        {
            // Text with an escape for half of a surrogate pair.
            throw Errors.Value(exception.Message);
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
        if (Numerals.ParseInteger(text.TrimStart('-'), 10) is not { } number)
            throw Errors.Value("Exceeds the limit (4300 digits) for integer string conversion");
        return text[0] == '-' ? -number : number;
    }
}
