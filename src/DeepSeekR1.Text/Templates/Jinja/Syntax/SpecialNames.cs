namespace DeepSeekR1.Text.Templates.Jinja.Syntax;

/// <summary>
/// Counts the uses of names that loops and macros define. A loop or macro compares the counts before and behind its body: what the body
/// does not read is not made.
/// </summary>
internal sealed class SpecialNames
{
    private static readonly string[] Names = ["loop", "caller", "kwargs", "varargs"];

    private int[] _reads = new int[Names.Length];

    /// <summary>How often <c>loop</c> was assigned so far.</summary>
    public int LoopStores { get; private set; }

    /// <summary>How often one of the names was read so far.</summary>
    public int ReadsOf(string special) => _reads[Array.IndexOf(Names, special)];

    /// <summary>A name is read.</summary>
    public void Read(string name)
    {
        if (Array.IndexOf(Names, name) is var special and >= 0)
            _reads[special]++;
    }

    /// <summary>A name is assigned.</summary>
    public void Store(string name) => LoopStores += name == "loop" ? 1 : 0;

    /// <summary>Parses something whose names do not count as read.</summary>
    public Expression WithoutReads(Func<Expression> parse)
    {
        var before = (int[])_reads.Clone();
        var parsed = parse();
        _reads = before;
        return parsed;
    }
}
