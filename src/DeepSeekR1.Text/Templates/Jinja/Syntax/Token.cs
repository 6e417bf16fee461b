namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>Kinds of token.</summary>
internal enum TokenKind
{
    /// <summary>Text between tags.</summary>
    Data,

    /// <summary>{{</summary>
    PrintBegin,

    /// <summary>}}</summary>
    PrintEnd,

    /// <summary>{%</summary>
    BlockBegin,

    /// <summary>%}</summary>
    BlockEnd,

    /// <summary>An identifier or keyword.</summary>
    Name,

    /// <summary>A string literal; its text is unescaped.</summary>
    String,

    /// <summary>An int or float literal.</summary>
    Number,

    /// <summary>An operator or bracket.</summary>
    Operator,

    /// <summary>The end of the source.</summary>
    End,
}

/// <summary>One token. <paramref name="Number"/> is the value of a number literal.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, object? Number = null)
{
    /// <summary>True for this name.</summary>
    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    /// <summary>True for this operator.</summary>
    public bool IsOperator(string symbol) => Kind == TokenKind.Operator && Text == symbol;

    /// <summary>The token as messages name it.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.PrintBegin => "begin of print statement",
        TokenKind.PrintEnd => "end of print statement",
        TokenKind.BlockBegin => "begin of statement block",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.Data => "template data / text",
        TokenKind.End => "end of template",
        _ => Text,
    };
}
