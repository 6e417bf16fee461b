namespace DeepSeekR1.Text.Templates;

/// <summary>The tokens of a template with a position.</summary>
internal sealed class JinjaTokens(List<JinjaToken> tokens)
{
    private int _position;

    /// <summary>The token at the position.</summary>
    public JinjaToken Current => tokens[_position];

    /// <summary>The token behind it.</summary>
    public JinjaToken Following => tokens[Math.Min(_position + 1, tokens.Count - 1)];

    /// <summary>Goes one on and gives the token left behind; stays at the end.</summary>
    public JinjaToken Advance() => tokens[Current.Kind == JinjaTokenKind.End ? _position : _position++];

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
    public string ExpectName() => Current.Kind == JinjaTokenKind.Name ? Advance().Text : throw Unexpected("name");

    /// <summary>Passes the end of a tag or fails.</summary>
    public void Expect(JinjaTokenKind kind)
    {
        if (!Skip(Current.Kind == kind))
            throw Unexpected(new JinjaToken(kind, "").Describe());
    }

    private TemplateException Unexpected(string wanted) => JinjaErrors.Syntax(Current.Kind == JinjaTokenKind.End
        ? $"unexpected end of template, expected '{wanted}'."
        : $"expected token '{wanted}', got '{Current.Describe()}'");

    private bool Skip(bool matches)
    {
        if (matches)
            Advance();
        return matches;
    }
}
