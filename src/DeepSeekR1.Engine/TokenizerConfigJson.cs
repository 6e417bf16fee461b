using System.Text.Json;

namespace DeepSeekR1.Engine;

/// <summary>What of tokenizer_config.json matters: the names of BOS and EOS, <c>add_bos_token</c>, the chat template. Stateless.</summary>
internal static class TokenizerConfigJson
{
    /// <summary>The assets with what the configuration adds.</summary>
    public static ModelTextAssets Apply(JsonElement root, ModelTextAssets assets) => assets with
    {
        AddBosToken = root.TryGetProperty("add_bos_token", out var flag) && flag.ValueKind == JsonValueKind.True,
        BosToken = TokenText(root, "bos_token"),
        EosToken = TokenText(root, "eos_token"),
        ChatTemplate = ChatTemplate(root),
    };

    /// <summary>
    /// <c>chat_template</c>: a string, or a list of <c>{name, template}</c> of which "default" counts (or the only one); null when absent.
    /// </summary>
    public static string? ChatTemplate(JsonElement root)
    {
        if (!root.TryGetProperty("chat_template", out var template) || template.ValueKind == JsonValueKind.Null)
            return null;
        if (template.ValueKind == JsonValueKind.String)
            return template.GetString();
        if (template.ValueKind != JsonValueKind.Array)
            throw new StartupException($"chat_template is neither a string nor a list: {Quote(template)}");
        var templates = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var entry in template.EnumerateArray())
            templates[entry.GetProperty("name").GetString()!] = entry.GetProperty("template").GetString()!;
        if (templates.TryGetValue("default", out var text))
            return text;
        return templates.Count == 1 ? templates.Values.Single() : throw new StartupException(
            $"chat_template has no entry named \"default\", only: {string.Join(", ", templates.Keys)}");
    }

    /// <summary>JSON for a message, cut where it gets long.</summary>
    public static string Quote(JsonElement element) =>
        element.GetRawText() is { Length: > 400 } text ? text[..400] + "..." : element.GetRawText();

    // Written as text or as an AddedToken object.
    private static string? TokenText(JsonElement root, string name) =>
        root.TryGetProperty(name, out var token) && token.ValueKind == JsonValueKind.Object
            ? token.GetProperty("content").GetString()
            : token.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null ? null : token.GetString();
}
