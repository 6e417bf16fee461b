namespace DeepSeekR1.Evaluation.Grading;

/// <summary>
/// Verdict on two parsed answers, not symmetric: an interval is accepted for an inequality, an inequality not for an interval. Values are
/// compared by <see cref="MathValues"/>, relations by <see cref="RelationComparer"/>; here are lists, sets, tuples, unions and matrices.
/// </summary>
internal sealed class MathComparer(Effort effort)
{
    private const int MaxSigns = 6;
    private readonly RelationComparer _relations = new(effort);

    internal bool Same(MathNode gold, MathNode answer)
    {
        effort.Spend(10);
        (gold, answer) = (Exact(gold), Exact(answer));
        if (gold is RelationNode a && answer is RelationNode b)
            return _relations.Same(a, b, this) || BothUnwrapped(a, b) || IsInequality(a) && b is { Operators: ["in"] } && _relations.IsAbout(a, b.Members[0])
                && SameRegion(a, b.Members[1]);
        if (Joined(gold) is { } goldChain && answer is RelationNode chain)
            return _relations.Same(goldChain, chain, this);
        if (gold is RelationNode whole && Joined(answer) is { } answerChain)
            return _relations.Same(whole, answerChain, this);
        if (answer is RelationNode relation)
            return Unwrap(relation) is { } inner && Same(gold, inner);
        if (gold is RelationNode goldRelation)
            return Unwrap(goldRelation) is { } inner ? Same(inner, answer) : SameRegion(gold, answer);
        gold = Expand(Spread(gold));
        answer = Expand(Spread(answer));
        return gold is GroupNode || answer is GroupNode ? SameGroup(gold, answer) : SameValue(gold, answer);
    }

    /// <summary>Of 7/24 = 0.29 where the equals sign says "about" the exact part, if the rest is within 10 % of it; x = 0.29 where the left side is a name.</summary>
    private MathNode Exact(MathNode node)
    {
        int at = node is RelationNode any ? any.Operators.ToList().IndexOf("approx") : -1;
        if (at < 0)
            return node;
        var relation = (RelationNode)node;
        bool near = MathValues.At(relation.Members[at], 0, effort) is { } exact && MathValues.At(relation.Members[at + 1], 0, effort) is { } rounded
            && ((exact - rounded).Size() * BigFloat.From(10)).CompareTo(exact.Size()) <= 0;
        bool hasName = relation.Members[at].All().Any(n => n is SymbolNode { IsConstant: false });
        if (hasName || !near)
            return relation with { Operators = [.. relation.Operators.Select(o => o == "approx" ? "eq" : o)] };
        return at == 0 ? relation.Members[0] : new RelationNode([.. relation.Members.Take(at + 1)], [.. relation.Operators.Take(at)], relation.DefinesFunction);
    }

    /// <summary>x = 2 + 3 = 5 and x = 5: the same name with the same value.</summary>
    private bool BothUnwrapped(RelationNode gold, RelationNode answer)
        => gold.Operators.Concat(answer.Operators).All(o => o == "eq") && gold.Members[0] is SymbolNode { IsConstant: false } name && answer.Members[0] is SymbolNode other
            && name.Name == other.Name && Same(gold.Members[^1], answer.Members[^1]);

    /// <summary>The value of x = 5, 5 = x, x in S, (x, y) = (1, 2), f(x) = x + 1 or of a true chain of numbers; null for other relations.</summary>
    private MathNode? Unwrap(RelationNode relation)
    {
        MathNode first = relation.Members[0], last = relation.Members[^1];
        if (relation.Operators is ["in"] && first is SymbolNode)
            return last;
        if (!relation.Operators.All(o => o == "eq"))
            return null;
        if (relation.DefinesFunction || IsName(first) && (!IsName(last) || last is SymbolNode))
            return last;
        if (relation.Operators.Count == 1 && last is SymbolNode { IsConstant: false })
            return first;
        return relation.All().Any(n => n is SymbolNode { IsConstant: false }) || !Same(first, last) ? null : last;
    }

    private static bool IsName(MathNode node)
        => node is SymbolNode { IsConstant: false } || node is GroupNode { Kind: "bracket" or "list" } group && group.Items.All(i => i is SymbolNode { IsConstant: false });

    /// <summary>
    /// The chain a &lt; x &lt; b of the two inequalities x > a and x &lt; b, null for others. Only where a is below b, so that "and" is meant and not "or".
    /// </summary>
    private RelationNode? Joined(MathNode node)
    {
        if (node is not GroupNode { Kind: "list", Items: [RelationNode { Operators.Count: 1 } first, RelationNode { Operators.Count: 1 } second] }
            || !IsInequality(first) || !IsInequality(second))
            return null;
        return _relations.Between(first, second) ?? _relations.Between(second, first);
    }

    /// <summary>Both values of a plus-minus sign as a list.</summary>
    private static MathNode Expand(MathNode node)
    {
        if (node is GroupNode { Kind: "list" or "set" } group)
            return group with { Items = [.. group.Items.SelectMany(i => Expand(i) is GroupNode { Kind: "list" } inner ? inner.Items : (IReadOnlyList<MathNode>)[i])] };
        int signs = Signs(node);
        return signs is 0 or > MaxSigns ? node : new GroupNode("list", [Signed(node, true), Signed(node, false)]);
    }

    /// <summary>Signs of two values that <see cref="Signed"/> reaches: one inside a list or matrix would outlive the expansion, which would never end.</summary>
    private static int Signs(MathNode node) => node is CallNode call ? (call.Name is "plusminus" or "minusplus" ? 1 : 0) + call.Arguments.Sum(Signs) : 0;

    private static MathNode Signed(MathNode node, bool plus) => node switch
    {
        CallNode { Name: "plusminus" } call => plus ? Signed(call.Arguments[0], plus) : new CallNode("negate", Signed(call.Arguments[0], plus)),
        CallNode { Name: "minusplus" } call => plus ? new CallNode("negate", Signed(call.Arguments[0], plus)) : Signed(call.Arguments[0], plus),
        CallNode call => new CallNode(call.Name, [.. call.Arguments.Select(a => Signed(a, plus))]),
        _ => node,
    };

    private bool SameGroup(MathNode gold, MathNode answer)
    {
        if (IsUnion(gold) || IsUnion(answer) || IsReals(gold) || IsReals(answer))
            return SameRegion(gold, answer);
        if (gold is GroupNode { Kind: "bracket" } a && answer is GroupNode { Kind: "bracket" } b)
            return (SameEnds(a, b) || a.Items.Count > 2) && SameInOrder(a.Items, b.Items);
        if (gold is GroupNode { Kind: "bracket" } goldTuple)
            return answer is GroupNode { Kind: "list" } list && IsTuple(goldTuple) && SameInOrder(goldTuple.Items, list.Items);
        if (answer is GroupNode { Kind: "bracket" } tuple && gold is GroupNode { Kind: "list" } goldList && goldList.Items.Count > 1 && goldList.Items[0] is not GroupNode)
            return IsTuple(tuple) && SameInOrder(goldList.Items, tuple.Items);
        IReadOnlyList<MathNode> left = Members(gold), right = Members(answer);
        if (left is [var only] && right is [var other] && ReferenceEquals(only, gold) && ReferenceEquals(other, answer))
            return false; // a tuple against a single value
        if (left.Count > 1 && (NamesDiffer(left) || NamesDiffer(right) && !AreIndices(right)) && !(NamesDiffer(left) && NamesDiffer(right)))
            return SameInOrder(left, right);
        if (left.All(IsInequality) && left.Count > 1 && right.Count > 1 && !right.All(IsInequality))
            return SameRegion(gold, answer);
        return Covers(left, right, (g, x) => Same(g, x)) && Covers(right, left, (x, g) => Same(g, x));
    }

    private static bool IsUnion(MathNode node) => node is GroupNode { Kind: "union" };

    private static bool IsReals(MathNode node) => node is SymbolNode { Name: "mathbb R" };

    private static bool IsInequality(MathNode node) => node is RelationNode relation && relation.Operators.All(o => o is "lt" or "le" or "gt" or "ge");

    private static bool IsTuple(GroupNode group) => group is { Open: '(', Close: ')' } || group.Items.Count > 2;

    private static bool SameEnds(GroupNode a, GroupNode b) => a.Open == b.Open && a.Close == b.Close;

    private static IReadOnlyList<MathNode> Members(MathNode node) => node is GroupNode { Kind: "list" or "set" } group ? group.Items : [node];

    /// <summary>x = 1, y = 2: then the order of bare values matters.</summary>
    private static bool NamesDiffer(IReadOnlyList<MathNode> items)
        => items.All(i => i is RelationNode { Operators: ["eq"] } r && r.Members[0] is SymbolNode)
            && items.Select(i => ((SymbolNode)((RelationNode)i).Members[0]).Name).Distinct().Count() == items.Count;

    /// <summary>x_1 = 2, x_2 = 3: solutions for one unknown.</summary>
    private static bool AreIndices(IReadOnlyList<MathNode> items)
        => items.Select(i => ((SymbolNode)((RelationNode)i).Members[0]).Name.Split('_')).All(name => name is ["x" or "y" or "z" or "t", [>= '1' and <= '9']]);

    private bool SameInOrder(IReadOnlyList<MathNode> gold, IReadOnlyList<MathNode> answer)
        => gold.Count == answer.Count && gold.Zip(answer).All(pair => Same(pair.First, pair.Second));

    private static bool Covers(IReadOnlyList<MathNode> items, IReadOnlyList<MathNode> others, Func<MathNode, MathNode, bool> same)
        => items.All(item => others.Any(other => same(item, other)));

    private bool SameValue(MathNode gold, MathNode answer)
    {
        if (gold is MatrixNode a && answer is MatrixNode b)
            return a.Rows.Count == b.Rows.Count && a.Rows.Zip(b.Rows).All(rows => SameInOrder(rows.First, rows.Second));
        if (gold is SymbolNode x && answer is SymbolNode y && !x.IsConstant && !y.IsConstant)
            return string.Equals(x.Name, y.Name, StringComparison.OrdinalIgnoreCase);
        if (gold is CallNode { Name: "cap" or "setminus" } c && answer is CallNode d && c.Name == d.Name)
            return SameInOrder(c.Arguments, d.Arguments);
        int infinite = Infinity(gold);
        if (infinite != 0 || Infinity(answer) != 0)
            return infinite == Infinity(answer);
        return MathValues.Same(gold, answer, effort);
    }

    /// <summary>A matrix with factors before or behind it as one matrix.</summary>
    private static MathNode Spread(MathNode node) => node switch
    {
        CallNode { Name: "negate", Arguments: [MatrixNode matrix] } => Each(matrix, x => new CallNode("negate", x)),
        CallNode { Name: "product" } call when call.Arguments.Count(a => a is MatrixNode) == 1 && call.Arguments.All(a => a is MatrixNode or not GroupNode)
            => Each((MatrixNode)call.Arguments.First(a => a is MatrixNode), x => new CallNode("product", [.. call.Arguments.Select(a => a is MatrixNode ? x : a)])),
        _ => node,
    };

    private static MatrixNode Each(MatrixNode matrix, Func<MathNode, MathNode> change) => new([.. matrix.Rows.Select(row => (IReadOnlyList<MathNode>)[.. row.Select(change)])]);

    /// <summary>1 or -1 for infinity with that sign, 0 for anything else.</summary>
    internal static int Infinity(MathNode node) => node switch
    {
        InfinityNode => 1,
        CallNode { Name: "negate", Arguments: [InfinityNode] } => -1,
        _ => 0,
    };

    /// <summary>Unions of intervals, and inequalities against intervals.</summary>
    private bool SameRegion(MathNode gold, MathNode answer)
    {
        if (_relations.Region(gold, fromInequality: true) is not { } left || _relations.Region(answer, fromInequality: false) is not { } right)
            return false;
        return left.Count == right.Count && Covers(left, right, Same) && Covers(right, left, (x, g) => Same(g, x));
    }
}
