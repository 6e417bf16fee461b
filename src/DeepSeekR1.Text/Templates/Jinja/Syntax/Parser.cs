using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>
/// Builds the tree of a template: statements here, expressions in <see cref="ExpressionParser"/>. One instance per source.
/// </summary>
internal sealed class Parser
{
    private readonly TokenStream _tokens;
    private readonly SpecialNames _specials = new();
    private readonly ExpressionParser _expressions;
    private readonly Stack<string[]> _endTags = new();
    private readonly Stack<string> _openTags = new();
    private int _loopDepth;

    private Parser(string source)
    {
        _tokens = new TokenStream(Lexer.Tokenize(source));
        _expressions = new ExpressionParser(_tokens, _specials);
    }

    /// <summary>The template's statements.</summary>
    /// <exception cref="TemplateException">A TemplateSyntaxError.</exception>
    public static Body Parse(string source) => new Parser(source).ParseBody([]);

    // Statements up to one of the end tags, whose name is the current token then; without end tags up to the end.
    private Body ParseBody(string[] endTags)
    {
        Rendering.EnsureStack();
        var statements = new List<Statement>();
        _endTags.Push(endTags);
        for (var token = _tokens.Current; token.Kind != TokenKind.End; token = _tokens.Current)
        {
            _tokens.Advance();
            if (token.Kind == TokenKind.Data)
                statements.Add(new DataStatement(token.Text));
            else if (token.Kind == TokenKind.PrintBegin)
            {
                statements.Add(new PrintStatement(_expressions.ParseTuple()));
                _tokens.Expect(TokenKind.PrintEnd);
            }
            else if (IsEndTag(endTags))
            {
                _endTags.Pop();
                return new Body(statements);
            }
            else
            {
                statements.Add(ParseStatement());
                _tokens.Expect(TokenKind.BlockEnd);
            }
        }
        if (endTags.Length > 0)
            throw UnexpectedEnd(null);
        return new Body(statements);
    }

    private bool IsEndTag(string[] endTags) => _tokens.Current.Kind == TokenKind.Name && endTags.Contains(_tokens.Current.Text);

    // The body behind the rest of an opening tag, without consuming the end tag's name.
    private Body ParseBlock(params string[] endTags)
    {
        _tokens.SkipOperator(":");
        _tokens.Expect(TokenKind.BlockEnd);
        return ParseBody(endTags);
    }

    private Body ParseBlockAndEnd(string endTag)
    {
        var body = ParseBlock(endTag);
        _tokens.Advance();
        return body;
    }

    private Statement ParseStatement()
    {
        var token = _tokens.Current;
        if (token.Kind != TokenKind.Name)
            throw Errors.Syntax("tag name expected");
        _openTags.Push(token.Text);
        _tokens.Advance();
        var statement = ParseTag(token.Text);
        _openTags.Pop();
        return statement;
    }

    private Statement ParseTag(string tag)
    {
        switch (tag)
        {
            case "for":
                return ParseFor();
            case "if":
                return ParseIf();
            case "set":
                return ParseSet();
            case "macro":
                return ParseMacro();
            case "call":
                return ParseCallBlock();
            case "filter":
                return ParseFilterBlock();
            case "with":
                return ParseWith();
            case "print":
                return ParsePrint();
            case "generation":
                return new ScopedStatement(OutsideLoops(() => ParseBlockAndEnd("endgeneration")));
            case "block":
                return ParseNamedBlock();
            case "break" or "continue":
                if (_loopDepth == 0)
                    throw new TemplateException("SyntaxError", tag == "break" ? "'break' outside loop" : "'continue' not properly in loop");
                return new JumpStatement(tag == "break" ? Flow.Break : Flow.Continue);
            case "include" or "import" or "from" or "extends":
                while (_tokens.Current.Kind is not (TokenKind.BlockEnd or TokenKind.End))
                    _tokens.Advance();
                return new LoaderStatement();
            default:
                _openTags.Pop();
                throw UnexpectedEnd(tag);
        }
    }

    private ForStatement ParseFor()
    {
        var storesBefore = _specials.LoopStores;
        var target = _expressions.ParseTarget(isLoop: true);
        _tokens.ExpectName("in");
        var iterable = _expressions.ParseTuple(withConditional: false, endName: "recursive");
        var test = _tokens.SkipName("if") ? _expressions.ParseExpression() : null;
        var isRecursive = _tokens.SkipName("recursive");
        var readsBefore = _specials.ReadsOf("loop");
        _loopDepth++;
        var body = ParseBlock("endfor", "else");
        _loopDepth--;
        var usesLoop = _specials.ReadsOf("loop") > readsBefore;
        var hasElse = _tokens.Current.Text == "else";
        _tokens.Advance();
        var otherwise = hasElse ? ParseBlockAndEnd("endfor") : new Body([]);
        if (_specials.LoopStores > storesBefore)
            throw new TemplateException("TemplateAssertionError", "Can't assign to special loop variable in for-loop target");
        return new ForStatement(target, new Iteration(iterable, test, isRecursive, isRecursive || usesLoop), body, otherwise);
    }

    private IfStatement ParseIf()
    {
        var test = _expressions.ParseTuple(withConditional: false);
        var then = ParseBlock("elif", "else", "endif");
        var elifs = new List<IfStatement>();
        while (_tokens.SkipName("elif"))
        {
            var condition = _expressions.ParseTuple(withConditional: false);
            elifs.Add(new IfStatement(condition, ParseBlock("elif", "else", "endif"), [], new Body([])));
        }
        var hasElse = _tokens.Current.Text == "else";
        _tokens.Advance();
        return new IfStatement(test, then, elifs, hasElse ? ParseBlockAndEnd("endif") : new Body([]));
    }

    private Statement ParseSet()
    {
        var target = _expressions.ParseTarget(withNamespace: true);
        if (_tokens.SkipOperator("="))
            return new SetStatement(target, _expressions.ParseTuple());
        var filter = _expressions.ParseFilters(null) as FilterCallExpression;
        return new SetBlockStatement(target, filter, ParseBlockAndEnd("endset"));
    }

    private MacroStatement ParseMacro()
    {
        var name = _tokens.ExpectName();
        var parameters = ParseSignature();
        var definition = ParseMacroBody(name, parameters, "endmacro");
        return new MacroStatement(new AssignmentTarget(new NameExpression(name)), definition);
    }

    private CallBlockStatement ParseCallBlock()
    {
        var parameters = _tokens.Current.IsOperator("(") ? ParseSignature() : [];
        if (_expressions.ParseExpression() is not CallExpression call)
            throw Errors.Syntax("expected call");
        return new CallBlockStatement(call, ParseMacroBody("caller", parameters, "endcall"));
    }

    private MacroDefinition ParseMacroBody(string name, List<(string Name, Expression? Default)> parameters, string endTag)
    {
        int caller = _specials.ReadsOf("caller"), keyword = _specials.ReadsOf("kwargs"), positional = _specials.ReadsOf("varargs");
        var body = OutsideLoops(() => ParseBlockAndEnd(endTag));
        bool IsSpecial(string special, int before) =>
            _specials.ReadsOf(special) > before && !parameters.Exists(parameter => parameter.Name == special);
        var specials = new MacroSpecials(IsSpecial("caller", caller), IsSpecial("kwargs", keyword), IsSpecial("varargs", positional));
        return new MacroDefinition(name, parameters, specials, body);
    }

    private List<(string Name, Expression? Default)> ParseSignature()
    {
        var parameters = new List<(string Name, Expression? Default)>();
        _tokens.ExpectOperator("(");
        while (!_tokens.Current.IsOperator(")"))
        {
            if (parameters.Count > 0)
                _tokens.ExpectOperator(",");
            var name = _tokens.ExpectName();
            var value = _tokens.SkipOperator("=") ? _expressions.ParseExpression() : null;
            if (value is null && parameters.Exists(parameter => parameter.Default is not null))
                throw Errors.Syntax("non-default argument follows default argument");
            parameters.Add((name, value));
        }
        _tokens.Advance();
        return parameters;
    }

    private FilterBlockStatement ParseFilterBlock()
    {
        var filter = (FilterCallExpression)_expressions.ParseFilters(null, isStarted: true)!;
        return new FilterBlockStatement(filter, ParseBlockAndEnd("endfilter"));
    }

    private WithStatement ParseWith()
    {
        var assignments = new List<(AssignmentTarget Target, Expression Value)>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
                _tokens.ExpectOperator(",");
            var target = _expressions.ParseTarget();
            _tokens.ExpectOperator("=");
            assignments.Add((target, _expressions.ParseExpression()));
        }
        return new WithStatement(assignments, ParseBlockAndEnd("endwith"));
    }

    private Body ParsePrint()
    {
        var statements = new List<Statement>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (statements.Count > 0)
                _tokens.ExpectOperator(",");
            statements.Add(new PrintStatement(_expressions.ParseExpression()));
        }
        return new Body(statements);
    }

    private ScopedStatement ParseNamedBlock()
    {
        var name = _tokens.ExpectName();
        _tokens.SkipName("scoped");
        _tokens.SkipName("required");
        var body = OutsideLoops(() => ParseBlockAndEnd("endblock"));
        _tokens.SkipName(name);
        return new ScopedStatement(body);
    }

    // break and continue do not reach through a macro.
    private Body OutsideLoops(Func<Body> parse)
    {
        var depth = _loopDepth;
        _loopDepth = 0;
        var body = parse();
        _loopDepth = depth;
        return body;
    }

    private TemplateException UnexpectedEnd(string? tag)
    {
        var message = tag is null ? "Unexpected end of template." : $"Encountered unknown tag '{tag}'.";
        if (_endTags.TryPeek(out var wanted) && wanted.Length > 0)
        {
            var list = string.Join(" or ", wanted.Select(name => $"'{name}'"));
            message += tag is not null && _endTags.Any(tags => tags.Contains(tag))
                ? $" You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for {list}."
                : $" Jinja was looking for the following tags: {list}.";
        }
        if (_openTags.TryPeek(out var open))
            message += $" The innermost block that needs to be closed is '{open}'.";
        return Errors.Syntax(message);
    }
}
