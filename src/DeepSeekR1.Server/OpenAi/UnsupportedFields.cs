using System.Text.Json;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>
/// Known fields whose effect does not exist here. A neutral value (null always is one) is accepted, any other value is refused
/// with the reason: never silence. Fields that nobody knows are ignored.
/// </summary>
internal static class UnsupportedFields
{
    private static readonly Dictionary<string, (Func<JsonElement, bool> IsNeutral, string Reason)> Common = new()
    {
        ["length_penalty"] = (Is(1), "a length penalty needs beam search, which this server does not have; leave it out or send 1"),
        ["logits_processors"] = (Empty, "custom logits processors are not supported; leave it out"),
        ["use_beam_search"] = (False, "beam search is not supported; leave it out or send false"),
        ["early_stopping"] = (False, "beam search is not supported; leave it out or send false"),
        ["truncate_prompt_tokens"] = (Never, "prompts are never shortened; send a shorter prompt"),
        ["rid"] = (Never, "request ids go into the x-request-id header"),
        ["return_prompt_token_ids"] = (False, "use return_token_ids"),
        ["return_tokens"] = (False, "use return_token_ids"),
        ["return_tokens_as_token_ids"] = (False, "use return_token_ids"),
        ["stop_regex"] = (Empty, "stop patterns are not supported; use stop"),
        ["no_stop_trim"] = (False, "use include_stop_str_in_output"),
        ["typical_p"] = (Is(1), "typical sampling is not supported; leave it out or send 1"),
        ["mirostat"] = (Is(0), "mirostat sampling is not supported; leave it out or send 0"),
        ["dry_multiplier"] = (Is(0), "DRY sampling is not supported; leave it out or send 0"),
        ["xtc_probability"] = (Is(0), "XTC sampling is not supported; leave it out or send 0"),
        ["spaces_between_special_tokens"] = (True, "no spaces are ever put between special tokens; leave it out"),
        ["regex"] = (Empty, "constrained answers are not supported; leave it out"),
        ["ebnf"] = (Empty, "constrained answers are not supported; leave it out"),
        ["grammar"] = (Empty, "constrained answers are not supported; leave it out"),
        ["choice"] = (Empty, "constrained answers are not supported; leave it out"),
        ["json_schema"] = (Empty, "constrained answers are not supported; leave it out"),
        ["structural_tag"] = (Empty, "constrained answers are not supported; leave it out"),
        ["structured_outputs"] = (Empty, "constrained answers are not supported; leave it out"),
        ["guided_json"] = (Empty, "constrained answers are not supported; leave it out"),
        ["guided_regex"] = (Empty, "constrained answers are not supported; leave it out"),
        ["guided_choice"] = (Empty, "constrained answers are not supported; leave it out"),
        ["guided_grammar"] = (Empty, "constrained answers are not supported; leave it out"),
        ["response_format"] = (TypeIs("text"), "constrained answers are not supported; leave it out or send {\"type\":\"text\"}"),
    };

    private static readonly Dictionary<string, (Func<JsonElement, bool> IsNeutral, string Reason)> Chat = new(Common)
    {
        ["tools"] = (Empty, "tool calls are not supported yet; leave it out or send []"),
        ["tool_choice"] = (OneOf("none", "auto"), "tool calls are not supported yet; leave it out or send \"none\""),
        ["functions"] = (Empty, "tool calls are not supported yet; leave it out or send []"),
        ["function_call"] = (OneOf("none", "auto"), "tool calls are not supported yet; leave it out or send \"none\""),
        ["include_reasoning"] = (True, "thoughts are always sent; leave it out or send true"),
        ["stream_reasoning"] = (True, "thoughts are streamed as they come; leave it out or send true"),
        ["chat_template"] = (Never, "a template per request is not supported; start the server with --chat-template FILE"),
        ["documents"] = (Empty, "documents are not supported; put their text into a message"),
        ["add_special_tokens"] = (False, "the chat template writes the special tokens; leave it out or send false"),
        ["modalities"] = (Only("text"), "only text is supported; leave it out or send [\"text\"]"),
        ["audio"] = (Never, "only text is supported; leave it out"),
        ["prediction"] = (Never, "predicted outputs are not supported; leave it out"),
        ["web_search_options"] = (Never, "web search is not supported; leave it out"),
        ["mm_processor_kwargs"] = (Empty, "only text is supported; leave it out"),
    };

    private static readonly Dictionary<string, (Func<JsonElement, bool> IsNeutral, string Reason)> Completion = new(Common)
    {
        ["suffix"] = (Empty, "filling in the middle is not supported; leave it out"),
        ["prompt_embeds"] = (Never, "embeddings as prompt are not supported; leave it out"),
    };

    private static readonly Dictionary<string, (Func<JsonElement, bool> IsNeutral, string Reason)> StreamOptions = new()
    {
        ["include_obfuscation"] = (False, "padding of stream chunks is not supported; leave it out or send false"),
    };

    /// <summary>Refuses a chat request for an effect that does not exist.</summary>
    public static void CheckChat(JsonElement root) => Check(root, Chat, "");

    /// <summary>Refuses a completion request for an effect that does not exist.</summary>
    public static void CheckCompletion(JsonElement root) => Check(root, Completion, "");

    /// <summary>Refuses stream options without effect.</summary>
    public static void CheckStreamOptions(JsonElement options) => Check(options, StreamOptions, "stream_options.");

    private static void Check(
        JsonElement root, Dictionary<string, (Func<JsonElement, bool> IsNeutral, string Reason)> table, string prefix)
    {
        foreach (var member in root.EnumerateObject())
            if (member.Value.ValueKind != JsonValueKind.Null
                && table.TryGetValue(member.Name, out var rule)
                && !rule.IsNeutral(member.Value))
                throw new InvalidRequestException(prefix + member.Name, "unsupported_value",
                    $"'{prefix}{member.Name}' = {RequestBody.Shorten(member.Value)}: {rule.Reason}.");
    }

    private static bool Never(JsonElement value) => false;

    private static bool True(JsonElement value) => value.ValueKind == JsonValueKind.True;

    private static bool False(JsonElement value) => value.ValueKind == JsonValueKind.False;

    private static bool Empty(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().Any(),
        JsonValueKind.String => value.ValueEquals(""),
        _ => false,
    };

    private static Func<JsonElement, bool> Is(double neutral)
        => value => value.ValueKind == JsonValueKind.Number && value.GetDouble() == neutral;

    private static Func<JsonElement, bool> OneOf(params string[] neutral)
        => value => value.ValueKind == JsonValueKind.String && neutral.Any(n => value.ValueEquals(n));

    private static Func<JsonElement, bool> Only(string neutral)
        => value => value.ValueKind == JsonValueKind.Array
            && value.EnumerateArray().All(v => v.ValueKind == JsonValueKind.String && v.ValueEquals(neutral));

    private static Func<JsonElement, bool> TypeIs(string neutral)
        => value => value.ValueKind == JsonValueKind.Object
            && value.TryGetProperty("type", out var type)
            && type.ValueKind == JsonValueKind.String
            && type.ValueEquals(neutral);
}
