namespace DeepSeekR1.Evaluation.Grading;

/// <summary>Equations and inequalities: the same when one is the other times a constant; inequalities in one variable as intervals.</summary>
internal sealed class RelationComparer(Effort effort)
{
    private const int MaxRelations = 8;

    private sealed record Pair(MathNode Left, string Operator, MathNode Right)
    {
        internal MathNode Difference => new CallNode("sum", Left, new CallNode("negate", Right));
    }

    internal bool Same(RelationNode gold, RelationNode answer, MathComparer values)
    {
        List<Pair> a = Pairs(gold), b = Pairs(answer);
        return a.Count == b.Count && a.Count <= MaxRelations && a.All(x => b.Any(y => Same(x, y, values))) && b.All(y => a.Any(x => Same(x, y, values)));
    }

    /// <summary>The intervals of a union, of one interval, or (gold only) of inequalities in one variable; null when it is nothing of these.</summary>
    internal IReadOnlyList<MathNode>? Region(MathNode node, bool fromInequality)
    {
        switch (node)
        {
            case GroupNode { Kind: "union" } union:
                return union.Items;
            case GroupNode { Kind: "bracket", Items.Count: 2 } or GroupNode { Kind: "set" }:
                return [node];
            case SymbolNode { Name: "mathbb R" }:
                return [new GroupNode("bracket", [new CallNode("negate", new InfinityNode()), new InfinityNode()], '(', ')')];
            case GroupNode { Kind: "list" } list when fromInequality:
                var parts = list.Items.Select(i => i is RelationNode r ? Interval(r) : null).ToList();
                return parts.All(p => p is not null) ? [.. parts.Select(p => p!)] : null;
            case RelationNode relation when fromInequality:
                return Interval(relation) is { } interval ? [interval] : null;
            default:
                return null;
        }
    }

    /// <summary>Pairs with "lt" and "le" only, besides eq, ne and in; a chain of equations is its ends.</summary>
    private static List<Pair> Pairs(RelationNode relation)
    {
        if (relation.Operators.All(o => o == "eq"))
            return [new Pair(relation.Members[0], "eq", relation.Members[^1])];
        var pairs = new List<Pair>();
        for (int i = 0; i < relation.Operators.Count; i++)
            pairs.Add(relation.Operators[i] switch
            {
                "gt" => new Pair(relation.Members[i + 1], "lt", relation.Members[i]),
                "ge" => new Pair(relation.Members[i + 1], "le", relation.Members[i]),
                _ => new Pair(relation.Members[i], relation.Operators[i], relation.Members[i + 1]),
            });
        return pairs;
    }

    private bool Same(Pair gold, Pair answer, MathComparer values)
    {
        if (gold.Operator != answer.Operator)
            return false;
        bool plain = gold.Left is not CallNode and not NumberNode && answer.Left is not CallNode and not NumberNode;
        if (gold.Operator == "in" || plain && gold.Right is GroupNode or MatrixNode)
            return values.Same(gold.Left, answer.Left) && values.Same(gold.Right, answer.Right);
        if (Infinite(gold) || Infinite(answer))
            return values.Same(gold.Left, answer.Left) && values.Same(gold.Right, answer.Right);
        if (gold.Left is SymbolNode x && answer.Left is SymbolNode y && x.Name == y.Name && gold.Operator == "eq")
            return values.Same(gold.Right, answer.Right);
        if (MathValues.ConstantRatio(gold.Difference, answer.Difference, effort) is not { } ratio || !ratio.IsReal)
            return false;
        return gold.Operator is "eq" or "ne" || ratio.Re.Sign > 0;
    }

    /// <summary>Whether a relation's only variable is this one.</summary>
    internal bool IsAbout(RelationNode relation, MathNode name)
        => name is SymbolNode symbol && relation.All().OfType<SymbolNode>().Where(s => !s.IsConstant).All(s => s.Name == symbol.Name);

    /// <summary>a &lt; x &lt; b from an inequality with the lower bound and one with the upper bound of the same variable, if a &lt; b.</summary>
    internal RelationNode? Between(RelationNode lower, RelationNode upper)
    {
        if (Interval(lower) is not { Items: [var low, InfinityNode] } below
            || Interval(upper) is not { Items: [CallNode { Name: "negate", Arguments: [InfinityNode] }, var high] } above)
            return null;
        var name = lower.All().OfType<SymbolNode>().First(s => !s.IsConstant);
        bool ordered = MathValues.At(low, 0, effort) is { IsReal: true } a && MathValues.At(high, 0, effort) is { IsReal: true } b && a.Re.CompareTo(b.Re) < 0;
        return ordered && IsAbout(upper, name) ? new RelationNode([low, name, high], [below.Open == '[' ? "le" : "lt", above.Close == ']' ? "le" : "lt"]) : null;
    }

    private static bool Infinite(Pair pair) => pair.Left is InfinityNode || pair.Right.All().Any(n => n is InfinityNode) || pair.Left.All().Any(n => n is InfinityNode);

    /// <summary>The interval of one or two linear inequalities in one variable, null when they are something else.</summary>
    private GroupNode? Interval(RelationNode relation)
    {
        string[] names = [.. relation.All().OfType<SymbolNode>().Where(s => !s.IsConstant).Select(s => s.Name).Distinct()];
        if (names.Length != 1 || relation.Operators.Any(o => o is "eq" or "in"))
            return null;
        if (relation.Operators is ["ne"])
            return null;
        MathNode low = new CallNode("negate", new InfinityNode()), high = new InfinityNode();
        bool closedLow = false, closedHigh = false;
        foreach (var pair in Pairs(relation))
        {
            if (Infinite(pair))
                continue;
            if (Bound(pair.Difference, names[0]) is not { } bound)
                return null;
            if (bound.IsUpper)
                (high, closedHigh) = (bound.Value, pair.Operator == "le");
            else
                (low, closedLow) = (bound.Value, pair.Operator == "le");
        }

        return new GroupNode("bracket", [low, high], closedLow ? '[' : '(', closedHigh ? ']' : ')');
    }

    /// <summary>For f(x) = a x + b below 0: -b / a, an upper bound if a > 0. Null when f is not linear.</summary>
    private (MathNode Value, bool IsUpper)? Bound(MathNode f, string name)
    {
        MathNode At(long x) => Put(f, name, new NumberNode(x));
        MathNode Minus(MathNode a, MathNode b) => new CallNode("sum", a, new CallNode("negate", b));
        var slope = Minus(At(1), At(0));
        bool linear = MathValues.Same(slope, Minus(At(2), At(1)), effort) && MathValues.Same(new CallNode("product", new NumberNode(7), slope), Minus(At(8), At(1)), effort);
        if (!linear || MathValues.At(slope, 0, effort) is not { IsReal: true } value || value.Re.Abs().CompareTo(BigFloat.From(1).Scale(-150)) < 0)
            return null;
        return (new CallNode("negate", new CallNode("quotient", At(0), slope)), value.Re.Sign > 0);
    }

    private static MathNode Put(MathNode node, string name, MathNode value) => node switch
    {
        SymbolNode symbol when symbol.Name == name => value,
        CallNode call => new CallNode(call.Name, [.. call.Arguments.Select(a => Put(a, name, value))]),
        _ => node,
    };
}
