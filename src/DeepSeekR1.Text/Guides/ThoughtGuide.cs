using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Guides;

/// <summary>How the thought of an answer is ended. A stream has one thought, and it comes first.</summary>
/// <param name="Budget">Most tokens of the thought, its tags not counted; <see cref="int.MaxValue"/> sets no limit.</param>
/// <param name="WrapUpIds">What is written then, the closing token included.</param>
/// <param name="OpenId">Token that opens a thought; null when there is none.</param>
/// <param name="EndIds">Tokens that end it: the closing token, the beginning of a tool call.</param>
/// <param name="StartsInside">Whether the prompt ends inside a thought.</param>
/// <param name="MayPrecede">Whether a generated token can stand before the opening one: it is white space.</param>
/// <param name="StartsBehind">Whether the prompt ends behind a thought, or without one that was turned off: none is to be expected, and none can be ended
/// before the model opens it.</param>
public sealed record ThoughtLimit(
    int Budget, int[] WrapUpIds, int? OpenId, IReadOnlyList<int> EndIds, bool StartsInside, Func<int, bool> MayPrecede, bool StartsBehind = false);

/// <summary>
/// Ends a thought when its budget is spent, or on demand: the wrap-up is forced once, and the model goes on with the answer. The state is
/// kept as the numbers of tokens after which something changed, so it can be taken back as far as wanted.
/// </summary>
/// <param name="limit">How the thought is ended.</param>
public sealed class ThoughtGuide(ThoughtLimit limit) : ITokenGuide
{
    private const int Never = int.MaxValue;
    private int _count, _budget = limit.Budget;

    /// <summary>Tokens after which the thought was open, after which its budget begins to be spent, and after which it was over.</summary>
    private int _openedAfter = limit.StartsInside ? 0 : Never, _spentAfter, _overAfter = Never;

    /// <summary>Tokens after which the wrap-up was due.</summary>
    private int _wrapsAfter = Never;

    /// <inheritdoc/>
    public ReadOnlySpan<int> Forced => _wrapsAfter == Never ? [] : limit.WrapUpIds.AsSpan(Math.Min(_count - _wrapsAfter, limit.WrapUpIds.Length));

    private bool IsOver => _overAfter != Never;

    private bool IsInside => _openedAfter != Never && !IsOver;

    /// <inheritdoc/>
    public bool Mask(Span<uint> bits) => false;

    /// <inheritdoc/>
    public void Accept(int token)
    {
        bool wasInside = IsInside, opens = token == limit.OpenId, isUnspent = _count == _spentAfter;
        _count++;
        if (IsOver)
            return;
        if (wasInside ? limit.EndIds.Contains(token) : !opens && !limit.MayPrecede(token))
            _overAfter = _count;
        else if (!wasInside && opens)
            _openedAfter = _spentAfter = _count;
        else if (opens && isUnspent)
            _spentAfter = _count;
        if (IsInside && _count - _spentAfter >= _budget)
            _overAfter = _wrapsAfter = _count;
    }

    /// <inheritdoc/>
    public void Rollback(int count)
    {
        _count -= count;
        if (_count < _overAfter)
            _overAfter = _wrapsAfter = Never;
        if (_count < _openedAfter)
            _openedAfter = Never;
        _spentAfter = Math.Min(_spentAfter, _count);
    }

    /// <summary>Spends what is left of the budget, so that the wrap-up follows the next token. False when there is no thought to end.</summary>
    public bool End()
    {
        if (IsOver || (!IsInside && limit.StartsBehind))
            return false;
        _budget = 0;
        return true;
    }
}
