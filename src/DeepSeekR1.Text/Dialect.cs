using DeepSeekR1.Text.Parsing.Tools;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text;

/// <summary>A mark of a dialect.</summary>
/// <param name="Text">How it is spelled; empty where the dialect has none.</param>
/// <param name="Id">Its token; null when the vocabulary has none, so that it can only be found in text.</param>
public sealed record DialectTag(string Text, int? Id = null)
{
    /// <summary>The tag as it is spelled.</summary>
    public override string ToString() => Text;

    /// <summary>The same tag with its token of this vocabulary.</summary>
    internal DialectTag In(Tokenizer tokenizer) => new(Text, tokenizer.FindToken(Text));
}

/// <summary>
/// How a model marks what it writes: the tags of a thought, the form of tool calls, the sentence that ends a thought early, and what the words
/// for effort mean. Found once, when the model is loaded; text without a model (data sets, answers from elsewhere) is read as <see cref="R1"/>.
/// Nothing else in the product spells a tag. Immutable and safe for many threads.
/// </summary>
public sealed record Dialect
{
    /// <summary>The opening tag of R1 and its relatives, for constant patterns.</summary>
    public const string ThinkOpen = "<think>";

    /// <summary>The closing tag of R1 and its relatives, for constant patterns.</summary>
    public const string ThinkClose = "</think>";

    /// <summary>The forms of tool calls that can be read; the first one holds where neither vocabulary nor template names another.</summary>
    private static readonly ToolFormat[] ToolFormats = [new DeepSeekToolFormat()];

    private Dialect()
    {
        Tools = ToolFormats[0];
        ToolCalls = new DialectTag(Tools.CallsBegin);
    }

    /// <summary>The dialect of text without a model: tags are found by their spelling.</summary>
    public static Dialect R1 { get; } = new();

    /// <summary>Opens a thought.</summary>
    public DialectTag Open { get; internal init; } = new(ThinkOpen);

    /// <summary>Closes a thought.</summary>
    public DialectTag Close { get; internal init; } = new(ThinkClose);

    /// <summary>Begins tool calls; ends a thought that was never closed.</summary>
    public DialectTag ToolCalls { get; internal init; }

    /// <summary>How tool calls are written.</summary>
    internal ToolFormat Tools { get; init; }

    /// <summary>The engine's own words at the end of a thought that was cut.</summary>
    public string WrapUp { get; } = "\n\nTime is limited, so the answer follows from what is known now.\n";

    /// <summary>Most tokens of a thought by the word for the effort; null sets no limit.</summary>
    public IReadOnlyDictionary<string, int?> Efforts { get; } = new Dictionary<string, int?>(StringComparer.Ordinal)
    {
        ["none"] = 0,
        ["minimal"] = 256,
        ["low"] = 1024,
        ["medium"] = null,
        ["high"] = null,
        ["xhigh"] = null,
        ["max"] = null,
    };

    /// <summary>What opens a thought at the beginning of an answer.</summary>
    public string Opening => Open.Text + "\n";

    /// <summary>What closes a thought that has not begun.</summary>
    public string EmptyThoughtEnd => "\n" + Close.Text + "\n\n";

    /// <summary>The dialect of a model.</summary>
    /// <param name="tokenizer">Its tokenizer: has the tags as tokens, or not.</param>
    /// <param name="template">Its chat template; null when it has none.</param>
    public static Dialect Of(Tokenizer tokenizer, string? template)
    {
        var tools = ToolFormats.FirstOrDefault(format => tokenizer.FindToken(format.CallsBegin) is not null)
            ?? ToolFormats.FirstOrDefault(format => template?.Contains(format.CallsBegin, StringComparison.Ordinal) == true)
            ?? ToolFormats[0];
        return new Dialect
        {
            Open = R1.Open.In(tokenizer),
            Close = R1.Close.In(tokenizer),
            Tools = tools,
            ToolCalls = new DialectTag(tools.CallsBegin).In(tokenizer),
        };
    }

    /// <summary>Whether a prompt ends inside a thought: its last tag in template text is an opening one.</summary>
    public bool EndsInThought(IReadOnlyList<TextSegment> prompt)
    {
        for (int index = prompt.Count - 1; index >= 0; index--)
        {
            if (prompt[index].FromMessage)
                continue;
            int open = prompt[index].Text.LastIndexOf(Open.Text, StringComparison.Ordinal);
            int close = prompt[index].Text.LastIndexOf(Close.Text, StringComparison.Ordinal);
            if (open != close)
                return open > close;
        }
        return false;
    }

    /// <summary>Splits an assistant's text at its first think tags.</summary>
    /// <returns>Thought (null when there is none), whether it is closed, and the text outside the tags.</returns>
    public (string? Reasoning, bool Closed, string Content) SplitThought(string text)
    {
        int close = text.IndexOf(Close.Text, StringComparison.Ordinal);
        int open = text.IndexOf(Open.Text, StringComparison.Ordinal);
        if (open >= 0 && close >= 0 && open > close)
            open = -1;
        if (open >= 0 && close < 0 && text.AsSpan(0, open).IsWhiteSpace())
            return (text[(open + Open.Text.Length)..], false, "");
        if (close < 0)
            return (null, false, text);
        string before = open > 0 ? text[..open] : "";
        int start = open >= 0 ? open + Open.Text.Length : 0;
        return (text[start..close], true, before + text[(close + Close.Text.Length)..]);
    }
}
