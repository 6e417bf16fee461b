using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Text;
using DeepSeekR1.Text.Templates;
using DeepSeekR1.Text.Tokenization;
using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Training;

/// <summary>
/// Dialogues to token ids exactly as the server will see them: the prompt is rendered by the checkpoint's own chat template, the
/// completion is what the model has to generate after it, up to and with the end token. Immutable, safe for many threads.
/// </summary>
public sealed class SampleEncoder
{
    private readonly ChatTemplate _template;
    private readonly ModelTextAssets _assets;
    private readonly Dialect _dialect;

    /// <summary>Reads tokenizer and template of a checkpoint folder.</summary>
    public SampleEncoder(string folder)
        : this(ModelTextAssetsReader.FromFolder(folder))
    {
    }

    /// <summary>Takes tokenizer and template.</summary>
    /// <exception cref="StartupException">There is no template, or no end token.</exception>
    public SampleEncoder(ModelTextAssets assets)
    {
        _assets = assets;
        Tokenizer = Tokenizer.Create(assets);
        _dialect = Dialect.Of(Tokenizer, assets.ChatTemplate);
        _template = ChatTemplate.Parse(assets.ChatTemplate ?? throw new StartupException("The checkpoint has no chat template, so dialogues cannot be rendered."));
        EndId = assets.EosToken is { } end && Tokenizer.FindToken(end) is { } id
            ? id
            : throw new StartupException("The checkpoint's tokenizer_config.json names no eos_token.");
    }

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Id that ends a completion.</summary>
    public int EndId { get; }

    /// <summary>The prompt of a dialogue, with the assistant's opening.</summary>
    public int[] Prompt(IReadOnlyList<Turn> turns) => Tokenizer.Encode(Render(turns));

    /// <summary>A dialogue with its thought and answer; only these are learned.</summary>
    public TrainingSample Encode(Conversation conversation)
    {
        var prompt = Render(conversation.Turns);
        var ids = new List<int>(Tokenizer.Encode(prompt));
        var learned = new List<bool>(Enumerable.Repeat(false, ids.Count));
        void Add(IEnumerable<int> more, bool counts)
        {
            foreach (int id in more)
            {
                ids.Add(id);
                learned.Add(counts);
            }
        }

        // Some templates open the thought, with others the model does.
        string tail = prompt.Count > 0 ? prompt[^1].Text : "";
        if (!tail.TrimEnd().EndsWith(_dialect.Open.Text, StringComparison.Ordinal))
            Add(Literal(_dialect.Opening), true);
        int done = 0;
        foreach (var (start, length) in conversation.Unlearned)
        {
            Add(Plain(conversation.Thought[done..start]), true);
            Add(Plain(conversation.Thought.Substring(start, length)), false);
            done = start + length;
        }

        Add(Plain(conversation.Thought[done..] + "\n"), true);
        Add(Literal(_dialect.Close.Text), true);
        Add(Plain("\n\n" + conversation.Reply), true);
        Add([EndId], true);
        return new TrainingSample([.. ids], [.. learned]);
    }

    private int[] Plain(string text) => Tokenizer.Encode(text, parseAddedTokens: false);

    private int[] Literal(string text) => Tokenizer.Encode(text);

    private IReadOnlyList<TextSegment> Render(IReadOnlyList<Turn> turns) => _template.Render(new TemplateInput
    {
        Messages = new JsonArray([.. turns.Select(t => new JsonObject { ["role"] = t.Role, ["content"] = t.Content })]),
        AddGenerationPrompt = true,
        BosToken = _assets.BosToken,
        EosToken = _assets.EosToken,
    });
}
