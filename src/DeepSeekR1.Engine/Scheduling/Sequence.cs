using System.Diagnostics;
using System.Threading.Channels;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>Where a sequence stands.</summary>
public enum SequenceStatus
{
    /// <summary>Queued: new, or preempted.</summary>
    Waiting,

    /// <summary>In the running set: holds blocks.</summary>
    Running,

    /// <summary>Ended; holds nothing.</summary>
    Finished,
}

/// <summary>
/// One token stream: prompt and output ids, how many of them are computed, and the blocks that hold their keys. Engine thread
/// only. The n samples of a request are n sequences.
/// </summary>
public sealed class Sequence
{
    private static long _arrivals;
    private readonly long _arrival = Interlocked.Increment(ref _arrivals);
    private int[] _tokens;
    private readonly List<PromptLogprob> _scores = [];
    private bool _hasBegun, _scoresTaken;
    private Thought _thought = Thought.Over;
    private int _thoughtLength, _thoughtBudget;

    /// <summary>A new sequence with nothing computed.</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="outputs">Receives the events; null drops them.</param>
    public Sequence(GenerationRequest request, ChannelWriter<TokenOutput>? outputs = null)
    {
        Request = request;
        Outputs = outputs;
        PromptLength = request.PromptIds.Count;
        _tokens = new int[PromptLength + Math.Min(request.Sampling.MaxTokens, 256)];
        for (int i = 0; i < PromptLength; i++)
            _tokens[i] = request.PromptIds[i];
        Length = PromptLength;
        Deadline = request.TimeLimit is { } time ? Environment.TickCount64 + (long)time.TotalMilliseconds : long.MaxValue;
        if (request.ThoughtLimit is not { } limit)
            return;
        _thought = limit.StartsInside ? Thought.Inside : Thought.Ahead;
        _thoughtBudget = limit.Budget;
    }

    private enum Thought
    {
        /// <summary>Nothing but white space so far.</summary>
        Ahead,
        Inside,

        /// <summary>Closed, cut, or never begun.</summary>
        Over,
    }

    /// <summary>What to generate.</summary>
    public GenerationRequest Request { get; }

    /// <summary>Receives the events.</summary>
    public ChannelWriter<TokenOutput>? Outputs { get; }

    /// <summary>When what happened, for metrics and traces.</summary>
    internal SequenceTimes Times { get; } = new();

    /// <summary>Queue state.</summary>
    public SequenceStatus Status { get; internal set; } = SequenceStatus.Waiting;

    /// <summary>Tokens of the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>Known tokens: prompt and output.</summary>
    public int Length { get; private set; }

    /// <summary>Generated tokens.</summary>
    public int OutputLength => Length - PromptLength;

    /// <summary>Tokens whose keys are in the cache (or will be after the running step).</summary>
    public int NumComputed { get; internal set; }

    /// <summary>Known tokens that are not computed: the work. One for a sequence that decodes.</summary>
    public int NumPending => Length - NumComputed;

    /// <summary>Whether it has sampled since it last began: what is pending is then a sampled token and what was written after it.</summary>
    internal bool IsStreaming { get; set; }

    /// <summary>Prompt tokens whose keys were found in the cache when it first began; 0 before.</summary>
    public int CachedTokens { get; private set; }

    /// <summary>Its turn in the queue; see <see cref="FairClock"/>.</summary>
    public long Turn { get; internal set; }

    /// <summary>Millisecond of <see cref="Environment.TickCount64"/> at which it ends with what is there.</summary>
    public long Deadline { get; }

    /// <summary>The step that it was last part of.</summary>
    internal long ScheduledStep { get; set; }

    /// <summary>Most urgent first: low priority numbers, then turns, then arrival.</summary>
    public static IComparer<Sequence> Order { get; } = Comparer<Sequence>.Create((a, b) =>
    {
        int byPriority = a.Request.Priority.CompareTo(b.Request.Priority);
        int byTurn = byPriority != 0 ? byPriority : a.Turn.CompareTo(b.Turn);
        return byTurn != 0 ? byTurn : a._arrival.CompareTo(b._arrival);
    });

    /// <summary>Blocks that hold the keys.</summary>
    public BlockTable Table { get; } = new();

    /// <summary>How often it lost its blocks to another.</summary>
    public int Preemptions { get; internal set; }

    /// <summary>Known tokens in a range.</summary>
    public ReadOnlyMemory<int> Tokens(int start, int count) => _tokens.AsMemory(start, count);

    /// <summary>Generated ids so far.</summary>
    public ReadOnlySpan<int> OutputIds => _tokens.AsSpan(PromptLength, OutputLength);

    /// <summary>
    /// Prompt tokens whose probability the next rows give: those after each of the next computed tokens, when the request asks for
    /// prompt log-probabilities and has not got them in an earlier life.
    /// </summary>
    internal ReadOnlyMemory<int> ToScore(int count)
    {
        if (Request.Sampling.PromptLogprobs is null || _scoresTaken || NumComputed != _scores.Count)
            return default;
        return _tokens.AsMemory(NumComputed + 1, Math.Max(0, Math.Min(count, PromptLength - 1 - NumComputed)));
    }

    /// <summary>Books scores of prompt tokens.</summary>
    internal void AddScores(IReadOnlyList<SampledToken> scores)
        => _scores.AddRange(scores.Select(s => new PromptLogprob(s.Logprob, s.Rank, s.Top ?? [])));

    /// <summary>The scores of the whole prompt, once.</summary>
    internal IReadOnlyList<PromptLogprob>? TakeScores()
    {
        if (Request.Sampling.PromptLogprobs is null || _scoresTaken)
            return null;
        _scoresTaken = true;
        return _scores;
    }

    /// <summary>Counts tokens at the front as computed, because their keys lie in the cache. True when it begins for the first time.</summary>
    internal bool BeginFromCache(int tokens)
    {
        NumComputed = tokens;
        if (!_scoresTaken)
            _scores.Clear();
        bool isFirst = !_hasBegun;
        if (isFirst)
            Times.Began = Stopwatch.GetTimestamp();
        if (isFirst)
            CachedTokens = Math.Min(tokens, PromptLength);
        _hasBegun = true;
        return isFirst;
    }

    /// <summary>
    /// Tokens that follow a generated one whatever the model says: the wrap-up of a thought that has reached its limit, once; usually
    /// none.
    /// </summary>
    internal IReadOnlyList<int> ForcedAfter(int token)
    {
        if (_thought == Thought.Over)
            return [];
        var limit = Request.ThoughtLimit!;
        bool opens = token == limit.OpenId;
        if (_thought == Thought.Ahead)
            _thought = opens ? Thought.Inside : limit.MayPrecede(token) ? Thought.Ahead : Thought.Over;
        else if (limit.EndIds.Contains(token))
            _thought = Thought.Over;
        else if (!opens || _thoughtLength > 0)
            _thoughtLength++;
        if (_thought != Thought.Inside || _thoughtLength < _thoughtBudget)
            return [];
        _thought = Thought.Over;
        return limit.WrapUpIds;
    }

    /// <summary>Spends what is left of the thought's budget, so that the wrap-up follows the next token. False when there is no thought to end.</summary>
    internal bool EndThought()
    {
        bool isNone = _thought == Thought.Over || (_thought == Thought.Ahead && Request.ThoughtLimit!.StartsBehind);
        if (isNone || Status == SequenceStatus.Finished)
            return false;
        _thoughtBudget = 0;
        return true;
    }

    /// <summary>Appends a generated token.</summary>
    internal void Append(int token)
    {
        if (Length == _tokens.Length)
            Array.Resize(ref _tokens, 2 * Length);
        _tokens[Length++] = token;
    }
}
