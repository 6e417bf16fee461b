using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text.Parsing;

/// <summary>
/// From the tokens of one answer to its events: detokenizer, stop strings, thought, tools, and what the client wants to see of it (the beginning
/// that it sent, the thought inside the answer). Stages that a request does not need are left out. One instance per answer, one thread.
/// </summary>
internal sealed class OutputChain
{
    private readonly IncrementalDetokenizer _detokenizer;
    private readonly StopParser? _stops;
    private readonly ThoughtParser? _thought;
    private readonly IOutputParser[] _stages;
    private readonly List<OutputEvent> _events = [];
    private List<OutputPiece> _input = [], _output = [];

    /// <summary>The chain that an answer needs.</summary>
    public OutputChain(ChoicePlan plan)
    {
        var settings = plan.Settings;
        _detokenizer = new IncrementalDetokenizer(plan.Tokenizer, settings.SkipSpecialTokens);
        if (settings.Stop.Count > 0)
            _stops = new StopParser(new StopStringFilter(settings.Stop, settings.IncludeStopString), settings.MinTokens);
        if (plan.Dialect is { } dialect)
            _thought = new ThoughtParser(dialect, plan.StartsInThought);
        IOutputParser?[] stages =
        [
            _stops,
            _thought,
            plan.Dialect?.Tools.Reader(),
            plan.Echo is null ? null : new EchoParser(plan.Echo),
            plan is { Dialect: not null, Format: ReasoningFormat.Inline } ? new InlineParser(plan.Dialect) : null,
        ];
        _stages = [.. stages.OfType<IOutputParser>()];
    }

    /// <summary>The stop string that was found; null while there is none. Then no text follows.</summary>
    public string? StopString => _stops?.Found;

    /// <summary>Generated tokens that belong to the thought.</summary>
    public int ThoughtTokens => _thought?.Tokens ?? 0;

    /// <summary>True when <see cref="Take"/> has more than marks.</summary>
    public bool HasOutput { get; private set; }

    /// <summary>Makes what stands before the first token.</summary>
    public void Begin() => Pass(before: static (stage, output) => stage.Begin(output));

    /// <summary>Takes a token.</summary>
    public void Append(int id)
    {
        _input.Add(new OutputPiece(new AnswerText(_detokenizer.Append(id)), id));
        Pass();
    }

    /// <summary>The answer ends: what was held back leaves.</summary>
    public void Finish()
    {
        if (_detokenizer.Flush() is { Length: > 0 } tail)
            _input.Add(new OutputPiece(new AnswerText(tail)));
        Pass(after: static (stage, output) => stage.Finish(output));
    }

    /// <summary>The events since the last call; texts of one kind that follow each other are one.</summary>
    public IReadOnlyList<OutputEvent> Take()
    {
        OutputEvent[] events = [.. _events];
        _events.Clear();
        HasOutput = false;
        return events;
    }

    private void Pass(Action<IOutputParser, List<OutputPiece>>? before = null, Action<IOutputParser, List<OutputPiece>>? after = null)
    {
        foreach (var stage in _stages)
        {
            before?.Invoke(stage, _output);
            foreach (var piece in _input)
                stage.Append(piece, _output);
            after?.Invoke(stage, _output);
            (_input, _output) = (_output, _input);
            _output.Clear();
        }
        foreach (var piece in _input)
            Add(piece.Event);
        _input.Clear();
    }

    private void Add(OutputEvent next)
    {
        if (next is AnswerText { Text.Length: 0 })
            return;
        HasOutput |= !next.IsMark;
        if (_events.Count > 0 && Join(_events[^1], next) is { } joined)
            _events[^1] = joined;
        else
            _events.Add(next);
    }

    private static OutputEvent? Join(OutputEvent last, OutputEvent next) => (last, next) switch
    {
        (AnswerText before, AnswerText more) => new AnswerText(before.Text + more.Text),
        (ThoughtText { Closed: false } before, ThoughtText more) => more with { Text = before.Text + more.Text },
        (ToolArguments before, ToolArguments more) when before.Index == more.Index => more with { Text = before.Text + more.Text },
        _ => null,
    };
}
