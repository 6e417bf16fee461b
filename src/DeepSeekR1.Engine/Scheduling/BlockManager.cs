namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// The blocks of one sequence in token order. Append-only while the sequence runs, so a slice handed to a running step stays
/// valid when the table grows.
/// </summary>
public sealed class BlockTable
{
    private int[] _blocks = new int[8];

    /// <summary>Number of blocks.</summary>
    public int Count { get; private set; }

    /// <summary>The blocks so far.</summary>
    public ReadOnlyMemory<int> Blocks => _blocks.AsMemory(0, Count);

    /// <summary>Appends a block.</summary>
    internal void Add(int block)
    {
        if (Count == _blocks.Length)
            Array.Resize(ref _blocks, 2 * Count);
        _blocks[Count++] = block;
    }

    /// <summary>Forgets all blocks. A running step may still hold the old array, so a fresh one is begun.</summary>
    internal void Clear()
    {
        _blocks = new int[8];
        Count = 0;
    }
}

/// <summary>
/// Who holds which block of the KV cache: integers only. Engine thread only. Every block is either free or in exactly one table.
/// </summary>
public sealed class BlockManager
{
    private readonly Stack<int> _free;
    private readonly bool[] _used;

    /// <summary>All blocks are free.</summary>
    public BlockManager(int numBlocks, int blockSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(numBlocks, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(blockSize, 1);
        BlockSize = blockSize;
        NumBlocks = numBlocks;
        _used = new bool[numBlocks];
        _free = new Stack<int>(Enumerable.Range(0, numBlocks).Reverse());
    }

    /// <summary>Tokens per block.</summary>
    public int BlockSize { get; }

    /// <summary>Blocks in the cache.</summary>
    public int NumBlocks { get; }

    /// <summary>Blocks that nobody holds.</summary>
    public int FreeBlocks => _free.Count;

    /// <summary>Blocks held by sequences.</summary>
    public int UsedBlocks => NumBlocks - _free.Count;

    /// <summary>Blocks that a sequence of this length needs.</summary>
    public int BlocksFor(int tokens) => (tokens + BlockSize - 1) / BlockSize;

    /// <summary>Grows a table until it holds this many tokens; false, and nothing changed, when too few blocks are free.</summary>
    public bool TryGrow(BlockTable table, int tokens)
    {
        int wanted = BlocksFor(tokens) - table.Count;
        if (wanted > _free.Count)
            return false;
        for (int i = 0; i < wanted; i++)
        {
            int block = _free.Pop();
            _used[block] = true;
            table.Add(block);
        }

        return true;
    }

    /// <summary>Frees all blocks of a table.</summary>
    public void Free(BlockTable table)
    {
        foreach (int block in table.Blocks.Span)
        {
            _used[block] = false;
            _free.Push(block);
        }

        table.Clear();
    }

    /// <summary>Checks that every block is free or in exactly one of the tables.</summary>
    /// <exception cref="InvalidOperationException">A block is lost, free twice or held twice.</exception>
    public void CheckIntegrity(IEnumerable<BlockTable> tables)
    {
        var seen = new bool[NumBlocks];
        void See(int block, string where)
        {
            if (seen[block])
                throw new InvalidOperationException($"Block {block} is {where} and elsewhere.");
            seen[block] = true;
        }

        foreach (int block in _free)
        {
            See(block, "free");
            if (_used[block])
                throw new InvalidOperationException($"Block {block} is free and marked as used.");
        }

        foreach (var table in tables)
            foreach (int block in table.Blocks.Span)
                See(block, "in a table");
        int lost = Array.IndexOf(seen, false);
        if (lost >= 0)
            throw new InvalidOperationException($"Block {lost} is neither free nor in a table.");
    }
}
