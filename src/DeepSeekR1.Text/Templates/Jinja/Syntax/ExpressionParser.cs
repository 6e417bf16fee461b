using System.Numerics;

namespace DeepSeekR1.Text.Templates;

/// <summary>
/// Expressions with jinja2's precedences: filters and tests bind tighter than any operator, unary minus tighter than power.
/// </summary>
internal sealed class JinjaExpressionParser(JinjaTokens tokens)
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];
    private static readonly string[] Specials = ["loop", "caller", "kwargs", "varargs"];

    private readonly int[] _reads = new int[Specials.Length];

    /// <summary>How often a special name was assigned so far (only loop is counted).</summary>
    public int StoresOfLoop { get; private set; }

    /// <summary>How often one of the special names loop, caller, kwargs, varargs was read so far.</summary>
    public int ReadsOf(string special) => _reads[Array.IndexOf(Specials, special)];

    /// <summary>One expression, or several with commas: a tuple.</summary>
    /// <param name="withConditional">Whether <c>a if b</c> may stand outside brackets.</param>
    /// <param name="endName">A name that ends the tuple.</param>
    /// <param name="inBrackets">Brackets around it: may be empty.</param>
    public JinjaExpression ParseTuple(bool withConditional = true, string? endName = null, bool inBrackets = false) =>
        ParseTuple(() => ParseExpression(withConditional), endName, inBrackets);

    /// <summary>The left side of an assignment.</summary>
    public JinjaTarget ParseTarget(bool withNamespace = false, bool isLoop = false)
    {
        var readsBefore = (int[])_reads.Clone();
        var pattern = ParseTuple(() => ParsePrimary(withNamespace), isLoop ? "in" : null, inBrackets: false);
        readsBefore.CopyTo(_reads, 0);
        CheckTarget(pattern);
        return new JinjaTarget(pattern);
    }

    /// <summary>One expression.</summary>
    public JinjaExpression ParseExpression(bool withConditional = true)
    {
        JinjaRun.EnsureStack();
        var value = ParseOr();
        while (withConditional && tokens.SkipName("if"))
        {
            var test = ParseOr();
            value = new JinjaConditional(test, value, tokens.SkipName("else") ? ParseExpression() : null);
        }
        return value;
    }

    /// <summary>The filters behind a value; null without filters and value.</summary>
    public JinjaExpression? ParseFilters(JinjaExpression? value, bool isStarted = false)
    {
        while (isStarted || tokens.SkipOperator("|"))
        {
            isStarted = false;
            var name = ParseDottedName();
            value = new JinjaFilterCall(value, name, tokens.Current.IsOperator("(") ? ParseArguments() : JinjaArgumentList.None);
        }
        return value;
    }

    private JinjaExpression ParseTuple(Func<JinjaExpression> parse, string? endName, bool inBrackets)
    {
        JinjaRun.EnsureStack();
        var items = new List<JinjaExpression>();
        var isTuple = false;
        while (!IsTupleEnd(endName))
        {
            items.Add(parse());
            if (!tokens.SkipOperator(","))
                break;
            isTuple = true;
        }
        if (!isTuple && items.Count == 1)
            return items[0];
        if (items.Count == 0 && !inBrackets)
            throw JinjaErrors.Syntax($"Expected an expression, got '{tokens.Current.Describe()}'");
        return new JinjaSequence([.. items], isTuple: true);
    }

    private bool IsTupleEnd(string? endName) => tokens.Current.Kind is JinjaTokenKind.PrintEnd or JinjaTokenKind.BlockEnd
        || tokens.Current.IsOperator(")") || (endName is not null && tokens.Current.IsName(endName));

    private void CheckTarget(JinjaExpression pattern)
    {
        switch (pattern)
        {
            case JinjaName name:
                StoresOfLoop += name.Name == "loop" ? 1 : 0;
                break;
            case JinjaNamespaceReference:
                break;
            case JinjaSequence { IsTuple: true } sequence:
                Array.ForEach(sequence.Items, CheckTarget);
                break;
            default:
                throw JinjaErrors.Syntax($"can't assign to '{pattern.GetType().Name["Jinja".Length..].ToLowerInvariant()}'");
        }
    }

    private JinjaExpression ParseOr()
    {
        var left = ParseAnd();
        while (tokens.SkipName("or"))
            left = new JinjaLogical(left, ParseAnd(), isAnd: false);
        return left;
    }

    private JinjaExpression ParseAnd()
    {
        var left = ParseNot();
        while (tokens.SkipName("and"))
            left = new JinjaLogical(left, ParseNot(), isAnd: true);
        return left;
    }

    private JinjaExpression ParseNot()
    {
        JinjaRun.EnsureStack();
        return tokens.SkipName("not") ? new JinjaNot(ParseNot()) : ParseComparison();
    }

    private JinjaExpression ParseComparison()
    {
        var first = ParseSum();
        var rest = new List<(string Symbol, JinjaExpression Operand)>();
        while (true)
        {
            if (tokens.Current.Kind == JinjaTokenKind.Operator && Comparisons.Contains(tokens.Current.Text))
                rest.Add((tokens.Advance().Text, ParseSum()));
            else if (tokens.SkipName("in"))
                rest.Add(("in", ParseSum()));
            else if (tokens.Current.IsName("not") && tokens.Following.IsName("in"))
            {
                tokens.Advance();
                tokens.Advance();
                rest.Add(("not in", ParseSum()));
            }
            else
                return rest.Count == 0 ? first : new JinjaComparison(first, rest);
        }
    }

    private JinjaExpression ParseSum() => ParseBinary(ParseConcatenation, "+", "-");

    private JinjaExpression ParseConcatenation()
    {
        var first = ParseProduct();
        if (!tokens.Current.IsOperator("~"))
            return first;
        var operands = new List<JinjaExpression> { first };
        while (tokens.SkipOperator("~"))
            operands.Add(ParseProduct());
        return new JinjaConcatenation(operands);
    }

    private JinjaExpression ParseProduct() => ParseBinary(ParsePower, "*", "/", "//", "%");

    private JinjaExpression ParsePower() => ParseBinary(() => ParseUnary(), "**");

    private JinjaExpression ParseBinary(Func<JinjaExpression> parseOperand, params ReadOnlySpan<string> symbols)
    {
        var left = parseOperand();
        while (tokens.Current.Kind == JinjaTokenKind.Operator && symbols.Contains(tokens.Current.Text))
        {
            var symbol = tokens.Advance().Text;
            left = new JinjaBinary(symbol, left, parseOperand());
        }
        return left;
    }

    private JinjaExpression ParseUnary(bool withFilters = true)
    {
        JinjaRun.EnsureStack();
        var isSigned = tokens.Current.IsOperator("-") || tokens.Current.IsOperator("+");
        var value = ParsePostfix(isSigned ? new JinjaUnary(tokens.Advance().Text, ParseUnary(withFilters: false)) : ParsePrimary());
        while (withFilters)
        {
            if (tokens.Current.IsOperator("|"))
                value = ParseFilters(value)!;
            else if (tokens.SkipName("is"))
                value = ParseTest(value);
            else if (tokens.Current.IsOperator("("))
                value = new JinjaCall(value, ParseArguments());
            else
                break;
        }
        return value;
    }

    private JinjaExpression ParsePrimary(bool withNamespace = false)
    {
        var token = tokens.Advance();
        switch (token.Kind)
        {
            case JinjaTokenKind.Name:
                return ParseName(token.Text, withNamespace);
            case JinjaTokenKind.Number:
                return new JinjaConstant(token.Number!);
            case JinjaTokenKind.String:
                return new JinjaConstant(JinjaString.Literal(token.Text + ParseAdjacentStrings()));
            case JinjaTokenKind.Operator when token.Text == "(":
                var tuple = ParseTuple(inBrackets: true);
                tokens.ExpectOperator(")");
                return tuple;
            case JinjaTokenKind.Operator when token.Text == "[":
                return new JinjaSequence([.. ParseItems("]", () => ParseExpression())], isTuple: false);
            case JinjaTokenKind.Operator when token.Text == "{":
                return new JinjaDictDisplay(ParseItems("}", ParsePair));
            default:
                throw JinjaErrors.Syntax($"unexpected '{token.Describe()}'");
        }
    }

    private string ParseAdjacentStrings()
    {
        var parts = new List<string>();
        while (tokens.Current.Kind == JinjaTokenKind.String)
            parts.Add(tokens.Advance().Text);
        return string.Concat(parts);
    }

    private JinjaExpression ParseName(string name, bool withNamespace)
    {
        switch (name)
        {
            case "true" or "True":
                return new JinjaConstant(JinjaBox.True);
            case "false" or "False":
                return new JinjaConstant(JinjaBox.False);
            case "none" or "None":
                return new JinjaConstant(JinjaNone.Value);
        }
        if (withNamespace && tokens.SkipOperator("."))
            return new JinjaNamespaceReference(new JinjaName(name), tokens.ExpectName());
        if (Array.IndexOf(Specials, name) is var special and >= 0)
            _reads[special]++;
        return new JinjaName(name);
    }

    private List<T> ParseItems<T>(string close, Func<T> parse)
    {
        var items = new List<T>();
        while (!tokens.Current.IsOperator(close))
        {
            if (items.Count > 0)
                tokens.ExpectOperator(",");
            if (tokens.Current.IsOperator(close))
                break;
            items.Add(parse());
        }
        tokens.ExpectOperator(close);
        return items;
    }

    private (JinjaExpression Key, JinjaExpression Value) ParsePair()
    {
        var key = ParseExpression();
        tokens.ExpectOperator(":");
        return (key, ParseExpression());
    }

    private JinjaExpression ParsePostfix(JinjaExpression value)
    {
        while (true)
        {
            if (tokens.SkipOperator("."))
                value = ParseMember(value);
            else if (tokens.SkipOperator("["))
                value = ParseSubscript(value);
            else if (tokens.Current.IsOperator("("))
                value = new JinjaCall(value, ParseArguments());
            else
                return value;
        }
    }

    private JinjaExpression ParseMember(JinjaExpression owner)
    {
        var token = tokens.Advance();
        return token switch
        {
            { Kind: JinjaTokenKind.Name } => new JinjaAttribute(owner, token.Text),
            { Kind: JinjaTokenKind.Number, Number: BigInteger number } => new JinjaSubscript(owner, new JinjaConstant(number)),
            _ => throw JinjaErrors.Syntax("expected name or number"),
        };
    }

    private JinjaExpression ParseSubscript(JinjaExpression owner)
    {
        var keys = new List<JinjaExpression>();
        while (!tokens.Current.IsOperator("]"))
        {
            if (keys.Count > 0)
                tokens.ExpectOperator(",");
            var start = tokens.Current.IsOperator(":") ? null : ParseExpression();
            if (!tokens.Current.IsOperator(":"))
                keys.Add(start!);
            else if (keys.Count == 0)
                return ParseSlice(owner, start);
            else
                throw JinjaErrors.Syntax("a slice among several subscripts is not supported");
        }
        tokens.Advance();
        return new JinjaSubscript(owner, keys.Count == 1 ? keys[0] : new JinjaSequence([.. keys], isTuple: true));
    }

    private JinjaSlice ParseSlice(JinjaExpression owner, JinjaExpression? start)
    {
        tokens.ExpectOperator(":");
        var stop = IsBoundNext() ? ParseExpression() : null;
        var step = tokens.SkipOperator(":") && IsBoundNext() ? ParseExpression() : null;
        tokens.ExpectOperator("]");
        return new JinjaSlice(owner, start, stop, step);
    }

    private bool IsBoundNext() => !tokens.Current.IsOperator(":") && !tokens.Current.IsOperator("]");

    private JinjaArgumentList ParseArguments()
    {
        var positional = new List<JinjaExpression>();
        var keyword = new List<(string Name, JinjaExpression Value)>();
        JinjaExpression? morePositional = null, moreKeyword = null;
        ParseItemsInCall(() =>
        {
            if (tokens.SkipOperator("*"))
                morePositional = Ensure(morePositional is null && moreKeyword is null);
            else if (tokens.SkipOperator("**"))
                moreKeyword = Ensure(moreKeyword is null);
            else if (tokens.Current.Kind == JinjaTokenKind.Name && tokens.Following.IsOperator("="))
            {
                var name = tokens.Advance().Text;
                tokens.Advance();
                keyword.Add((name, Ensure(moreKeyword is null)));
            }
            else
                positional.Add(Ensure(morePositional is null && moreKeyword is null && keyword.Count == 0));
        });
        return new JinjaArgumentList([.. positional], [.. keyword], morePositional, moreKeyword);
    }

    private void ParseItemsInCall(Action parse)
    {
        tokens.ExpectOperator("(");
        for (var isFirst = true; !tokens.Current.IsOperator(")"); isFirst = false)
        {
            if (!isFirst)
                tokens.ExpectOperator(",");
            if (tokens.Current.IsOperator(")"))
                break;
            parse();
        }
        tokens.ExpectOperator(")");
    }

    private JinjaExpression Ensure(bool isAllowed) =>
        isAllowed ? ParseExpression() : throw JinjaErrors.Syntax("invalid syntax for function call expression");

    private string ParseDottedName()
    {
        var name = tokens.ExpectName();
        while (tokens.SkipOperator("."))
            name += "." + tokens.ExpectName();
        return name;
    }

    private JinjaExpression ParseTest(JinjaExpression value)
    {
        var isNegated = tokens.SkipName("not");
        var name = ParseDottedName();
        var arguments = JinjaArgumentList.None;
        if (tokens.Current.IsOperator("("))
            arguments = ParseArguments();
        else if (StartsTestArgument())
        {
            if (tokens.Current.IsName("is"))
                throw JinjaErrors.Syntax("You cannot chain multiple tests with is");
            arguments = JinjaArgumentList.None with { Positional = [ParsePostfix(ParsePrimary())] };
        }
        var test = new JinjaTestCall(value, name, arguments);
        return isNegated ? new JinjaNot(test) : test;
    }

    private bool StartsTestArgument() => tokens.Current.Kind switch
    {
        JinjaTokenKind.Name => tokens.Current.Text is not ("else" or "or" or "and"),
        JinjaTokenKind.String or JinjaTokenKind.Number => true,
        _ => tokens.Current.IsOperator("[") || tokens.Current.IsOperator("{"),
    };
}
