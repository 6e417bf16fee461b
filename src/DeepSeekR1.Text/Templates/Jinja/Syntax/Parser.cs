namespace DeepSeekR1.Text.Templates;

/// <summary>
/// Builds the tree of a template: statements here, expressions in <see cref="JinjaExpressionParser"/>. One instance per source.
/// </summary>
internal sealed class JinjaParser
{
    private readonly JinjaTokens _tokens;
    private readonly JinjaExpressionParser _expressions;
    private readonly Stack<string[]> _endTags = new();
    private readonly Stack<string> _openTags = new();
    private int _loopDepth;

    private JinjaParser(string source)
    {
        _tokens = new JinjaTokens(JinjaLexer.Tokenize(source));
        _expressions = new JinjaExpressionParser(_tokens);
    }

    /// <summary>The template's statements.</summary>
    /// <exception cref="TemplateException">A TemplateSyntaxError.</exception>
    public static JinjaBody Parse(string source) => new JinjaParser(source).ParseBody([]);

    // Statements up to one of the end tags, whose name is the current token then; without end tags up to the end.
    private JinjaBody ParseBody(string[] endTags)
    {
        JinjaRun.EnsureStack();
        var statements = new List<JinjaStatement>();
        _endTags.Push(endTags);
        for (var token = _tokens.Current; token.Kind != JinjaTokenKind.End; token = _tokens.Current)
        {
            _tokens.Advance();
            if (token.Kind == JinjaTokenKind.Data)
                statements.Add(new JinjaData(token.Text));
            else if (token.Kind == JinjaTokenKind.PrintBegin)
            {
                statements.Add(new JinjaPrint(_expressions.ParseTuple()));
                _tokens.Expect(JinjaTokenKind.PrintEnd);
            }
            else if (IsEndTag(endTags))
            {
                _endTags.Pop();
                return new JinjaBody(statements);
            }
            else
            {
                statements.Add(ParseStatement());
                _tokens.Expect(JinjaTokenKind.BlockEnd);
            }
        }
        if (endTags.Length > 0)
            throw UnexpectedEnd(null);
        return new JinjaBody(statements);
    }

    private bool IsEndTag(string[] endTags) => _tokens.Current.Kind == JinjaTokenKind.Name && endTags.Contains(_tokens.Current.Text);

    // The body behind the rest of an opening tag, without consuming the end tag's name.
    private JinjaBody ParseBlock(params string[] endTags)
    {
        _tokens.SkipOperator(":");
        _tokens.Expect(JinjaTokenKind.BlockEnd);
        return ParseBody(endTags);
    }

    private JinjaBody ParseBlockAndEnd(string endTag)
    {
        var body = ParseBlock(endTag);
        _tokens.Advance();
        return body;
    }

    private JinjaStatement ParseStatement()
    {
        var token = _tokens.Current;
        if (token.Kind != JinjaTokenKind.Name)
            throw JinjaErrors.Syntax("tag name expected");
        _openTags.Push(token.Text);
        _tokens.Advance();
        var statement = ParseTag(token.Text);
        _openTags.Pop();
        return statement;
    }

    private JinjaStatement ParseTag(string tag)
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
                return new JinjaScoped(OutsideLoops(() => ParseBlockAndEnd("endgeneration")));
            case "block":
                return ParseNamedBlock();
            case "break" or "continue":
                if (_loopDepth == 0)
                    throw new TemplateException("SyntaxError", tag == "break" ? "'break' outside loop" : "'continue' not properly in loop");
                return new JinjaJump(tag == "break" ? JinjaFlow.Break : JinjaFlow.Continue);
            case "include" or "import" or "from" or "extends":
                while (_tokens.Current.Kind is not (JinjaTokenKind.BlockEnd or JinjaTokenKind.End))
                    _tokens.Advance();
                return new JinjaLoaderStatement();
            default:
                _openTags.Pop();
                throw UnexpectedEnd(tag);
        }
    }

    private JinjaFor ParseFor()
    {
        var storesBefore = _expressions.StoresOfLoop;
        var target = _expressions.ParseTarget(isLoop: true);
        _tokens.ExpectName("in");
        var iterable = _expressions.ParseTuple(withConditional: false, endName: "recursive");
        var test = _tokens.SkipName("if") ? _expressions.ParseExpression() : null;
        var isRecursive = _tokens.SkipName("recursive");
        var readsBefore = _expressions.ReadsOf("loop");
        _loopDepth++;
        var body = ParseBlock("endfor", "else");
        _loopDepth--;
        var usesLoop = _expressions.ReadsOf("loop") > readsBefore;
        var hasElse = _tokens.Current.Text == "else";
        _tokens.Advance();
        var otherwise = hasElse ? ParseBlockAndEnd("endfor") : new JinjaBody([]);
        if (_expressions.StoresOfLoop > storesBefore)
            throw new TemplateException("TemplateAssertionError", "Can't assign to special loop variable in for-loop target");
        return new JinjaFor(target, new JinjaIteration(iterable, test, isRecursive, isRecursive || usesLoop), body, otherwise);
    }

    private JinjaIf ParseIf()
    {
        var test = _expressions.ParseTuple(withConditional: false);
        var then = ParseBlock("elif", "else", "endif");
        var elifs = new List<JinjaIf>();
        while (_tokens.SkipName("elif"))
        {
            var condition = _expressions.ParseTuple(withConditional: false);
            elifs.Add(new JinjaIf(condition, ParseBlock("elif", "else", "endif"), [], new JinjaBody([])));
        }
        var hasElse = _tokens.Current.Text == "else";
        _tokens.Advance();
        return new JinjaIf(test, then, elifs, hasElse ? ParseBlockAndEnd("endif") : new JinjaBody([]));
    }

    private JinjaStatement ParseSet()
    {
        var target = _expressions.ParseTarget(withNamespace: true);
        if (_tokens.SkipOperator("="))
            return new JinjaSet(target, _expressions.ParseTuple());
        var filter = _expressions.ParseFilters(null) as JinjaFilterCall;
        return new JinjaSetBlock(target, filter, ParseBlockAndEnd("endset"));
    }

    private JinjaMacroStatement ParseMacro()
    {
        var name = _tokens.ExpectName();
        var parameters = ParseSignature();
        var definition = ParseMacroBody(name, parameters, "endmacro");
        return new JinjaMacroStatement(new JinjaTarget(new JinjaName(name)), definition);
    }

    private JinjaCallBlock ParseCallBlock()
    {
        var parameters = _tokens.Current.IsOperator("(") ? ParseSignature() : [];
        if (_expressions.ParseExpression() is not JinjaCall call)
            throw JinjaErrors.Syntax("expected call");
        return new JinjaCallBlock(call, ParseMacroBody("caller", parameters, "endcall"));
    }

    private JinjaMacroDefinition ParseMacroBody(string name, List<(string Name, JinjaExpression? Default)> parameters, string endTag)
    {
        int caller = _expressions.ReadsOf("caller"), keyword = _expressions.ReadsOf("kwargs"), positional = _expressions.ReadsOf("varargs");
        var body = OutsideLoops(() => ParseBlockAndEnd(endTag));
        bool IsSpecial(string special, int before) =>
            _expressions.ReadsOf(special) > before && !parameters.Exists(parameter => parameter.Name == special);
        var specials = new JinjaMacroSpecials(IsSpecial("caller", caller), IsSpecial("kwargs", keyword), IsSpecial("varargs", positional));
        return new JinjaMacroDefinition(name, parameters, specials, body);
    }

    private List<(string Name, JinjaExpression? Default)> ParseSignature()
    {
        var parameters = new List<(string Name, JinjaExpression? Default)>();
        _tokens.ExpectOperator("(");
        while (!_tokens.Current.IsOperator(")"))
        {
            if (parameters.Count > 0)
                _tokens.ExpectOperator(",");
            var name = _tokens.ExpectName();
            var value = _tokens.SkipOperator("=") ? _expressions.ParseExpression() : null;
            if (value is null && parameters.Exists(parameter => parameter.Default is not null))
                throw JinjaErrors.Syntax("non-default argument follows default argument");
            parameters.Add((name, value));
        }
        _tokens.Advance();
        return parameters;
    }

    private JinjaFilterBlock ParseFilterBlock()
    {
        var filter = (JinjaFilterCall)_expressions.ParseFilters(null, isStarted: true)!;
        return new JinjaFilterBlock(filter, ParseBlockAndEnd("endfilter"));
    }

    private JinjaWith ParseWith()
    {
        var assignments = new List<(JinjaTarget Target, JinjaExpression Value)>();
        while (_tokens.Current.Kind != JinjaTokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
                _tokens.ExpectOperator(",");
            var target = _expressions.ParseTarget();
            _tokens.ExpectOperator("=");
            assignments.Add((target, _expressions.ParseExpression()));
        }
        return new JinjaWith(assignments, ParseBlockAndEnd("endwith"));
    }

    private JinjaBody ParsePrint()
    {
        var statements = new List<JinjaStatement>();
        while (_tokens.Current.Kind != JinjaTokenKind.BlockEnd)
        {
            if (statements.Count > 0)
                _tokens.ExpectOperator(",");
            statements.Add(new JinjaPrint(_expressions.ParseExpression()));
        }
        return new JinjaBody(statements);
    }

    private JinjaScoped ParseNamedBlock()
    {
        var name = _tokens.ExpectName();
        _tokens.SkipName("scoped");
        _tokens.SkipName("required");
        var body = OutsideLoops(() => ParseBlockAndEnd("endblock"));
        _tokens.SkipName(name);
        return new JinjaScoped(body);
    }

    // break and continue do not reach through a macro.
    private JinjaBody OutsideLoops(Func<JinjaBody> parse)
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
        return JinjaErrors.Syntax(message);
    }
}
