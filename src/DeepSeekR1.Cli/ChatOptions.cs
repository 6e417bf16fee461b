using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Server;

namespace DeepSeekR1.Cli;

/// <summary>What the user asked of <c>chat</c>.</summary>
internal sealed record ChatOptions
{
    /// <summary>Server to talk to; null loads a model into this process.</summary>
    public Uri? BaseUrl { get; init; }

    /// <summary>Key of that server; null takes the environment's.</summary>
    public string? ApiKey { get; init; }

    /// <summary>Name of the model there; null takes the first one.</summary>
    public string? Model { get; init; }

    /// <summary>How to talk.</summary>
    public ChatSettings Settings { get; init; } = new(null, null, null);

    /// <summary>Show answers only.</summary>
    public bool HideThoughts { get; init; }
}

/// <summary>The options of <c>chat</c>, each declared once, and those of <c>serve</c> that it takes.</summary>
internal static class ChatOptionList
{
    /// <summary>The server to talk to.</summary>
    public static readonly Option<ChatOptions> BaseUrl = Of(
        "base-url", OptionType.Address("URL"), "Talk to this server instead, for example http://127.0.0.1:8000/v1", o => o.BaseUrl, (o, v) => o with { BaseUrl = v });

    /// <summary>All of its own.</summary>
    public static OptionList<ChatOptions> All { get; } = new(
        new ChatOptions(),
        BaseUrl,
        Of("api-key", OptionType.Text("KEY"), "Key of that server [DEEPSEEKR1_API_KEY]", o => o.ApiKey, (o, v) => o with { ApiKey = v }),
        Of("model", OptionType.Text("NAME"), "Name of the model there", o => o.Model, (o, v) => o with { Model = v }, "the first one that it serves"),
        Of("system", OptionType.Text("TEXT"), "First message, of role system", o => o.Settings.System, (o, v) => o with { Settings = o.Settings with { System = v } }),
        Of("temperature", OptionType.Number(0, 2, placeholder: "T", wanted: "a number of from 0 to 2"), "Randomness", o => o.Settings.Temperature, (o, v) => o with { Settings = o.Settings with { Temperature = v } }, "the model's"),
        Of("max-tokens", OptionType.Integer(1) with { Wanted = "a number of at least 1" }, "Most tokens of an answer, thought included", o => o.Settings.MaxTokens, (o, v) => o with { Settings = o.Settings with { MaxTokens = v } }, "what fits"),
        Of("hide-thoughts", OptionType.Switch(), "Show answers only", o => o.HideThoughts, (o, v) => o with { HideThoughts = v }));

    /// <summary>Options of <c>serve</c> that say how a model is loaded; they mean the same here.</summary>
    public static IReadOnlyList<Option<ServerOptions>> Loading { get; } =
    [
        .. ((Option<EngineOptions>[])
        [
            EngineOptionList.DType, EngineOptionList.Device, EngineOptionList.MaxModelLen, EngineOptionList.NumThreads, EngineOptionList.KvCacheMemoryBytes,
            EngineOptionList.Quantization, EngineOptionList.Dequantize, EngineOptionList.TensorParallelSize,
        ]).Select(ServerOptionList.OfEngine),
        ServerOptionList.ChatTemplate,
    ];

    private static Option<ChatOptions, T> Of<T>(
        string name, OptionType<T> type, string help, Func<ChatOptions, object?> get, Func<ChatOptions, T, ChatOptions> set, string? byDefault = null)
        => new(name, type, help, get, set) { DefaultInWords = byDefault };
}
