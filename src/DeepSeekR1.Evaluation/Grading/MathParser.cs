namespace DeepSeekR1.Evaluation.Grading;

/// <summary>
/// Recursive descent from tokens to a <see cref="MathNode"/>: lists, relations, unions, ratios, sums. Chains of any length stay flat, and
/// nesting is bounded, so that neither reading nor computing can run out of stack. <see cref="MathParserTerms"/> reads what is added,
/// <see cref="MathParserAtoms"/> what stands between operators.
/// </summary>
internal abstract class MathParser(List<MathToken> tokens, bool shorthand)
{
    private const int MaxItems = 400;

    private static readonly Dictionary<string, string> Relations = new()
    {
        ["="] = "eq",
        ["<"] = "lt",
        [">"] = "gt",
        ["le"] = "le",
        ["leq"] = "le",
        ["leqslant"] = "le",
        ["ge"] = "ge",
        ["geq"] = "ge",
        ["geqslant"] = "ge",
        ["lt"] = "lt",
        ["gt"] = "gt",
        ["ne"] = "ne",
        ["neq"] = "ne",
        ["in"] = "in",
        ["approx"] = "approx",
        ["equiv"] = "eq",
    };

    /// <summary>Whether a bar closes an absolute value here instead of opening one.</summary>
    protected int Bars { get; set; }

    /// <summary>Index of the next token.</summary>
    protected int Position { get; set; }

    protected List<MathToken> Tokens => tokens;

    /// <summary>Whether \frac12 and \sqrt3 are read as what TeX makes of them.</summary>
    protected bool Shorthand => shorthand;

    protected MathToken? Peek(int ahead = 0) => Position + ahead < tokens.Count ? tokens[Position + ahead] : null;

    protected bool Next(string text, int ahead = 0) => Peek(ahead) is { Kind: MathTokenKind.Symbol or MathTokenKind.Command } token && token.Text == text;

    /// <summary>Takes the next token if it is this one.</summary>
    protected bool Take(string text)
    {
        if (!Next(text))
            return false;
        Position++;
        return true;
    }

    protected void Expect(string text)
    {
        if (!Take(text))
            throw new MathFormatException($"'{text}' expected, found '{Peek()?.Text ?? "the end"}'");
    }

    /// <summary>Everything.</summary>
    /// <exception cref="MathFormatException">It is no mathematics.</exception>
    internal MathNode ParseAll()
    {
        if (tokens.Count == 0)
            throw new MathFormatException("nothing");
        var node = List();
        return Position == tokens.Count ? node : throw new MathFormatException($"'{Peek()?.Text}' left over");
    }

    /// <summary>One item, or several with commas, "and", "or" between them.</summary>
    protected MathNode List(bool ordered = false)
    {
        var items = new List<MathNode>();
        var seen = new HashSet<string>();
        do
        {
            while (Separator())
                Position++;
            int start = Position;
            var item = Relation();
            // Repeated items of an unordered list say nothing new, and there may be thousands.
            if (ordered || items.Count < 64 || seen.Add(string.Join(' ', tokens[start..Position].Select(t => t.Text))))
                items.Add(item);
            if (items.Count > MaxItems)
                throw new MathFormatException($"more than {MaxItems} items");
        }
        while (Separator() && MoreAfterSeparator());
        return items.Count == 1 ? items[0] : new GroupNode("list", items);
    }

    private bool Separator() => Next(",") || Next(";") || Next("lor") || Next("vee");

    /// <summary>Steps over separators; false at the end of a list like "1, 2,".</summary>
    private bool MoreAfterSeparator()
    {
        while (Separator())
            Position++;
        return Peek() is not null;
    }

    private MathNode Relation()
    {
        bool defines = DefinesFunction() || NamesQuantity();
        var members = new List<MathNode> { Union() };
        var operators = new List<string>();
        while (RelationOperator() is { } name)
        {
            operators.Add(name);
            members.Add(Union());
        }

        return operators.Count == 0 ? members[0] : new RelationNode(members, operators, defines);
    }

    /// <summary>The f(x) = of a function, and the f(3) = of its value.</summary>
    private bool DefinesFunction()
        => Peek() is { Kind: MathTokenKind.Letter } name && Next("(", 1) && Next(")", 3) && Next("=", 4)
            && (Peek(2)?.Kind == MathTokenKind.Letter || Peek(2)?.Kind == MathTokenKind.Number && name.Text is "f" or "g" or "h" or "p" or "F" or "G" or "P" or "Q");

    /// <summary>The AB = or |AB| = of a figure: two to four capitals are one name, not a product.</summary>
    private bool NamesQuantity()
    {
        bool bars = Next("|");
        int start = bars ? 1 : 0, at = start;
        while (Peek(at) is { Kind: MathTokenKind.Letter, Text: [>= 'A' and <= 'Z'] })
            at++;
        int capitals = at - start;
        return capitals >= 2 && capitals <= 4 && (bars ? Next("|", at) && Next("=", at + 1) : Next("=", at));
    }

    private string? RelationOperator()
    {
        if (Next("!") && Next("=", 1))
        {
            Position += 2;
            return "ne";
        }

        if (Peek() is not { Kind: MathTokenKind.Symbol or MathTokenKind.Command } token || !Relations.TryGetValue(token.Text, out string? name))
            return null;
        Position++;
        if (name is "lt" or "gt" && Take("="))
            name = name == "lt" ? "le" : "ge";
        return name;
    }

    private MathNode Union()
    {
        var first = Ratio();
        if (!Next("cup") && !IsUnionLetter())
            return Next("cap") || Next("setminus") ? SetOperation(first) : first;
        var items = new List<MathNode> { first };
        while (Next("cup") || IsUnionLetter())
        {
            Position++;
            items.Add(Ratio());
        }

        return new GroupNode("union", items);
    }

    private CallNode SetOperation(MathNode first)
    {
        string name = Peek()!.Value.Text;
        Position++;
        return new CallNode(name, first, Ratio());
    }

    protected static bool IsRelation(string text) => Relations.ContainsKey(text);

    /// <summary>The U of (-oo, 0) U (0, oo).</summary>
    protected bool IsUnionLetter()
        => Position > 0 && Peek() is { Kind: MathTokenKind.Letter, Text: "U" } && tokens[Position - 1].Text is ")" or "]" && (Next("(", 1) || Next("[", 1));

    /// <summary>a, a:b as a/b, or a:b:c as the tuple of the terms over the first.</summary>
    private MathNode Ratio()
    {
        var first = Sum();
        if (!Next(":"))
            return first;
        var terms = new List<MathNode> { first };
        while (Take(":"))
            terms.Add(Sum());
        if (terms.Count == 2)
            return new CallNode("quotient", terms[0], terms[1]);
        return new GroupNode("bracket", [new NumberNode(1), .. terms.Skip(1).Select(t => new CallNode("quotient", t, first))], '(', ')');
    }

    protected MathNode Sum()
    {
        var terms = new List<MathNode> { Signed() };
        while (Next("+") || Next("-") || Next("pm") || Next("mp"))
            terms.Add(Signed());
        return terms.Count == 1 ? terms[0] : new CallNode("sum", terms);
    }

    /// <summary>A term with the signs before it.</summary>
    private MathNode Signed()
    {
        bool negative = false;
        string? both = null;
        while (true)
        {
            if (Take("-"))
                negative = !negative;
            else if (Take("pm"))
                both = "plusminus";
            else if (Take("mp"))
                both = "minusplus";
            else if (!Take("+"))
                break;
        }

        var term = Term();
        if (negative)
            term = new CallNode("negate", term);
        return both is null ? term : new CallNode(both, term);
    }

    /// <summary>Factors with operators between them or side by side; division is a factor that is inverted.</summary>
    protected abstract MathNode Term();
}
