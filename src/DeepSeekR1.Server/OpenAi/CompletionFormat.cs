using System.Text;
using System.Text.Json;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>JSON of plain completions.</summary>
internal sealed class CompletionFormat(string id, long created, AnswerOptions options, ChatEngine engine)
    : AnswerFormat(id, created, options, engine)
{
    private readonly Dictionary<int, int> _offsets = [];
    private readonly HashSet<int> _begun = [];

    /// <inheritdoc/>
    protected override JsonEncodedText ChunkObject => Names.TextCompletion;

    /// <inheritdoc/>
    public override void WriteChunk(Utf8JsonWriter json, TextGeneration generation, TextDelta delta)
    {
        BeginChunk(json);
        json.WriteStartArray(Names.Choices);
        var part = new AnswerParts { End = delta.End };
        part.Content.Append(delta.Content);
        part.Tokens.AddRange(delta.Tokens);
        Choice(json, delta.Choice, part, generation, withPrompt: _begun.Add(delta.Choice));
        json.WriteEndArray();
        EndChunk(json, generation);
    }

    /// <inheritdoc/>
    public override void WriteWhole(Utf8JsonWriter json, TextGeneration generation, IReadOnlyList<AnswerParts> parts)
    {
        BeginChunk(json);
        json.WriteStartArray(Names.Choices);
        for (int i = 0; i < parts.Count; i++)
            Choice(json, i, parts[i], generation, withPrompt: true);
        json.WriteEndArray();
        json.WritePropertyName(Names.Usage);
        Usage(json, generation.Usage);
        json.WriteEndObject();
    }

    private void Choice(Utf8JsonWriter json, int index, AnswerParts part, TextGeneration generation, bool withPrompt)
    {
        json.WriteStartObject();
        json.WriteNumber(Names.Index, index);
        json.WriteString(Names.Text, part.Content.ToString());
        if (Options.Logprobs)
            Logprobs(json, index, part.Tokens);
        else
            json.WriteNull(Names.Logprobs);
        FinishReason(json, part.End);
        if (Options.ReturnTokenIds)
        {
            Integers(json, Names.TokenIds, part.Tokens.Select(t => t.Id));
            int perPrompt = generation.ChoiceCount / generation.Prompts.Count;
            if (withPrompt)
                Integers(json, Names.PromptTokenIds, generation.Prompts[index / perPrompt]);
        }
        json.WriteEndObject();
    }

    private void Logprobs(Utf8JsonWriter json, int choice, List<GeneratedToken> tokens)
    {
        string[] texts = [.. tokens.Select(t => TokenText(t.Id))];
        json.WriteStartObject(Names.Logprobs);
        json.WriteStartArray(Names.Tokens);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
        json.WriteStartArray(Names.TokenLogprobs);
        foreach (var token in tokens)
            json.WriteNumberValue(Finite(token.Logprob ?? 0));
        json.WriteEndArray();
        json.WriteStartArray(Names.TopLogprobs);
        foreach (var token in tokens)
            Alternatives(json, token);
        json.WriteEndArray();
        Integers(json, Names.TextOffset, Offsets(choice, texts));
        json.WriteEndObject();
    }

    /// <summary>Alternatives by text; of two tokens with one text (parts of characters) the better one counts.</summary>
    private void Alternatives(Utf8JsonWriter json, GeneratedToken token)
    {
        var seen = new HashSet<string>();
        json.WriteStartObject();
        foreach (var other in token.TopLogprobs ?? [])
            if (TokenText(other.TokenId) is { } text && seen.Add(text))
                json.WriteNumber(text, Finite(other.Logprob));
        json.WriteEndObject();
    }

    private List<int> Offsets(int choice, string[] texts)
    {
        int offset = _offsets.GetValueOrDefault(choice);
        var offsets = new List<int>(texts.Length);
        foreach (string text in texts)
        {
            offsets.Add(offset);
            offset += text.Length;
        }
        _offsets[choice] = offset;
        return offsets;
    }

    private string TokenText(int id) => Encoding.UTF8.GetString(Engine.TokenBytes(id).Span);

    private static float Finite(float logprob) => Math.Max(logprob, -9999f);
}
