using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>Parses the arguments of calls, filters and tests with the rules of Python: keywords behind positions, * and ** once.</summary>
internal sealed class ArgumentParser(TokenStream tokens, Func<Expression> parseExpression)
{
    /// <summary>Arguments in brackets.</summary>
    /// <exception cref="TemplateException">A TemplateSyntaxError.</exception>
    public ArgumentList Parse()
    {
        var positional = new List<Expression>();
        var keyword = new List<(string Name, Expression Value)>();
        Expression? morePositional = null, moreKeyword = null;
        tokens.ExpectOperator("(");
        tokens.ReadItems(")", () =>
        {
            if (tokens.SkipOperator("*"))
                morePositional = Ensure(morePositional is null && moreKeyword is null);
            else if (tokens.SkipOperator("**"))
                moreKeyword = Ensure(moreKeyword is null);
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Following.IsOperator("="))
            {
                var name = tokens.Advance().Text;
                tokens.Advance();
                keyword.Add((name, Ensure(moreKeyword is null)));
            }
            else
                positional.Add(Ensure(morePositional is null && moreKeyword is null && keyword.Count == 0));
        });
        return new ArgumentList([.. positional], [.. keyword], morePositional, moreKeyword);
    }

    private Expression Ensure(bool isAllowed) =>
        isAllowed ? parseExpression() : throw Errors.Syntax("invalid syntax for function call expression");
}
