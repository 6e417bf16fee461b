namespace DeepSeekR1.Evaluation.Grading;

/// <summary>The part of the parser that reads what stands between operators: numbers, symbols, brackets, fractions, roots, functions, matrices.</summary>
internal sealed class MathParserAtoms(List<MathToken> tokens, bool shorthand) : MathParserTerms(tokens, shorthand)
{
    private static readonly HashSet<string> Accents = ["overline", "bar", "hat", "vec", "tilde", "overrightarrow", "widehat", "overleftrightarrow", "mathbb", "mathfrak", "mathscr", "dot"];

    /// <inheritdoc/>
    protected override MathNode ReadAtom()
    {
        var token = Peek() ?? throw new MathFormatException("a value expected at the end");
        Position++;
        switch (token.Kind)
        {
            case MathTokenKind.Number: return MathNumbers.Read(token.Text);
            case MathTokenKind.Letter: return Symbol(token.Text);
            case MathTokenKind.Word: return Words(token.Text);
            case MathTokenKind.Command: return Command(token.Text);
        }

        switch (token.Text)
        {
            case "(" or "[": return Bracket(token.Text[0]);
            case "{": return Braces();
            case "|": return Bar("|");
            default: throw new MathFormatException($"'{token.Text}' where a value should be");
        }
    }

    private MathNode Command(string name)
    {
        if (MathWords.Functions.Contains(name) && name != "sqrt")
            return Function(name);
        if (name.StartsWith("begin:", StringComparison.Ordinal))
            return Matrix(name["begin:".Length..]);
        switch (name)
        {
            case "frac" or "dfrac" or "tfrac" or "cfrac": return new CallNode("quotient", Argument(digitsApart: true), Argument(digitsApart: true));
            case "binom" or "dbinom" or "tbinom": return new CallNode("binomial", Argument(digitsApart: true), Argument(digitsApart: true));
            case "sqrt": return Root();
            case "angle" or "triangle": return Symbol(name + Corners());
            case "cbrt": return new CallNode("root", Power(), new NumberNode(3));
            case "surd": return new CallNode("root", Power(), new NumberNode(2));
            case "infty": return new InfinityNode();
            case "emptyset" or "varnothing": return new GroupNode("set", []);
            case "{" or "lbrace": return Set();
            case "lvert" or "|" or "vert": return Bar(name == "lvert" ? "rvert" : name);
            case "lfloor": return Closed("floor", "rfloor");
            case "lceil": return Closed("ceil", "rceil");
            case "varphi": return Symbol("phi");
            case "varepsilon": return Symbol("epsilon");
        }

        if (Accents.Contains(name))
            return Symbol($"{name} {RawArgument()}");
        return char.IsAsciiLetter(name[0]) && !name.Contains(':', StringComparison.Ordinal) ? Symbol(name) : throw new MathFormatException($"\\{name}");
    }

    /// <summary>A variable with its index and primes.</summary>
    private SymbolNode Symbol(string name)
    {
        while (true)
        {
            if (Take("_"))
                name += "_" + RawArgument();
            else if (Take("'"))
                name += "'";
            else
                return new SymbolNode(name);
        }
    }

    /// <summary>The points of an angle or triangle: in order, from either end.</summary>
    private string Corners()
    {
        string points = "";
        while (Peek() is { Kind: MathTokenKind.Letter } point && points.Length < 3)
        {
            points += point.Text;
            Position++;
        }

        string reversed = string.Concat(points.Reverse());
        return " " + (string.CompareOrdinal(points, reversed) <= 0 ? points : reversed);
    }

    private SymbolNode Words(string first)
    {
        string text = first;
        while (Peek() is { Kind: MathTokenKind.Word } word)
        {
            text += " " + word.Text;
            Position++;
        }

        return Symbol(text);
    }

    /// <summary>The text of one token or of a braced group.</summary>
    private string RawArgument()
    {
        if (!Next("{"))
        {
            var token = Peek() ?? throw new MathFormatException("an index expected at the end");
            Position++;
            return token.Text;
        }

        int start = ++Position, depth = 1;
        for (; Position < Tokens.Count; Position++)
        {
            depth += Next("{") && Tokens[Position].Kind == MathTokenKind.Symbol ? 1 : Next("}") && Tokens[Position].Kind == MathTokenKind.Symbol ? -1 : 0;
            if (depth == 0)
                return string.Join(' ', Tokens[start..Position++].Select(t => t.Text));
        }

        throw new MathFormatException("a brace that does not close");
    }

    private bool NextBrace(char brace) => Peek() is { Kind: MathTokenKind.Symbol } token && token.Text[0] == brace;

    private MathNode Braces()
    {
        int bars = Bars;
        Bars = 0;
        var node = List();
        if (Take("choose"))
            node = new CallNode("binomial", node, List());
        else if (Take("over"))
            node = new CallNode("quotient", node, List());
        if (!NextBrace('}'))
            throw new MathFormatException($"a brace that does not close before '{Peek()?.Text}'");
        Position++;
        Bars = bars;
        return node;
    }

    private MathNode Bracket(char open)
    {
        int bars = Bars;
        Bars = 0;
        var node = List(ordered: true);
        Bars = bars;
        char close = Take(")") ? ')' : Take("]") ? ']' : throw new MathFormatException($"'{open}' that does not close");
        if (node is GroupNode { Kind: "list" } list)
            return new GroupNode("bracket", list.Items, open, close);
        return (open, close) is ('(', ')') or ('[', ']') ? node : throw new MathFormatException("a half-open interval of one number");
    }

    /// <summary>A set by its members, or {x | condition} as the condition.</summary>
    private MathNode Set()
    {
        if (Take("}") || Take("rbrace"))
            return new GroupNode("set", []);
        int bars = Bars++;
        var node = BuiltFrom() ?? List();
        if (Take("mid") || Take("|") || Take(":"))
        {
            Bars = 0;
            node = List();
        }
        else
        {
            node = node is GroupNode { Kind: "list" } list ? new GroupNode("set", list.Items) : new GroupNode("set", [node]);
        }

        Bars = bars;
        return Take("}") || Take("rbrace") ? node : throw new MathFormatException("a set that does not close");
    }

    /// <summary>The x or x \in S before the colon of a set's condition; null where there is no such colon, since elsewhere it is a ratio.</summary>
    private MathNode? BuiltFrom()
    {
        int start = Position;
        if (Peek()?.Kind == MathTokenKind.Letter)
        {
            var name = Atom();
            if (Take("in") && Peek() is not null)
                Atom();
            if (Next(":"))
                return name;
        }

        Position = start;
        return null;
    }

    private CallNode Bar(string close)
    {
        Bars++;
        var node = Sum();
        Bars--;
        Expect(close);
        return new CallNode("abs", node);
    }

    private CallNode Closed(string name, string close)
    {
        var node = Sum();
        Expect(close);
        return new CallNode(name, node);
    }

    /// <summary>A braced argument; where shorthand is read also one token, of a number only its first digit if digits stand apart.</summary>
    private MathNode Argument(bool digitsApart)
    {
        if (NextBrace('{'))
        {
            Position++;
            return Braces();
        }

        if (!Shorthand)
            throw new MathFormatException("an argument without braces");
        if (digitsApart && Peek() is { Kind: MathTokenKind.Number } number && number.Text.Length > 1 && number.Text.All(char.IsAsciiDigit))
        {
            Tokens[Position] = number with { Text = number.Text[1..] };
            return MathNumbers.Read(number.Text[..1]);
        }

        return Atom();
    }

    private CallNode Root()
    {
        MathNode index = new NumberNode(2);
        if (Take("["))
        {
            index = Sum();
            Expect("]");
        }

        bool written = Next("(");
        return new CallNode("root", written ? Atom() : Argument(digitsApart: false), index);
    }

    /// <summary>sin x, sin^2 x, sin^{-1} x, log_2 8, gcd(4, 6).</summary>
    private MathNode Function(string name)
    {
        MathNode? logBase = name is "log" or "lg" ? new NumberNode(10) : null;
        MathNode? power = null;
        while (Next("_") || Next("^"))
        {
            if (Take("_"))
                logBase = Exponent();
            else if (Take("^"))
                power = Exponent();
        }

        if (power is CallNode { Name: "negate", Arguments: [NumberNode { Value: { IsInteger: true } one }] } && one.Numerator.IsOne
            && !name.StartsWith("arc", StringComparison.Ordinal))
            (name, power) = ("arc" + name, null);
        var call = Call(name, logBase, FunctionArgument());
        return power is null ? call : new CallNode("power", call, power);
    }

    private static CallNode Call(string name, MathNode? logBase, MathNode argument)
    {
        if (name is "gcd" or "lcm" or "max" or "min")
            return new CallNode(name, argument is GroupNode group ? group.Items : [argument]);
        if (argument is GroupNode)
            throw new MathFormatException($"several arguments of {name}");
        return name switch
        {
            "log" or "lg" => new CallNode("log", argument, logBase!),
            "exp" => new CallNode("power", new SymbolNode("e"), argument),
            _ => new CallNode(name, argument),
        };
    }

    /// <summary>A bracket, or the factors that follow up to an operator, a bracket or another function.</summary>
    private MathNode FunctionArgument()
    {
        if (Next("(") || Next("[") || NextBrace('{') || Next("|") && Bars == 0)
            return Atom();
        bool negative = Take("-");
        var factors = new List<MathNode> { Power() };
        while (Peek() is { } token && (token.Kind is MathTokenKind.Letter || token.Kind == MathTokenKind.Number
            && Tokens[Position - 1].Kind != MathTokenKind.Number || IsArgument(token)))
            factors.Add(Power());
        var argument = factors.Count == 1 ? factors[0] : new CallNode("product", factors);
        return negative ? new CallNode("negate", argument) : argument;
    }

    private static bool IsArgument(MathToken token)
        => token.Kind == MathTokenKind.Command && token.Text is "pi" or "frac" or "dfrac" or "tfrac" or "sqrt" or "theta" or "alpha" or "beta" or "phi" or "omega" or "lambda" or "gamma";

    /// <summary>The [2pt] after the end of a row.</summary>
    private void SkipRowGap()
    {
        if (!Next("[") || Peek(1)?.Kind != MathTokenKind.Number)
            return;
        int at = 2;
        while (Peek(at)?.Kind is MathTokenKind.Letter or MathTokenKind.Word)
            at++;
        if (at > 2 && Next("]", at))
            Position += at + 1;
    }

    private MathNode Matrix(string environment)
    {
        if (environment != "cases" && environment.TrimEnd('*') is not ("pmatrix" or "bmatrix" or "Bmatrix" or "matrix" or "smallmatrix" or "vmatrix" or "array"))
            throw new MathFormatException($"the environment {environment}");
        var rows = new List<List<MathNode>> { new() };
        while (!Next($"end:{environment}"))
        {
            if (Take("\\"))
            {
                SkipRowGap();
                if (!Next($"end:{environment}"))
                    rows.Add([]);
                continue;
            }

            if (!Take("&") || rows[^1].Count > 0)
                rows[^1].Add(List());
        }

        Position++;
        return environment == "cases" && rows.All(row => row.Count == 1) ? new GroupNode("list", [.. rows.Select(row => row[0])]) : new MatrixNode(rows);
    }
}
