using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>The tokens of a template with a position.</summary>
internal sealed class TokenStream(List<Token> tokens)
{
    private int _position;

    /// <summary>The token at the position.</summary>
    public Token Current => tokens[_position];

    /// <summary>The token behind it.</summary>
    public Token Following => tokens[Math.Min(_position + 1, tokens.Count - 1)];

    /// <summary>Goes one on and gives the token left behind; stays at the end.</summary>
    public Token Advance() => tokens[Current.Kind == TokenKind.End ? _position : _position++];

    /// <summary>Passes an operator if it is next.</summary>
    public bool SkipOperator(string symbol) => Skip(Current.IsOperator(symbol));

    /// <summary>Passes a name if it is next.</summary>
    public bool SkipName(string name) => Skip(Current.IsName(name));

    /// <summary>Passes an operator or fails.</summary>
    public void ExpectOperator(string symbol)
    {
        if (!SkipOperator(symbol))
            throw Unexpected(symbol);
    }

    /// <summary>Passes a given name or fails.</summary>
    public void ExpectName(string name)
    {
        if (!SkipName(name))
            throw Unexpected(name);
    }

    /// <summary>Passes any name or fails; gives it.</summary>
    public string ExpectName() => Current.Kind == TokenKind.Name ? Advance().Text : throw Unexpected("name");

    /// <summary>Passes the end of a tag or fails.</summary>
    public void Expect(TokenKind kind)
    {
        if (!Skip(Current.Kind == kind))
            throw Unexpected(new Token(kind, "").Describe());
    }

    /// <summary>Reads items with commas between them up to a closing bracket, and passes it; a comma may stand before it.</summary>
    public void ReadItems(string close, Action read)
    {
        for (var isFirst = true; !Current.IsOperator(close); isFirst = false)
        {
            if (!isFirst)
                ExpectOperator(",");
            if (Current.IsOperator(close))
                break;
            read();
        }
        ExpectOperator(close);
    }

    private TemplateException Unexpected(string wanted) => Errors.Syntax(Current.Kind == TokenKind.End
        ? $"unexpected end of template, expected '{wanted}'."
        : $"expected token '{wanted}', got '{Current.Describe()}'");

    private bool Skip(bool matches)
    {
        if (matches)
            Advance();
        return matches;
    }
}
