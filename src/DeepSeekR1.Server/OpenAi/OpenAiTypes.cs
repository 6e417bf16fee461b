using System.Text.Json.Serialization;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>Body of every error.</summary>
internal sealed record ErrorBody(ErrorDetail Error);

/// <summary>OpenAI's error object; <c>code</c> is a string or null, never a number.</summary>
internal sealed record ErrorDetail(
    string Message,
    string Type,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code);

/// <summary>Answer of GET /v1/models.</summary>
internal sealed record ModelList(string Object, IReadOnlyList<ModelCard> Data);

/// <summary>One served model; <c>root</c>, <c>parent</c>, <c>max_model_len</c> and <c>permission</c> as vLLM has them.</summary>
internal sealed record ModelCard(
    string Id,
    string Object,
    long Created,
    string OwnedBy,
    string Root,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Parent,
    int? MaxModelLen,
    IReadOnlyList<object> Permission,
    ModelMeta? Meta,
    string? Description);

/// <summary>Size of a model, under llama.cpp's names.</summary>
internal sealed record ModelMeta(int NCtxTrain, long NParams, long Size, int NVocab);

/// <summary>Answer of POST /tokenize.</summary>
internal sealed record TokenizeResponse(
    int Count,
    int MaxModelLen,
    IReadOnlyList<int> Tokens,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] IReadOnlyList<string>? TokenStrs);

/// <summary>Answer of POST /detokenize.</summary>
internal sealed record DetokenizeResponse(string Prompt);

/// <summary>Answer of POST /v1/chat/completions/{id}/answer-now: the answers whose thought is wrapped up.</summary>
internal sealed record AnswerNowResponse(string Id, string Object, IReadOnlyList<int> Choices);

/// <summary>Answer of the health routes.</summary>
internal sealed record HealthReport(string Status, string? Phase = null, double? Progress = null);

/// <summary>Source-generated JSON of the small answers.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ErrorBody))]
[JsonSerializable(typeof(ModelList))]
[JsonSerializable(typeof(ModelCard))]
[JsonSerializable(typeof(TokenizeResponse))]
[JsonSerializable(typeof(DetokenizeResponse))]
[JsonSerializable(typeof(AnswerNowResponse))]
[JsonSerializable(typeof(HealthReport))]
internal sealed partial class WireJsonBase : JsonSerializerContext;

/// <summary>The context in use: text outside ASCII goes out as it is.</summary>
internal static class WireJson
{
    /// <summary>Shared instance.</summary>
    public static WireJsonBase Default { get; } = new(new System.Text.Json.JsonSerializerOptions(WireJsonBase.Default.Options)
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
