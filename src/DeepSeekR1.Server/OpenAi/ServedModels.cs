using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>The names under which the one loaded model is served. Immutable.</summary>
internal sealed class ServedModels
{
    private readonly HashSet<string> _accepted;
    private readonly long _created;
    private readonly string? _description;

    /// <summary>Takes the names of the options, or the checkpoint's file name.</summary>
    public ServedModels(ServerOptions options, TimeProvider clock)
    {
        Root = options.Engine.ModelPath;
        _description = options.ModelDescription;
        _created = clock.GetUtcNow().ToUnixTimeSeconds();
        string file = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(Root)));
        string name = file.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? file[..^5] : file;
        Names = options.ServedModelNames.Count > 0 ? options.ServedModelNames : [name];
        // Without a chosen name the path as the user typed it is a name too: vLLM serves it under that.
        _accepted = options.ServedModelNames.Count > 0 ? [.. Names] : [name, file, Root];
    }

    /// <summary>Names; the first stands in answers.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Path of the checkpoint.</summary>
    public string Root { get; }

    /// <summary>True when a request may use this name.</summary>
    public bool Serves(string name) => _accepted.Contains(name);

    /// <summary>The error for a name that is not served.</summary>
    public OpenAiException NotFound(string name) => new(OpenAiError.Invalid(404, "model_not_found",
        $"The model '{name}' is not served here. Use '{Names[0]}', or see GET /v1/models.", "model"));

    /// <summary>The card of a name; details are known once the model is loaded.</summary>
    public ModelCard Card(string name, ChatEngine? engine)
    {
        var facts = engine?.Facts;
        var meta = facts is null
            ? null
            : new ModelMeta(facts.TrainedContextLength, facts.ParameterCount, facts.WeightBytes, facts.VocabularySize);
        return new ModelCard(name, "model", _created, "deepseek-r1", Root, null, facts?.MaxModelLen, [], meta, _description);
    }
}
