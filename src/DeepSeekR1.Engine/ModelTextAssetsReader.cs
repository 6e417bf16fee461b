using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Models.Checkpoints;

namespace DeepSeekR1.Engine;

/// <summary>
/// Reads <see cref="ModelTextAssets"/> from a checkpoint, whatever its container. Strict: what the tokenizer would not
/// reproduce exactly is refused with the offending text. Stateless.
/// </summary>
public static class ModelTextAssetsReader
{
    /// <summary>
    /// From a folder in Hugging Face layout: tokenizer.json, tokenizer_config.json (optional), chat_template.jinja or
    /// chat_template.json (optional; they win over the template of tokenizer_config.json).
    /// </summary>
    /// <exception cref="StartupException">A file is missing, broken or asks for something unsupported.</exception>
    public static ModelTextAssets FromFolder(string folder)
    {
        var path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
            throw new StartupException($"'{path}' does not exist. Download the tokenizer.json of this checkpoint into the folder, or "
                + "name a GGUF file, which holds its own tokenizer.");
        var assets = WithFile(path, TokenizerJson.Read);
        return Configure(folder, assets);
    }

    /// <summary>From the metadata of a GGUF file.</summary>
    /// <exception cref="StartupException">A key is missing or asks for something unsupported.</exception>
    public static ModelTextAssets FromGguf(GgufFile file)
    {
        try
        {
            return GgufTokenizer.Read(file);
        }
        catch (ModelLoadException e)
        {
            throw new StartupException(e.Message, e);
        }
    }

    private static ModelTextAssets Configure(string folder, ModelTextAssets assets)
    {
        var path = Path.Combine(folder, "tokenizer_config.json");
        if (File.Exists(path))
            assets = WithFile(path, root => TokenizerConfigJson.Apply(root, assets));
        var jinja = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(jinja))
            return assets with { ChatTemplate = ReadText(jinja) };
        var json = Path.Combine(folder, "chat_template.json");
        return File.Exists(json) ? assets with { ChatTemplate = WithFile(json, TokenizerConfigJson.ChatTemplate) } : assets;
    }

    private static T WithFile<T>(string path, Func<JsonElement, T> read)
    {
        try
        {
            using var document = JsonDocument.Parse(ReadText(path));
            return read(document.RootElement);
        }
        catch (StartupException e)
        {
            throw new StartupException($"'{path}': {e.Message}", e);
        }
        // JsonElement's getters say InvalidOperationException for a wrong kind and FormatException for a number out of range.
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw new StartupException($"'{path}' is not what it should be: {e.Message} Download it again.", e);
        }
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"'{path}' cannot be read: {e.Message}", e);
        }
    }
}
