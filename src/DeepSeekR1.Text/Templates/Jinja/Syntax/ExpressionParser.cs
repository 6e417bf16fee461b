using System.Numerics;
using DeepSeekR1.Text.Templates.Jinja.Values;

namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>
/// Expressions with jinja2's precedences: filters and tests bind tighter than any operator, unary minus tighter than power.
/// </summary>
internal sealed class ExpressionParser
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    private readonly TokenStream _tokens;
    private readonly SpecialNames _specials;
    private readonly ArgumentParser _arguments;

    /// <summary>A parser that reads from the tokens and counts the special names.</summary>
    public ExpressionParser(TokenStream tokens, SpecialNames specials) =>
        (_tokens, _specials, _arguments) = (tokens, specials, new ArgumentParser(tokens, () => ParseExpression()));

    /// <summary>One expression, or several with commas: a tuple.</summary>
    /// <param name="withConditional">Whether <c>a if b</c> may stand outside brackets.</param>
    /// <param name="endName">A name that ends the tuple.</param>
    /// <param name="inBrackets">Brackets around it: may be empty.</param>
    public Expression ParseTuple(bool withConditional = true, string? endName = null, bool inBrackets = false) =>
        ParseTuple(() => ParseExpression(withConditional), endName, inBrackets);

    /// <summary>The left side of an assignment.</summary>
    public AssignmentTarget ParseTarget(bool withNamespace = false, bool isLoop = false)
    {
        var pattern = _specials.WithoutReads(() =>
            ParseTuple(() => ParsePrimary(withNamespace), isLoop ? "in" : null, inBrackets: false));
        CheckTarget(pattern);
        return new AssignmentTarget(pattern);
    }

    /// <summary>One expression.</summary>
    public Expression ParseExpression(bool withConditional = true)
    {
        Rendering.EnsureStack();
        var value = ParseOr();
        while (withConditional && _tokens.SkipName("if"))
        {
            var test = ParseOr();
            value = new ConditionalExpression(test, value, _tokens.SkipName("else") ? ParseExpression() : null);
        }
        return value;
    }

    /// <summary>The filters behind a value; null without filters and value.</summary>
    public Expression? ParseFilters(Expression? value, bool isStarted = false)
    {
        while (isStarted || _tokens.SkipOperator("|"))
        {
            isStarted = false;
            var name = ParseDottedName();
            value = new FilterCallExpression(value, name, _tokens.Current.IsOperator("(") ? _arguments.Parse() : ArgumentList.None);
        }
        return value;
    }

    private Expression ParseTuple(Func<Expression> parse, string? endName, bool inBrackets)
    {
        Rendering.EnsureStack();
        var items = new List<Expression>();
        var isTuple = false;
        while (!IsTupleEnd(endName))
        {
            items.Add(parse());
            if (!_tokens.SkipOperator(","))
                break;
            isTuple = true;
        }
        if (!isTuple && items.Count == 1)
            return items[0];
        if (items.Count == 0 && !inBrackets)
            throw Errors.Syntax($"Expected an expression, got '{_tokens.Current.Describe()}'");
        return new SequenceExpression([.. items], isTuple: true);
    }

    private bool IsTupleEnd(string? endName) => _tokens.Current.Kind is TokenKind.PrintEnd or TokenKind.BlockEnd
        || _tokens.Current.IsOperator(")") || (endName is not null && _tokens.Current.IsName(endName));

    private void CheckTarget(Expression pattern)
    {
        switch (pattern)
        {
            case NameExpression name:
                _specials.Store(name.Use.Name);
                break;
            case NamespaceReferenceExpression:
                break;
            case SequenceExpression { IsTuple: true } sequence:
                Array.ForEach(sequence.Items, CheckTarget);
                break;
            default:
                throw Errors.Syntax($"can't assign to '{pattern.GetType().Name[..^"Expression".Length].ToLowerInvariant()}'");
        }
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (_tokens.SkipName("or"))
            left = new LogicalExpression(left, ParseAnd(), isAnd: false);
        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (_tokens.SkipName("and"))
            left = new LogicalExpression(left, ParseNot(), isAnd: true);
        return left;
    }

    private Expression ParseNot()
    {
        Rendering.EnsureStack();
        return _tokens.SkipName("not") ? new NotExpression(ParseNot()) : ParseComparison();
    }

    private Expression ParseComparison()
    {
        var first = ParseSum();
        var rest = new List<(string Symbol, Expression Operand)>();
        while (true)
        {
            if (_tokens.Current.Kind == TokenKind.Operator && Comparisons.Contains(_tokens.Current.Text))
                rest.Add((_tokens.Advance().Text, ParseSum()));
            else if (_tokens.SkipName("in"))
                rest.Add(("in", ParseSum()));
            else if (_tokens.Current.IsName("not") && _tokens.Following.IsName("in"))
            {
                _tokens.Advance();
                _tokens.Advance();
                rest.Add(("not in", ParseSum()));
            }
            else
                return rest.Count == 0 ? first : new ComparisonExpression(first, rest);
        }
    }

    private Expression ParseSum() => ParseBinary(ParseConcatenation, "+", "-");

    private Expression ParseConcatenation()
    {
        var first = ParseProduct();
        if (!_tokens.Current.IsOperator("~"))
            return first;
        var operands = new List<Expression> { first };
        while (_tokens.SkipOperator("~"))
            operands.Add(ParseProduct());
        return new ConcatenationExpression(operands);
    }

    private Expression ParseProduct() => ParseBinary(ParsePower, "*", "/", "//", "%");

    private Expression ParsePower() => ParseBinary(() => ParseUnary(), "**");

    private Expression ParseBinary(Func<Expression> parseOperand, params ReadOnlySpan<string> symbols)
    {
        var left = parseOperand();
        while (_tokens.Current.Kind == TokenKind.Operator && symbols.Contains(_tokens.Current.Text))
        {
            var symbol = _tokens.Advance().Text;
            left = new BinaryExpression(symbol, left, parseOperand());
        }
        return left;
    }

    private Expression ParseUnary(bool withFilters = true)
    {
        Rendering.EnsureStack();
        var isSigned = _tokens.Current.IsOperator("-") || _tokens.Current.IsOperator("+");
        var value = ParsePostfix(isSigned ? new UnaryExpression(_tokens.Advance().Text, ParseUnary(withFilters: false)) : ParsePrimary());
        while (withFilters)
        {
            if (_tokens.Current.IsOperator("|"))
                value = ParseFilters(value)!;
            else if (_tokens.SkipName("is"))
                value = ParseTest(value);
            else if (_tokens.Current.IsOperator("("))
                value = new CallExpression(value, _arguments.Parse());
            else
                break;
        }
        return value;
    }

    private Expression ParsePrimary(bool withNamespace = false)
    {
        var token = _tokens.Advance();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return ParseName(token.Text, withNamespace);
            case TokenKind.Number:
                return new ConstantExpression(token.Number!);
            case TokenKind.String:
                return new ConstantExpression(StringValue.Literal(token.Text + ParseAdjacentStrings()));
            case TokenKind.Operator when token.Text == "(":
                var tuple = ParseTuple(inBrackets: true);
                _tokens.ExpectOperator(")");
                return tuple;
            case TokenKind.Operator when token.Text == "[":
                return new SequenceExpression([.. ParseItems("]", () => ParseExpression())], isTuple: false);
            case TokenKind.Operator when token.Text == "{":
                return new DictDisplayExpression(ParseItems("}", ParsePair));
            default:
                throw Errors.Syntax($"unexpected '{token.Describe()}'");
        }
    }

    private string ParseAdjacentStrings()
    {
        var parts = new List<string>();
        while (_tokens.Current.Kind == TokenKind.String)
            parts.Add(_tokens.Advance().Text);
        return string.Concat(parts);
    }

    private Expression ParseName(string name, bool withNamespace)
    {
        switch (name)
        {
            case "true" or "True":
                return new ConstantExpression(Boxed.True);
            case "false" or "False":
                return new ConstantExpression(Boxed.False);
            case "none" or "None":
                return new ConstantExpression(NoneValue.Instance);
        }
        if (withNamespace && _tokens.SkipOperator("."))
            return new NamespaceReferenceExpression(new NameExpression(name), _tokens.ExpectName());
        _specials.Read(name);
        return new NameExpression(name);
    }

    private List<T> ParseItems<T>(string close, Func<T> parse)
    {
        var items = new List<T>();
        _tokens.ReadItems(close, () => items.Add(parse()));
        return items;
    }

    private (Expression Key, Expression Value) ParsePair()
    {
        var key = ParseExpression();
        _tokens.ExpectOperator(":");
        return (key, ParseExpression());
    }

    private Expression ParsePostfix(Expression value)
    {
        while (true)
        {
            if (_tokens.SkipOperator("."))
                value = ParseMember(value);
            else if (_tokens.SkipOperator("["))
                value = ParseSubscript(value);
            else if (_tokens.Current.IsOperator("("))
                value = new CallExpression(value, _arguments.Parse());
            else
                return value;
        }
    }

    private Expression ParseMember(Expression owner)
    {
        var token = _tokens.Advance();
        return token switch
        {
            { Kind: TokenKind.Name } => new AttributeExpression(owner, token.Text),
            { Kind: TokenKind.Number, Number: BigInteger number } => new SubscriptExpression(owner, new ConstantExpression(number)),
            _ => throw Errors.Syntax("expected name or number"),
        };
    }

    private Expression ParseSubscript(Expression owner)
    {
        var keys = new List<Expression>();
        while (!_tokens.Current.IsOperator("]"))
        {
            if (keys.Count > 0)
                _tokens.ExpectOperator(",");
            var start = _tokens.Current.IsOperator(":") ? null : ParseExpression();
            if (!_tokens.Current.IsOperator(":"))
                keys.Add(start!);
            else if (keys.Count == 0)
                return ParseSlice(owner, start);
            else
                throw Errors.Syntax("a slice among several subscripts is not supported");
        }
        _tokens.Advance();
        return new SubscriptExpression(owner, keys.Count == 1 ? keys[0] : new SequenceExpression([.. keys], isTuple: true));
    }

    private SliceExpression ParseSlice(Expression owner, Expression? start)
    {
        _tokens.ExpectOperator(":");
        var stop = IsBoundNext() ? ParseExpression() : null;
        var step = _tokens.SkipOperator(":") && IsBoundNext() ? ParseExpression() : null;
        _tokens.ExpectOperator("]");
        return new SliceExpression(owner, start, stop, step);
    }

    private bool IsBoundNext() => !_tokens.Current.IsOperator(":") && !_tokens.Current.IsOperator("]");

    private string ParseDottedName()
    {
        var name = _tokens.ExpectName();
        while (_tokens.SkipOperator("."))
            name += "." + _tokens.ExpectName();
        return name;
    }

    private Expression ParseTest(Expression value)
    {
        var isNegated = _tokens.SkipName("not");
        var name = ParseDottedName();
        var arguments = ArgumentList.None;
        if (_tokens.Current.IsOperator("("))
            arguments = _arguments.Parse();
        else if (StartsTestArgument())
        {
            if (_tokens.Current.IsName("is"))
                throw Errors.Syntax("You cannot chain multiple tests with is");
            arguments = ArgumentList.None with { Positional = [ParsePostfix(ParsePrimary())] };
        }
        var test = new TestCallExpression(value, name, arguments);
        return isNegated ? new NotExpression(test) : test;
    }

    private bool StartsTestArgument() => _tokens.Current.Kind switch
    {
        TokenKind.Name => _tokens.Current.Text is not ("else" or "or" or "and"),
        TokenKind.String or TokenKind.Number => true,
        _ => _tokens.Current.IsOperator("[") || _tokens.Current.IsOperator("{"),
    };
}
