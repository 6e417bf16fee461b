namespace DeepSeekR1.Evaluation.Grading;

/// <summary>The part of the parser that reads terms: products, quotients, mixed numbers, units, powers and what else follows a value.</summary>
internal abstract class MathParserTerms(List<MathToken> tokens, bool shorthand) : MathParser(tokens, shorthand)
{
    private const int MaxDepth = 120;

    private static readonly HashSet<string> Enders =
    [
        "}", "\\", "cup", "cap", "setminus", "mid", "rfloor", "rceil", "rvert", "rbrace", "choose", "over", "cdot", "times", "div", "ast", "pm", "mp", "%", "circ", "degree", "to", "lor", "vee", "land", "wedge", "|",
        "Rightarrow", "implies", "rightarrow", "iff", "colon",
    ];

    private int _depth;

    /// <inheritdoc/>
    protected override MathNode Term()
    {
        var factors = new List<MathNode>();
        Factor(factors, sideBySide: false);
        while (true)
        {
            if (Take("*") || Take("cdot") || Take("times") || Take("ast"))
                factors.Add(SignedFactor());
            else if (Take("/") || Take("div"))
                Divide(factors, SignedFactor());
            else if (Peek() is { Kind: MathTokenKind.Word } && Unit(factors) || UnitFraction())
                continue;
            else if (StartsFactor())
                Factor(factors, sideBySide: true);
            else
                return factors.Count == 1 ? factors[0] : new CallNode("product", factors);
        }
    }

    private static void Divide(List<MathNode> factors, MathNode divisor)
    {
        // A quotient of two numbers stays recognisable as a fraction.
        if (factors.Count == 1)
            factors[0] = factors[0] is CallNode { Name: "quotient" } ? new CallNode("product", factors[0], new CallNode("inverse", divisor)) : new CallNode("quotient", factors[0], divisor);
        else
            factors.Add(new CallNode("inverse", divisor));
        if (factors is [CallNode { Name: "product" } product])
        {
            factors.Clear();
            factors.AddRange(product.Arguments);
        }
    }

    private MathNode SignedFactor()
    {
        bool negative = false;
        while (Next("-") || Next("+"))
            negative ^= Take("-") || !Take("+");
        var factor = Power();
        return negative ? new CallNode("negate", factor) : factor;
    }

    private void Factor(List<MathNode> factors, bool sideBySide)
    {
        bool afterNumber = sideBySide && Position > 0 && Tokens[Position - 1].Kind == MathTokenKind.Number && factors[^1] is NumberNode;
        bool number = Peek()?.Kind == MathTokenKind.Number;
        bool mixed = afterNumber && (number || Peek() is { Kind: MathTokenKind.Command, Text: "frac" or "dfrac" or "tfrac" });
        if (afterNumber && number && !IsSimpleFraction())
            throw new MathFormatException("two numbers side by side");
        var factor = afterNumber && number ? Fraction() : Power();
        if (mixed && factors[^1] is NumberNode { IsDecimal: false, Value.IsInteger: true } whole && IsProper(factor))
            factors[^1] = new CallNode("sum", whole, factor);
        else if (mixed && factors[^1] is NumberNode { IsDecimal: false, Value.IsInteger: true } hundreds && IsPercent(factor) && factor is CallNode percent)
            factors[^1] = new CallNode("quotient", new CallNode("sum", hundreds, percent.Arguments[0]), percent.Arguments[1]);
        else if (afterNumber && number)
            throw new MathFormatException("two numbers side by side");
        else
            factors.Add(factor);
    }

    /// <summary>The 1/2 of 3 1/2.</summary>
    private bool IsSimpleFraction() => Next("/", 1) && Peek(2)?.Kind == MathTokenKind.Number;

    private CallNode Fraction()
    {
        var top = MathNumbers.Read(Peek()!.Value.Text);
        var bottom = MathNumbers.Read(Peek(2)!.Value.Text);
        Position += 3;
        return new CallNode("quotient", top, bottom);
    }

    /// <summary>The 1/2 % of 12 1/2 %.</summary>
    private static bool IsPercent(MathNode node)
        => node is CallNode { Name: "quotient", Arguments: [var part, NumberNode { IsDecimal: false } hundred] } && hundred.Value.Equals(100) && IsProper(part);

    private static bool IsProper(MathNode node)
        => node is CallNode { Name: "quotient", Arguments: [NumberNode { IsDecimal: false } top, NumberNode { IsDecimal: false } bottom] } && top.Value.CompareTo(bottom.Value) < 0
            && top.Value.IsInteger && bottom.Value.IsInteger && top.Value.Sign > 0;

    /// <summary>Steps over units after a value; million and its like multiply. False when the word is no unit.</summary>
    private bool Unit(List<MathNode> factors)
    {
        string word = Peek()!.Value.Text;
        if (MathWords.NoUnits.Contains(word) || factors.Any(f => f is SymbolNode { IsConstant: false } symbol && symbol.Name.Length > 1))
            throw new MathFormatException($"'{word}' after a value");
        Position++;
        if (MathWords.Multipliers.TryGetValue(word, out long times))
        {
            factors.Add(new NumberNode(times));
            return true;
        }

        while (UnitTail())
        {
        }

        return true;
    }

    /// <summary>Steps over a fraction of two units, written in text, after a value.</summary>
    private bool UnitFraction()
    {
        if (!(Next("frac") || Next("dfrac") || Next("tfrac")) || !Next("{", 1) || !Next("}", 3) || !Next("{", 4) || !Next("}", 6) || !IsWord(2) || !IsWord(5))
            return false;
        Position += 7;
        return true;
    }

    private bool IsWord(int ahead) => Peek(ahead) is { Kind: MathTokenKind.Word } word && !MathWords.NoUnits.Contains(word.Text) && !MathWords.Multipliers.ContainsKey(word.Text);

    /// <summary>The rest of km/h, cm^2, m s^{-1}.</summary>
    private bool UnitTail()
    {
        if (Next("^") && Peek(1) is { Kind: MathTokenKind.Number })
            Position += 2;
        else if (Next("^") && Next("{", 1))
            while (Position < Tokens.Count && !Take("}"))
                Position++;
        else if ((Next("/") || Next("cdot") || Next("-")) && Peek(1) is { Kind: MathTokenKind.Word or MathTokenKind.Letter })
            Position += 2;
        else if (IsWord(0))
            Position++;
        else
            return false;
        return true;
    }

    /// <summary>Whether the next token begins a factor that is multiplied without an operator.</summary>
    private bool StartsFactor()
    {
        if (Peek() is not { } token || IsUnionLetter())
            return false;
        return token.Kind switch
        {
            MathTokenKind.Number or MathTokenKind.Letter => true,
            MathTokenKind.Word => false,
            MathTokenKind.Command => !Enders.Contains(token.Text) && !IsRelation(token.Text) && !token.Text.StartsWith("end:", StringComparison.Ordinal),
            _ => token.Text is "(" or "{" || token.Text == "|" && Bars == 0,
        };
    }

    /// <summary>An atom with what follows it: powers, factorials, percent, degrees.</summary>
    protected MathNode Power()
    {
        var node = Atom();
        for (int count = 0; ; count++)
        {
            if (count > 8)
                throw new MathFormatException("more than 8 marks after one value");
            if (Next("!") && !Next("=", 1))
                node = Factorial(node);
            else if (Take("%"))
                node = new CallNode("quotient", node, new NumberNode(100));
            else if (Take("circ") || Take("degree") || TakeDegree())
                node = Degree(node);
            else if (Take("^"))
                node = new CallNode("power", node, Exponent());
            else
                return node;
        }
    }

    /// <summary>An angle, or a temperature with the letter of its scale.</summary>
    private CallNode Degree(MathNode node)
    {
        if (Peek() is { Kind: MathTokenKind.Letter, Text: "C" or "F" })
            Position++;
        return new CallNode("degree", node);
    }

    private CallNode Factorial(MathNode node)
    {
        Position++;
        if (Next("!"))
            throw new MathFormatException("a double factorial");
        return new CallNode("factorial", node);
    }

    /// <summary>^\circ and ^{\circ}.</summary>
    private bool TakeDegree()
    {
        bool braces = Next("^") && Next("{", 1) && (Next("circ", 2) || Next("degree", 2)) && Next("}", 3);
        if (!braces && !(Next("^") && (Next("circ", 1) || Next("degree", 1))))
            return false;
        Position += braces ? 4 : 2;
        return true;
    }

    /// <summary>One value between operators. All nesting but that of exponents goes through here, so here it is bounded.</summary>
    protected MathNode Atom()
    {
        if (++_depth > MaxDepth)
            throw new MathFormatException($"nesting deeper than {MaxDepth}");
        var node = ReadAtom();
        _depth--;
        return node;
    }

    /// <summary>The rest of 3^4^5 above a 2.</summary>
    private CallNode Tower(MathNode node)
    {
        if (++_depth > MaxDepth)
            throw new MathFormatException($"a tower of more than {MaxDepth} powers");
        Expect("^");
        var tower = new CallNode("power", node, Exponent());
        _depth--;
        return tower;
    }

    /// <summary>The value that begins at the next token.</summary>
    protected abstract MathNode ReadAtom();

    /// <summary>An exponent: a braced one, or one atom with its sign; 2^3^4 is 2^(3^4).</summary>
    protected MathNode Exponent()
    {
        bool negative = Take("-");
        if (!negative)
            Take("+");
        var node = Atom();
        if (Next("^"))
            node = Tower(node);
        return negative ? new CallNode("negate", node) : node;
    }
}
