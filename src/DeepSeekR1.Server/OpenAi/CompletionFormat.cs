using System.Text.Json;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Server.OpenAi;

/// <summary>JSON of plain completions.</summary>
internal sealed class CompletionFormat(string id, long created, AnswerOptions options, ChatEngine engine)
    : AnswerFormat(id, created, options, engine)
{
    private readonly Dictionary<int, TextPosition> _positions = [];
    private readonly HashSet<int> _begun = [];

    /// <inheritdoc/>
    protected override JsonEncodedText ChunkObject => Names.TextCompletion;

    /// <inheritdoc/>
    public override void WriteChunk(Utf8JsonWriter json, TextGeneration generation, AnswerChunk chunk)
    {
        BeginChunk(json);
        json.WriteStartArray(Names.Choices);
        int prompt = chunk.Choice / (generation.ChoiceCount / generation.Prompts.Count);
        string text = chunk.Event is AnswerText answer ? answer.Text : "";
        Choice(json, generation, new Piece(chunk.Choice, prompt, text, chunk.Tokens, chunk.Event as AnswerEnded), withPrompt: _begun.Add(chunk.Choice));
        json.WriteEndArray();
        EndChunk(json, generation);
    }

    /// <inheritdoc/>
    public override void WriteWhole(Utf8JsonWriter json, TextGeneration generation, IReadOnlyList<WholeAnswer> answers)
    {
        BeginChunk(json);
        json.WriteStartArray(Names.Choices);
        for (int i = 0; i < answers.Count; i++)
            Choice(json, generation, new Piece(i, answers[i].Prompt, answers[i].Parts.Answer, answers[i].Tokens, answers[i].Parts.End), withPrompt: true);
        json.WriteEndArray();
        json.WritePropertyName(Names.Usage);
        Usage(json, generation.Usage);
        json.WriteEndObject();
    }

    private void Choice(Utf8JsonWriter json, TextGeneration generation, Piece piece, bool withPrompt)
    {
        string? echo = withPrompt ? Echo(piece.Prompt) : null;
        json.WriteStartObject();
        json.WriteNumber(Names.Index, piece.Index);
        json.WriteString(Names.Text, echo + piece.Text);
        if (Options.Logprobs)
        {
            if (!_positions.TryGetValue(piece.Index, out var position))
                _positions[piece.Index] = position = new TextPosition(Engine.Detokenizer(Options.SkipSpecialTokens));
            Logprobs(json, [.. echo is null ? [] : Prompt(generation, piece.Prompt), .. piece.Tokens], echo is not null,
                [.. echo is null ? [] : PromptOffsets(generation.Prompts[piece.Prompt], echo, position), .. piece.Tokens.Select(t => position.Next(t.Id))]);
        }
        else
            json.WriteNull(Names.Logprobs);
        FinishReason(json, piece.End);
        if (withPrompt)
            PromptScores(json, generation, piece.Prompt);
        if (Options.ReturnTokenIds)
        {
            Integers(json, Names.TokenIds, piece.Tokens.Select(t => t.Id));
            if (withPrompt)
                Integers(json, Names.PromptTokenIds, generation.Prompts[piece.Prompt]);
        }
        json.WriteEndObject();
    }

    /// <summary>The text of a prompt that the answer begins with; null when it does not.</summary>
    private string? Echo(int prompt)
        => Options.Echo is not { } prompts ? null : prompts[prompt].Text ?? Engine.Detokenize(prompts[prompt].Ids!);

    /// <summary>The prompt's tokens with their scores, as if they had been generated.</summary>
    private static IEnumerable<GeneratedToken> Prompt(TextGeneration generation, int prompt)
    {
        var ids = generation.Prompts[prompt];
        var scores = generation.PromptLogprobs(prompt);
        return ids.Select((id, i) => new GeneratedToken(id, i == 0 ? null : scores?[i - 1].Logprob, i == 0 ? null : scores?[i - 1].Top));
    }

    /// <summary>Where the prompt's tokens begin in its text; the answer begins behind it.</summary>
    private List<int> PromptOffsets(IReadOnlyList<int> ids, string text, TextPosition answer)
    {
        // A token before the text that is not part of it (BOS) takes no room in it.
        string first = TokenText(ids[0]);
        bool isHidden = !first.Contains('\uFFFD') && !text.StartsWith(first, StringComparison.Ordinal);
        var prompt = new TextPosition(Engine.Detokenizer(skipSpecialTokens: false));
        answer.Offset = TextPosition.Length(text);
        return [.. ids.Select((id, i) => i == 0 && isHidden ? 0 : prompt.Next(id))];
    }

    private void Logprobs(Utf8JsonWriter json, List<GeneratedToken> tokens, bool withPrompt, List<int> offsets)
    {
        json.WriteStartObject(Names.Logprobs);
        json.WriteStartArray(Names.Tokens);
        foreach (var token in tokens)
            json.WriteStringValue(TokenText(token.Id));
        json.WriteEndArray();
        json.WriteStartArray(Names.TokenLogprobs);
        for (int i = 0; i < tokens.Count; i++)
            if (withPrompt && i == 0)
                json.WriteNullValue();
            else
                json.WriteNumberValue(Finite(tokens[i].Logprob ?? 0));
        json.WriteEndArray();
        json.WriteStartArray(Names.TopLogprobs);
        for (int i = 0; i < tokens.Count; i++)
            if (withPrompt && i == 0)
                json.WriteNullValue();
            else
                Alternatives(json, tokens[i]);
        json.WriteEndArray();
        Integers(json, Names.TextOffset, offsets);
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

    /// <summary>
    /// Where the next token begins in a text, in Unicode code points as Python counts them. A token inside a character begins where the
    /// character does.
    /// </summary>
    private sealed class TextPosition(IncrementalDetokenizer detokenizer)
    {
        /// <summary>Code points before the next token.</summary>
        public int Offset { get; set; }

        /// <summary>Where a token begins; the next one begins behind it.</summary>
        public int Next(int id)
        {
            int begin = Offset;
            Offset += Length(detokenizer.Append(id));
            return begin;
        }

        /// <summary>Code points of a text.</summary>
        public static int Length(string text) => text.Count(c => !char.IsLowSurrogate(c));
    }

    /// <summary>An answer, or what a chunk has of it.</summary>
    private readonly record struct Piece(int Index, int Prompt, string Text, IReadOnlyList<GeneratedToken> Tokens, AnswerEnded? End);
}
