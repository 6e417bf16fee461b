using System.Text;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Text.Tokenization;

/// <summary>
/// Byte-level BPE with a heap: time n log n in the length of the pre-token. Bytes that the vocabulary lacks are left out before
/// merging, as the reference does without an unknown token. Immutable, any thread.
/// </summary>
internal sealed class LongPieceEncoder
{
    private readonly Dictionary<(int Left, int Right), (int Rank, int Id)> _merges;
    private readonly int[] _idOfByte = new int[256];

    /// <summary>Builds the tables.</summary>
    public LongPieceEncoder(ModelTextAssets assets)
    {
        _merges = new Dictionary<(int, int), (int, int)>(assets.Merges.Count);
        for (var rank = 0; rank < assets.Merges.Count; rank++)
        {
            var (left, right) = assets.Merges[rank];
            _merges[(assets.Vocabulary[left], assets.Vocabulary[right])] = (rank, assets.Vocabulary[left + right]);
        }
        for (var value = 0; value < 256; value++)
            _idOfByte[value] = assets.Vocabulary.TryGetValue($"{ByteAlphabet.CharOf((byte)value)}", out var id) ? id : -1;
    }

    /// <summary>Appends the ids of a pre-token.</summary>
    public void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        var symbols = new List<Symbol>(piece.Length * 2);
        var bytes = new byte[Encoding.UTF8.GetByteCount(piece)];
        Encoding.UTF8.GetBytes(piece, bytes);
        foreach (var value in bytes)
            if (_idOfByte[value] >= 0)
                symbols.Add(new Symbol(_idOfByte[value], symbols.Count - 1, symbols.Count + 1));
        var chain = symbols.ToArray();
        MergeAll(chain);
        for (var i = 0; i < chain.Length; i = chain[i].Next)
            ids.Add(chain[i].Id);
    }

    // Lowest rank first, of equal ones the leftmost. The first symbol of the chain is never absorbed.
    private void MergeAll(Symbol[] chain)
    {
        var queue = new PriorityQueue<Candidate, long>();
        for (var i = 0; i + 1 < chain.Length; i++)
            Propose(chain, i, queue);
        while (queue.TryDequeue(out var candidate, out _))
        {
            ref var left = ref chain[candidate.Position];
            if (left.Id != candidate.Left || left.Next >= chain.Length || chain[left.Next].Id != candidate.Right)
                continue; // one of the two was merged meanwhile
            ref var right = ref chain[left.Next];
            left.Id = candidate.Id;
            left.Next = right.Next;
            right.Id = -1;
            if (left.Next < chain.Length)
                chain[left.Next].Previous = candidate.Position;
            Propose(chain, candidate.Position, queue);
            if (left.Previous >= 0)
                Propose(chain, left.Previous, queue);
        }
    }

    private void Propose(Symbol[] chain, int position, PriorityQueue<Candidate, long> queue)
    {
        var next = chain[position].Next;
        if (next < chain.Length && _merges.TryGetValue((chain[position].Id, chain[next].Id), out var merge))
            queue.Enqueue(new Candidate(position, chain[position].Id, chain[next].Id, merge.Id), (long)merge.Rank << 32 | (uint)position);
    }

    /// <summary>A merge that was possible when it was proposed.</summary>
    private readonly record struct Candidate(int Position, int Left, int Right, int Id);

    /// <summary>A token of the pre-token as it stands; the chain skips those that were absorbed (id -1).</summary>
    private struct Symbol(int id, int previous, int next)
    {
        public int Id = id;
        public int Previous = previous;
        public int Next = next;
    }
}
