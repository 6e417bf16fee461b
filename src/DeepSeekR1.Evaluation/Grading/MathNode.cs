namespace DeepSeekR1.Evaluation.Grading;

/// <summary>A parsed mathematical answer. Immutable; depth and size are bounded by the parser.</summary>
internal abstract record MathNode
{
    /// <summary>Nodes directly below.</summary>
    internal virtual IEnumerable<MathNode> Children => [];

    /// <summary>This node and everything below.</summary>
    internal IEnumerable<MathNode> All()
    {
        var rest = new Stack<MathNode>([this]);
        while (rest.TryPop(out var node))
        {
            yield return node;
            foreach (var child in node.Children)
                rest.Push(child);
        }
    }
}

/// <summary>An exact number; <paramref name="IsDecimal"/> when it was written with a decimal point, so that it may be rounded.</summary>
internal sealed record NumberNode(BigRational Value, bool IsDecimal = false) : MathNode;

/// <summary>A variable, a word, or one of the constants pi, e, i.</summary>
internal sealed record SymbolNode(string Name) : MathNode
{
    internal bool IsConstant => Name is "pi" or "e" or "i";
}

/// <summary>Infinity without its sign.</summary>
internal sealed record InfinityNode : MathNode;

/// <summary>Operators and functions: sum, product, quotient, power, root, negate, plusminus, minusplus, degree, sin, log, ...</summary>
internal sealed record CallNode(string Name, IReadOnlyList<MathNode> Arguments) : MathNode
{
    internal CallNode(string name, params MathNode[] arguments) : this(name, (IReadOnlyList<MathNode>)arguments)
    {
    }

    internal override IEnumerable<MathNode> Children => Arguments;
}

/// <summary>A chain of relations: members and the operators between them (=, ne, lt, le, gt, ge, in).</summary>
internal sealed record RelationNode(IReadOnlyList<MathNode> Members, IReadOnlyList<string> Operators, bool DefinesFunction = false) : MathNode
{
    internal override IEnumerable<MathNode> Children => Members;
}

/// <summary>Several values: "list" (bare commas), "set" (braces), "bracket" (tuple or interval, ends in Open and Close), "union".</summary>
internal sealed record GroupNode(string Kind, IReadOnlyList<MathNode> Items, char Open = ' ', char Close = ' ') : MathNode
{
    internal override IEnumerable<MathNode> Children => Items;
}

/// <summary>A matrix by rows.</summary>
internal sealed record MatrixNode(IReadOnlyList<IReadOnlyList<MathNode>> Rows) : MathNode
{
    internal override IEnumerable<MathNode> Children => Rows.SelectMany(row => row);
}
