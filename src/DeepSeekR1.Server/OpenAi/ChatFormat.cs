using System.Text;
using System.Text.Json;
using DeepSeekR1.Text;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>JSON of chat completions. The thought goes into the fields that the server was told to use.</summary>
internal sealed class ChatFormat(string id, long created, AnswerOptions options, ChatEngine engine, ReasoningField field)
    : AnswerFormat(id, created, options, engine)
{
    /// <inheritdoc/>
    protected override JsonEncodedText ChunkObject => Names.ChatChunk;

    /// <inheritdoc/>
    public override bool HasFirstChunk => true;

    /// <inheritdoc/>
    public override void WriteFirst(Utf8JsonWriter json, TextGeneration generation, int choice)
    {
        BeginChunk(json);
        BeginChoice(json, choice);
        json.WriteStartObject(Names.Delta);
        json.WriteString(Names.Role, Names.Assistant);
        json.WriteString(Names.Content, "");
        json.WriteEndObject();
        FinishReason(json, null);
        EndChoice(json);
        if (Options.ReturnTokenIds)
            Integers(json, Names.PromptTokenIds, generation.Prompts[0]);
        EndChunk(json, generation);
    }

    /// <inheritdoc/>
    public override void WriteChunk(Utf8JsonWriter json, TextGeneration generation, AnswerChunk chunk)
    {
        BeginChunk(json);
        BeginChoice(json, chunk.Choice);
        json.WriteStartObject(Names.Delta);
        if (chunk.Event is ThoughtText thought)
            Thought(json, thought.Text);
        if (chunk.Event is AnswerText answer)
            json.WriteString(Names.Content, answer.Text);
        json.WriteEndObject();
        if (Options.Logprobs)
            Logprobs(json, chunk.Tokens);
        FinishReason(json, chunk.Event as AnswerEnded);
        if (Options.ReturnTokenIds)
            Integers(json, Names.TokenIds, chunk.Tokens.Select(t => t.Id));
        EndChoice(json);
        EndChunk(json, generation);
    }

    /// <inheritdoc/>
    public override void WriteWhole(Utf8JsonWriter json, TextGeneration generation, IReadOnlyList<WholeAnswer> answers)
    {
        Begin(json, Names.ChatCompletion);
        json.WriteStartArray(Names.Choices);
        for (int i = 0; i < answers.Count; i++)
            Choice(json, i, answers[i]);
        json.WriteEndArray();
        json.WritePropertyName(Names.Usage);
        Usage(json, generation.Usage);
        PromptScores(json, generation, 0);
        if (Options.ReturnTokenIds)
            Integers(json, Names.PromptTokenIds, generation.Prompts[0]);
        json.WriteEndObject();
    }

    private void Choice(Utf8JsonWriter json, int index, WholeAnswer whole)
    {
        string thought = whole.Parts.Thought, answer = whole.Parts.Answer;
        json.WriteStartObject();
        json.WriteNumber(Names.Index, index);
        json.WriteStartObject(Names.Message);
        json.WriteString(Names.Role, Names.Assistant);
        // A thought that never closed has no answer: content is null, not "".
        if (answer.Length == 0 && thought.Length > 0)
            json.WriteNull(Names.Content);
        else
            json.WriteString(Names.Content, answer);
        if (thought.Length > 0)
            Thought(json, thought);
        json.WriteEndObject();
        if (Options.Logprobs)
            Logprobs(json, whole.Tokens);
        else
            json.WriteNull(Names.Logprobs);
        FinishReason(json, whole.Parts.End);
        if (Options.ReturnTokenIds)
            Integers(json, Names.TokenIds, whole.Tokens.Select(t => t.Id));
        json.WriteEndObject();
    }

    private void Thought(Utf8JsonWriter json, string text)
    {
        if (field != ReasoningField.Reasoning)
            json.WriteString(Names.ReasoningContent, text);
        if (field != ReasoningField.ReasoningContent)
            json.WriteString(Names.Reasoning, text);
    }

    private void Logprobs(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens)
    {
        json.WriteStartObject(Names.Logprobs);
        json.WriteStartArray(Names.Content);
        foreach (var token in tokens)
        {
            json.WriteStartObject();
            Token(json, token.Id, token.Logprob ?? 0);
            json.WriteStartArray(Names.TopLogprobs);
            foreach (var other in token.TopLogprobs ?? [])
            {
                json.WriteStartObject();
                Token(json, other.TokenId, other.Logprob);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void Token(Utf8JsonWriter json, int id, float logprob)
    {
        var bytes = Engine.TokenBytes(id).Span;
        json.WriteString(Names.Token, Encoding.UTF8.GetString(bytes));
        json.WriteNumber(Names.Logprob, Finite(logprob));
        json.WriteStartArray(Names.Bytes);
        foreach (byte b in bytes)
            json.WriteNumberValue(b);
        json.WriteEndArray();
    }

    private static void BeginChoice(Utf8JsonWriter json, int index)
    {
        json.WriteStartArray(Names.Choices);
        json.WriteStartObject();
        json.WriteNumber(Names.Index, index);
    }

    private static void EndChoice(Utf8JsonWriter json)
    {
        json.WriteEndObject();
        json.WriteEndArray();
    }
}
