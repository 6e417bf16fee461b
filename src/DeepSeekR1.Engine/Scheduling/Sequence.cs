using System.Diagnostics;
using System.Threading.Channels;
using DeepSeekR1.Compute.Kernels.Sampling;

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
    private int[] _tokens;
    private readonly List<PromptLogprob> _scores = [];
    private bool _hasBegun, _scoresTaken;

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
        Settings = request.Sampling.ToSettings();
        Tally = Settings.HasPenalties ? new TokenTally(request.PromptIds) : null;
    }

    /// <summary>Its number among all of this process, in order of arrival.</summary>
    public long Id { get; } = Interlocked.Increment(ref _arrivals);

    /// <summary>What to generate.</summary>
    public GenerationRequest Request { get; }

    /// <summary>Receives the events.</summary>
    public ChannelWriter<TokenOutput>? Outputs { get; }

    /// <summary>How its tokens are chosen.</summary>
    public SamplingSettings Settings { get; }

    /// <summary>What penalties need to know; null without any.</summary>
    internal TokenTally? Tally { get; }

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
        return byTurn != 0 ? byTurn : a.Id.CompareTo(b.Id);
    });

    /// <summary>Blocks that hold the keys.</summary>
    public BlockTable Table { get; } = new();

    /// <summary>How often it lost its blocks to another.</summary>
    public int Preemptions { get; internal set; }

    /// <summary>Known tokens in a range.</summary>
    public ReadOnlySpan<int> Tokens(int start, int count) => _tokens.AsSpan(start, count);

    /// <summary>
    /// Known tokens at the front whose keys are in the cache, or will be after the running step: prompt and accepted tokens, what others may
    /// share. Drafts are never among them.
    /// </summary>
    public ReadOnlySpan<int> Verified => _tokens.AsSpan(0, NumComputed);

    /// <summary>Generated ids so far.</summary>
    public ReadOnlySpan<int> OutputIds => _tokens.AsSpan(PromptLength, OutputLength);

    /// <summary>
    /// Prompt tokens whose probability the next rows give: those after each of the next computed tokens, when the request asks for
    /// prompt log-probabilities and has not got them in an earlier life.
    /// </summary>
    internal int[] ToScore(int count)
    {
        if (Request.Sampling.PromptLogprobs is null || _scoresTaken || NumComputed != _scores.Count)
            return [];
        return Tokens(NumComputed + 1, Math.Max(0, Math.Min(count, PromptLength - 1 - NumComputed))).ToArray();
    }

    /// <summary>Books scores of prompt tokens.</summary>
    internal void AddScores(IReadOnlyList<SampledToken> scores)
        => _scores.AddRange(scores.Select(s => new PromptLogprob(s.Logprob, s.Rank, TokenLogprob.ListOf(s) ?? [])));

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

    /// <summary>The token that follows the known ones whatever the model says; usually null.</summary>
    internal int? NextForced => Request.Guide is { Forced: [int token, ..] } ? token : null;

    /// <summary>Appends a generated token. What its guide throws is thrown on; the token stands all the same.</summary>
    internal void Append(int token)
    {
        if (Length == _tokens.Length)
            Array.Resize(ref _tokens, 2 * Length);
        _tokens[Length++] = token;
        Assume(token);
    }

    /// <summary>Counts a token, and tells the guide, without appending it.</summary>
    internal void Assume(int token)
    {
        Tally?.Add(token);
        Request.Guide?.Accept(token);
    }

    /// <summary>Takes back what was assumed last.</summary>
    internal void Withdraw(int token)
    {
        Tally?.RemoveLast(token);
        Request.Guide?.Rollback(1);
    }
}
