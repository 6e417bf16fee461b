using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Server;

namespace DeepSeekR1.Cli;

/// <summary>
/// Brings the values of <c>serve</c> together: settings file, then environment, then command line; the later one wins.
/// </summary>
internal static class ServeSettings
{
    /// <summary>Section of the settings file.</summary>
    public const string Section = "DeepSeekR1";

    /// <summary>Options of a server.</summary>
    /// <param name="model">Checkpoint; null takes DEEPSEEKR1_MODEL or the settings file, else the bundled model.</param>
    /// <param name="flags">Values of the command line by option name.</param>
    /// <param name="environment">Reads an environment variable.</param>
    /// <param name="settingsFile">Path of appsettings.json, whether it exists or not.</param>
    /// <param name="bundled">Finds the bundled model; null looks beside the program and in the working folder.</param>
    public static ServerOptions Resolve(
        string? model, IReadOnlyDictionary<string, string> flags, Func<string, string?> environment, string settingsFile, Func<string?>? bundled = null)
    {
        var settings = ReadFile(settingsFile);
        model ??= NotEmpty(environment("DEEPSEEKR1_MODEL")) ?? settings.GetValueOrDefault("model");
        bool isBundled = model is null;
        model ??= (bundled ?? BundledModel.Locate)()
            ?? throw new UsageException($"serve needs a MODEL: a checkpoint folder or a .gguf file. The bundled model, models/{BundledModel.Name}, is neither beside the program nor here.");
        var options = new ServerOptions { Engine = new EngineOptions { ModelPath = model }, ModelDescription = isBundled ? BundledModel.Description : null };
        var given = new HashSet<string>();
        foreach (var option in ServeOptions.All)
        {
            string? value = flags.GetValueOrDefault(option.Name)
                ?? NotEmpty(environment(option.EnvironmentVariable))
                ?? settings.GetValueOrDefault(Key(option.Name));
            if (value is null)
                continue;
            given.Add(option.Name);
            options = option.Apply(options, value);
        }
        ServeOptions.Check(options, given);
        return options;
    }

    private static string? NotEmpty(string? value) => string.IsNullOrEmpty(value) ? null : value;

    /// <summary>max-model-len, max_model_len and MaxModelLen are one key.</summary>
    private static string Key(string name) => name.Replace("-", "").Replace("_", "").ToLowerInvariant();

    private static Dictionary<string, string> ReadFile(string path)
    {
        var values = new Dictionary<string, string>();
        if (!File.Exists(path))
            return values;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path),
                new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty(Section, out var section))
                foreach (var member in section.EnumerateObject())
                    values[KnownKey(path, member.Name)] = Text(path, member);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            throw new UsageException($"The settings file '{path}' cannot be read: {e.Message}");
        }
        return values;
    }

    private static string KnownKey(string path, string name)
        => Key(name) is var key && (key == "model" || ServeOptions.All.Any(o => Key(o.Name) == key))
            ? key
            : throw new UsageException($"The settings file '{path}' has an unknown key '{Section}:{name}'. See serve --help for the names.");

    private static string Text(string path, JsonProperty member) => member.Value.ValueKind switch
    {
        JsonValueKind.String => member.Value.GetString()!,
        JsonValueKind.Number => member.Value.GetRawText(),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        JsonValueKind.Array => string.Join(',', member.Value.EnumerateArray().Select(v => v.ToString())),
        _ => throw new UsageException($"The settings file '{path}': '{Section}:{member.Name}' must be a text, a number, a boolean or a list."),
    };
}
