namespace DeepSeekR1.Engine.Scheduling;

/// <summary>The blocks of one sequence in token order.</summary>
public sealed class BlockTable
{
    private int[] _blocks = new int[8];
    private int[]? _snapshot;

    /// <summary>Number of blocks.</summary>
    public int Count { get; private set; }

    /// <summary>The blocks so far.</summary>
    public ReadOnlyMemory<int> Blocks => _blocks.AsMemory(0, Count);

    /// <summary>The blocks as they are now. Made anew when the table has changed, so that steps may keep it: a table changes once in many tokens.</summary>
    public int[] Snapshot() => _snapshot ??= Blocks.ToArray();

    /// <summary>Blocks at the front whose content is known to the prefix cache.</summary>
    internal int Published { get; set; }

    /// <summary>Cache entry of the last published block; the next one continues its chain.</summary>
    internal CachedBlock? Tail { get; set; }

    /// <summary>Appends a block.</summary>
    internal void Add(int block)
    {
        if (Count == _blocks.Length)
            Array.Resize(ref _blocks, 2 * Count);
        _blocks[Count++] = block;
        _snapshot = null;
    }

    /// <summary>Takes the last block away.</summary>
    internal int RemoveLast()
    {
        _snapshot = null;
        return _blocks[--Count];
    }

    /// <summary>Forgets all blocks.</summary>
    internal void Clear()
    {
        Count = Published = 0;
        _snapshot = null;
        Tail = null;
    }
}

/// <summary>What a full block holds: its own tokens after those of its parent.</summary>
/// <param name="Block">The block.</param>
/// <param name="Parent">Entry of the block before it; null for the first. The very entry: an equal hash is not enough.</param>
/// <param name="Salt">Tenant; only equal salts share.</param>
/// <param name="Tokens">The block's token ids.</param>
/// <param name="Hash">Chained over parent, salt and tokens.</param>
internal sealed record CachedBlock(int Block, CachedBlock? Parent, string? Salt, int[] Tokens, ulong Hash);

/// <summary>
/// Who holds which block of the KV cache, and what full blocks contain: integers only, engine thread only. A block is held by any
/// number of tables, or free. A free block keeps its content until it is needed for something else, least recently used first, so
/// a later sequence with the same beginning finds it: the prefix cache.
/// </summary>
public sealed class BlockManager
{
    private readonly int[] _references;
    private readonly CachedBlock?[] _content;
    private readonly LinkedListNode<int>[] _nodes;
    private readonly Dictionary<ulong, CachedBlock> _byHash = [];

    /// <summary>Free blocks, next to be taken first.</summary>
    private readonly LinkedList<int> _free = new();

    /// <summary>All blocks are free and empty.</summary>
    /// <param name="numBlocks">Blocks in the cache.</param>
    /// <param name="blockSize">Tokens per block.</param>
    /// <param name="sharesPrefixes">Whether the content of full blocks is found again.</param>
    public BlockManager(int numBlocks, int blockSize, bool sharesPrefixes = true)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(numBlocks, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(blockSize, 1);
        BlockSize = blockSize;
        NumBlocks = numBlocks;
        SharesPrefixes = sharesPrefixes;
        _references = new int[numBlocks];
        _content = new CachedBlock?[numBlocks];
        _nodes = [.. Enumerable.Range(0, numBlocks).Select(_free.AddLast)];
    }

    /// <summary>Tokens per block.</summary>
    public int BlockSize { get; }

    /// <summary>Blocks in the cache.</summary>
    public int NumBlocks { get; }

    /// <summary>Whether the content of full blocks is found again.</summary>
    public bool SharesPrefixes { get; }

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
            int block = _free.First!.Value;
            Take(block);
            Forget(block);
            table.Add(block);
        }

        return true;
    }

    /// <summary>
    /// Gives an empty table the longest run of known blocks that the tokens begin with, if the rest of them has room too; false, and
    /// nothing changed, otherwise. The last token is never taken from the cache: its logits are wanted.
    /// </summary>
    /// <param name="table">An empty table.</param>
    /// <param name="tokens">All known tokens of the sequence.</param>
    /// <param name="salt">Tenant.</param>
    /// <param name="share">False looks nothing up.</param>
    public bool TryBegin(BlockTable table, ReadOnlySpan<int> tokens, string? salt, bool share = true)
    {
        var found = share && SharesPrefixes ? Find(tokens, salt) : [];
        int revived = found.Count(entry => _references[entry.Block] == 0);
        if (BlocksFor(tokens.Length) - found.Count > _free.Count - revived)
            return false;
        foreach (var entry in found)
        {
            Take(entry.Block);
            table.Add(entry.Block);
            table.Tail = entry;
        }

        table.Published = found.Count;
        return true;
    }

    /// <summary>
    /// Makes the content of a table's full blocks known. Called when a step that computes them is made: within a step keys are
    /// written before they are read, so even sequences of that same step may share them.
    /// </summary>
    /// <param name="table">The table.</param>
    /// <param name="tokens">The sequence's tokens that are computed, or will be by the step being made.</param>
    /// <param name="salt">Tenant.</param>
    public void Publish(BlockTable table, ReadOnlySpan<int> tokens, string? salt)
    {
        if (!SharesPrefixes)
            return;
        for (int i = table.Published; i < tokens.Length / BlockSize; i++)
        {
            var own = tokens.Slice(i * BlockSize, BlockSize);
            ulong hash = Hash(table.Tail, salt, own);

            // The same content may be in another block already, when two sequences computed it at once; that one stays the known one
            // and this chain goes on from it.
            if (!_byHash.TryGetValue(hash, out var entry) || !Holds(entry, table.Tail, salt, own))
            {
                int block = table.Blocks.Span[i];
                if (entry is not null)
                    Forget(entry.Block);
                entry = new CachedBlock(block, table.Tail, salt, own.ToArray(), hash);
                _content[block] = entry;
                _byHash[hash] = entry;
            }

            table.Tail = entry;
            table.Published = i + 1;
        }
    }

    /// <summary>Lets go of all blocks of a table. Blocks at its end are reused first: beginnings are what others share.</summary>
    public void Free(BlockTable table)
    {
        Shrink(table, 0);
        table.Clear();
    }

    /// <summary>Lets go of the blocks at a table's end that so many tokens do not need; blocks with published content stay, unless all go.</summary>
    public void Shrink(BlockTable table, int tokens)
    {
        int wanted = tokens == 0 ? 0 : Math.Max(BlocksFor(tokens), table.Published);
        while (table.Count > wanted)
        {
            int block = table.RemoveLast();
            if (--_references[block] > 0)
                continue;
            if (_content[block] is null)
                _free.AddFirst(_nodes[block]);
            else
                _free.AddLast(_nodes[block]);
        }
    }

    /// <summary>Whether a block's content can be found.</summary>
    public bool IsKnown(int block) => _content[block] is not null;

    /// <summary>Forgets all content: the weights, or the memory of the cache, have changed.</summary>
    public void Reset()
    {
        _byHash.Clear();
        Array.Clear(_content);
    }

    /// <summary>Checks that every block is free, or in as many tables as it has references, and that content is where it is known to be.</summary>
    /// <exception cref="InvalidOperationException">Something does not add up; the message names the block.</exception>
    public void CheckIntegrity(IEnumerable<BlockTable> tables)
    {
        var held = new int[NumBlocks];
        foreach (var table in tables)
            foreach (int block in table.Blocks.Span)
                held[block]++;
        var free = new HashSet<int>(_free);
        if (free.Count != _free.Count)
            throw new InvalidOperationException("A block is free twice.");
        for (int block = 0; block < NumBlocks; block++)
        {
            if (held[block] != _references[block])
                throw new InvalidOperationException($"Block {block} is in {held[block]} tables and has {_references[block]} references.");
            if (free.Contains(block) != (held[block] == 0))
                throw new InvalidOperationException($"Block {block} is {(held[block] == 0 ? "lost: neither free nor in a table" : "free and in a table")}.");
            if (_content[block] is { } content && (content.Block != block || !ReferenceEquals(_byHash.GetValueOrDefault(content.Hash), content)))
                throw new InvalidOperationException($"Block {block} has content that cannot be found.");
        }

        foreach (var entry in _byHash.Values)
            if (!ReferenceEquals(_content[entry.Block], entry))
                throw new InvalidOperationException($"Block {entry.Block} is known for content that it no longer has.");
    }

    private List<CachedBlock> Find(ReadOnlySpan<int> tokens, string? salt)
    {
        var found = new List<CachedBlock>();
        CachedBlock? parent = null;
        for (int i = 0; (i + 1) * BlockSize < tokens.Length; i++)
        {
            var own = tokens.Slice(i * BlockSize, BlockSize);
            if (!_byHash.TryGetValue(Hash(parent, salt, own), out var entry) || !Holds(entry, parent, salt, own))
                break;
            found.Add(entry);
            parent = entry;
        }

        return found;
    }

    /// <summary>The tokens themselves are compared, and the whole chain before them by identity: a hash never serves wrong keys.</summary>
    private static bool Holds(CachedBlock entry, CachedBlock? parent, string? salt, ReadOnlySpan<int> tokens)
        => ReferenceEquals(entry.Parent, parent) && entry.Salt == salt && tokens.SequenceEqual(entry.Tokens);

    private static ulong Hash(CachedBlock? parent, string? salt, ReadOnlySpan<int> tokens)
    {
        ulong hash = parent?.Hash ?? 14695981039346656037UL ^ (ulong)(salt?.GetHashCode(StringComparison.Ordinal) ?? 0);
        foreach (int token in tokens)
        {
            hash = (hash ^ (uint)token) * 0x9E3779B97F4A7C15UL;
            hash ^= hash >> 29;
        }

        return hash;
    }

    private void Take(int block)
    {
        if (_references[block]++ == 0)
            _free.Remove(_nodes[block]);
    }

    private void Forget(int block)
    {
        if (_content[block] is not { } content)
            return;
        _byHash.Remove(content.Hash);
        _content[block] = null;
    }
}
