using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Server;
using Microsoft.Extensions.Configuration;

namespace DeepSeekR1.Cli;

/// <summary>
/// Brings the values of <c>serve</c> together: settings file, then environment, then command line; the later one wins. File and
/// environment are read by Microsoft.Extensions.Configuration; a key of the file that no option has is refused.
/// </summary>
internal static class ServeSettings
{
    /// <summary>Section of the settings file.</summary>
    public const string Section = "DeepSeekR1";

    /// <summary>What the environment variables of options begin with.</summary>
    private const string Prefix = "DEEPSEEKR1_";

    /// <summary>The process's environment and the settings file of the working folder.</summary>
    public static ServerOptions Resolve(string? model, IReadOnlyDictionary<string, string> flags)
        => Resolve(model, flags, new ConfigurationBuilder().AddEnvironmentVariables(Prefix).Build(), Path.Combine(Environment.CurrentDirectory, "appsettings.json"));

    /// <summary>Options of a server.</summary>
    /// <param name="model">Checkpoint; null takes DEEPSEEKR1_MODEL or the settings file, else the bundled model.</param>
    /// <param name="flags">Values of the command line by option name.</param>
    /// <param name="environment">Environment variables, without their prefix.</param>
    /// <param name="settingsFile">Path of appsettings.json, whether it exists or not.</param>
    /// <param name="bundled">Finds the bundled model; null looks beside the program and in the working folder.</param>
    /// <exception cref="UsageException">A value, a key or the file is wrong.</exception>
    public static ServerOptions Resolve(
        string? model, IReadOnlyDictionary<string, string> flags, IConfiguration environment, string settingsFile, Func<string?>? bundled = null)
    {
        var settings = ReadFile(settingsFile);
        model ??= NotEmpty(environment["MODEL"]) ?? settings.GetValueOrDefault("model");
        bool isBundled = model is null;
        model ??= (bundled ?? BundledModel.Locate)()
            ?? throw new UsageException($"serve needs a MODEL: a checkpoint folder or a .gguf file. The bundled model, models/{BundledModel.Name}, is neither beside the program nor here.");
        var options = new ServerOptions { Engine = new EngineOptions { ModelPath = model }, ModelDescription = isBundled ? BundledModel.Description : null };
        try
        {
            foreach (var option in ServerOptionList.All)
                if ((flags.GetValueOrDefault(option.Name) ?? NotEmpty(environment[Variable(option.Name)]) ?? settings.GetValueOrDefault(Key(option.Name))) is { } value)
                    options = option.Read(options, value);
            ServerOptionList.All.CheckRules(options);
            return options;
        }
        catch (OptionException e)
        {
            throw new UsageException(Flags.Spell(e.Message));
        }
    }

    /// <summary>Name of an option's environment variable.</summary>
    public static string VariableOf(string name) => Prefix + Variable(name);

    private static string Variable(string name) => name.Replace('-', '_').ToUpperInvariant();

    private static string? NotEmpty(string? value) => string.IsNullOrEmpty(value) ? null : value;

    /// <summary>max-model-len, max_model_len and MaxModelLen are one key.</summary>
    private static string Key(string name) => name.Replace("-", "").Replace("_", "").ToLowerInvariant();

    private static Dictionary<string, string> ReadFile(string path)
    {
        var values = new Dictionary<string, string>();
        try
        {
            var file = new ConfigurationBuilder().SetBasePath(Path.GetDirectoryName(Path.GetFullPath(path))!).AddJsonFile(Path.GetFileName(path), optional: true).Build();
            using (file as IDisposable)
                foreach (var member in file.GetSection(Section).GetChildren())
                    if (!values.TryAdd(KnownKey(path, member.Key), Text(path, member)))
                        throw new UsageException($"The settings file '{path}' names one option twice, the second time as '{Section}:{member.Key}'. Leave one out.");
            return values;
        }
        catch (Exception e) when (e is InvalidDataException or FormatException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"The settings file '{path}' cannot be read: {e.GetBaseException().Message}");
        }
    }

    private static string KnownKey(string path, string name)
        => Key(name) is var key && (key == "model" || ServerOptionList.All.Any(o => Key(o.Name) == key))
            ? key
            : throw new UsageException($"The settings file '{path}' has an unknown key '{Section}:{name}'. See serve --help for the names.");

    /// <summary>A value, or the values of a list between commas.</summary>
    private static string Text(string path, IConfigurationSection member)
    {
        var items = member.GetChildren().ToList();
        bool isList = items.Count > 0 && items.TrueForAll(item => item.Value is not null && int.TryParse(item.Key, out _));
        return (isList ? string.Join(',', items.Select(item => item.Value)) : items.Count == 0 ? member.Value : null)
            ?? throw new UsageException($"The settings file '{path}': '{Section}:{member.Key}' must be a text, a number, a boolean or a list.");
    }
}
