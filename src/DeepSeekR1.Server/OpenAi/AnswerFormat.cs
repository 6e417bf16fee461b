using System.Globalization;
using System.Text;
using System.Text.Json;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>One whole answer.</summary>
/// <param name="prompt">Index of its prompt.</param>
internal sealed class WholeAnswer(int prompt)
{
    /// <summary>Index of its prompt.</summary>
    public int Prompt => prompt;

    /// <summary>Its thought, text and end.</summary>
    public OutputParts Parts { get; } = new();

    /// <summary>Generated tokens.</summary>
    public List<GeneratedToken> Tokens { get; } = [];

    /// <summary>Mean log-probability of its tokens, by which the best answers are chosen.</summary>
    public double Score => Tokens.Count == 0 ? double.NegativeInfinity : Tokens.Average(t => (double)(t.Logprob ?? 0));

    /// <summary>Takes what a step added.</summary>
    public void Append(OutputStep step)
    {
        foreach (var next in step.Events)
            Parts.Append(next);
        Tokens.AddRange(step.Tokens);
    }
}

/// <summary>What a chunk says of an answer.</summary>
/// <param name="Choice">Index of the answer.</param>
/// <param name="Event">Thought, text, or the end.</param>
/// <param name="Tokens">The tokens that came with it.</param>
internal readonly record struct AnswerChunk(int Choice, OutputEvent Event, IReadOnlyList<GeneratedToken> Tokens);

/// <summary>
/// The JSON of one request's answer, whole or in chunks. Writes straight to UTF-8; property names and constant values are
/// encoded once. One instance per request, one thread.
/// </summary>
internal abstract class AnswerFormat(string id, long created, AnswerOptions options, ChatEngine engine)
{
    /// <summary>How the answer is wanted.</summary>
    protected AnswerOptions Options => options;

    /// <summary>Bytes of tokens, and the longest sequence.</summary>
    internal ChatEngine Engine => engine;

    /// <summary>The whole answer.</summary>
    public abstract void WriteWhole(Utf8JsonWriter json, TextGeneration generation, IReadOnlyList<WholeAnswer> answers);

    /// <summary>True when an answer opens with a chunk of its own.</summary>
    public virtual bool HasFirstChunk => false;

    /// <summary>First chunk of an answer.</summary>
    public virtual void WriteFirst(Utf8JsonWriter json, TextGeneration generation, int choice) { }

    /// <summary>A later chunk: thought, or text, or the end.</summary>
    public abstract void WriteChunk(Utf8JsonWriter json, TextGeneration generation, AnswerChunk chunk);

    /// <summary>The chunk that carries only usage.</summary>
    public void WriteUsageChunk(Utf8JsonWriter json, TextGeneration generation)
    {
        BeginChunk(json);
        json.WriteStartArray(Names.Choices);
        json.WriteEndArray();
        json.WritePropertyName(Names.Usage);
        Usage(json, generation.Usage);
        json.WriteEndObject();
    }

    /// <summary>Name of the object in a chunk.</summary>
    protected abstract JsonEncodedText ChunkObject { get; }

    /// <summary>Opens a chunk: id, object, created, model.</summary>
    protected void BeginChunk(Utf8JsonWriter json) => Begin(json, ChunkObject);

    /// <summary>Opens an answer: id, object, created, model.</summary>
    protected void Begin(Utf8JsonWriter json, JsonEncodedText objectName)
    {
        json.WriteStartObject();
        json.WriteString(Names.Id, id);
        json.WriteString(Names.Object, objectName);
        json.WriteNumber(Names.Created, created);
        json.WriteString(Names.Model, options.Model);
    }

    /// <summary>Closes a chunk: usage when it is asked for.</summary>
    protected void EndChunk(Utf8JsonWriter json, TextGeneration generation)
    {
        if (options.ContinuousUsage)
        {
            json.WritePropertyName(Names.Usage);
            Usage(json, generation.Usage);
        }
        else if (options.IncludeUsage)
        {
            json.WriteNull(Names.Usage);
        }
        json.WriteEndObject();
    }

    /// <summary>finish_reason: null while the answer runs.</summary>
    protected static void FinishReason(Utf8JsonWriter json, AnswerEnded? end)
    {
        if (end is not null)
            json.WriteString(Names.FinishReason, end.Reason == EndReason.Stop ? Names.Stop : Names.Length);
        else
            json.WriteNull(Names.FinishReason);
    }

    /// <summary>
    /// Log-probabilities of the prompt as vLLM writes them: null for the first token, then an object per token with the token itself and the
    /// best alternatives by id.
    /// </summary>
    protected void PromptScores(Utf8JsonWriter json, TextGeneration generation, int prompt)
    {
        if (!options.PromptLogprobs)
            return;
        var ids = generation.Prompts[prompt];
        var scores = generation.PromptLogprobs(prompt) ?? [];
        json.WriteStartArray(Names.PromptLogprobs);
        json.WriteNullValue();
        for (int i = 0; i < scores.Count; i++)
        {
            json.WriteStartObject();
            PromptScore(json, ids[i + 1], scores[i].Logprob, scores[i].Rank);
            for (int k = 0; k < scores[i].Top.Count; k++)
                if (scores[i].Top[k] is var other && other.TokenId != ids[i + 1])
                    PromptScore(json, other.TokenId, other.Logprob, k + 1);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void PromptScore(Utf8JsonWriter json, int id, float logprob, int rank)
    {
        json.WriteStartObject(id.ToString(CultureInfo.InvariantCulture));
        json.WriteNumber(Names.Logprob, Finite(logprob));
        json.WriteNumber(Names.Rank, rank);
        json.WriteString(Names.DecodedToken, TokenText(id));
        json.WriteEndObject();
    }

    /// <summary>Text of one token.</summary>
    protected string TokenText(int id) => Encoding.UTF8.GetString(engine.TokenBytes(id).Span);

    /// <summary>JSON has no minus infinity; vLLM writes -9999 as well.</summary>
    protected static float Finite(float logprob) => Math.Max(logprob, -9999f);

    /// <summary>A list of integers.</summary>
    protected static void Integers(Utf8JsonWriter json, JsonEncodedText name, IEnumerable<int> values)
    {
        json.WriteStartArray(name);
        foreach (int value in values)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    /// <summary>Usage with OpenAI's and DeepSeek's names.</summary>
    protected static void Usage(Utf8JsonWriter json, TokenUsage usage)
    {
        json.WriteStartObject();
        json.WriteNumber(Names.PromptTokens, usage.PromptTokens);
        json.WriteNumber(Names.CompletionTokens, usage.CompletionTokens);
        json.WriteNumber(Names.TotalTokens, usage.PromptTokens + usage.CompletionTokens);
        json.WriteStartObject(Names.PromptTokensDetails);
        json.WriteNumber(Names.CachedTokens, usage.CachedTokens);
        json.WriteEndObject();
        json.WriteStartObject(Names.CompletionTokensDetails);
        json.WriteNumber(Names.ReasoningTokens, usage.ReasoningTokens);
        json.WriteEndObject();
        json.WriteNumber(Names.CacheHit, usage.CachedTokens);
        json.WriteNumber(Names.CacheMiss, usage.PromptTokens - usage.CachedTokens);
        json.WriteEndObject();
    }
}
