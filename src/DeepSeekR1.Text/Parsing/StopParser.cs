using System.Text;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Text.Parsing;

/// <summary>
/// The stage that looks for stop strings. A token leaves it together with its own whole text, however long the filter held that text back;
/// only a stop string cuts it. Nothing follows a stop string.
/// </summary>
/// <param name="filter">Searches and holds back.</param>
/// <param name="minTokens">So many tokens are not searched.</param>
internal sealed class StopParser(StopStringFilter filter, int minTokens) : IOutputParser
{
    private readonly Queue<(int Id, int Length)> _waiting = new();
    private readonly StringBuilder _released = new();
    private int _tokens;

    /// <summary>The stop string that was found; null while there is none.</summary>
    public string? Found { get; private set; }

    /// <inheritdoc/>
    public void Append(OutputPiece piece, List<OutputPiece> output)
    {
        if (Found is not null)
            return;
        string text = ((AnswerText)piece.Event).Text;
        bool search = true;
        if (piece.Token != OutputPiece.NoToken)
        {
            _waiting.Enqueue((piece.Token, text.Length));
            search = ++_tokens > minTokens;
        }
        var safe = search ? filter.Append(text) : new StopStringResult(text, null);
        _released.Append(safe.Text);
        Found = safe.StopString;
        Release(output, cut: Found is not null);
    }

    /// <inheritdoc/>
    public void Finish(List<OutputPiece> output)
    {
        _released.Append(filter.Flush());
        Release(output, cut: true);
        if (_released.Length > 0)
            output.Add(new OutputPiece(new AnswerText(Take(_released.Length))));
    }

    /// <summary>Hands on the tokens whose text is there; when the text is cut, also those that lost theirs.</summary>
    private void Release(List<OutputPiece> output, bool cut)
    {
        while (_waiting.TryPeek(out var token) && (token.Length <= _released.Length || cut))
        {
            _waiting.Dequeue();
            bool whole = token.Length <= _released.Length;
            output.Add(new OutputPiece(new AnswerText(Take(whole ? token.Length : _released.Length)), token.Id, IsCut: !whole));
        }
    }

    private string Take(int count)
    {
        string text = _released.ToString(0, count);
        _released.Remove(0, count);
        return text;
    }
}
