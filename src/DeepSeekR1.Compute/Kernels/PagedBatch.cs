using static TorchSharp.torch;

namespace DeepSeekR1.Compute.Kernels;

/// <summary>One sequence's share of a step: which query rows are its own, and where its keys and values lie.</summary>
/// <param name="QueryStart">First row of the step that belongs to it.</param>
/// <param name="QueryLength">Rows of the step that belong to it; they are its last tokens.</param>
/// <param name="ContextLength">Tokens with keys after this step: earlier ones and the step's own.</param>
/// <param name="Blocks">Block table: block i holds the keys of tokens [i * blockSize, (i + 1) * blockSize).</param>
public sealed record PagedSequence(int QueryStart, int QueryLength, int ContextLength, ReadOnlyMemory<int> Blocks);

/// <summary>
/// Where a step reads and writes the paged cache. Plain host arrays, plus device tensors made when a kernel first asks for them and
/// kept for the following layers.
/// </summary>
/// <remarks>Slot = block * blockSize + offset. Caches are [slots, heads, width].</remarks>
public sealed class PagedBatch(IReadOnlyList<PagedSequence> sequences, int blockSize, Device device) : IDisposable
{
    private readonly Tensor?[] _contextSlots = new Tensor?[sequences.Count];
    private Tensor? _newSlots;

    /// <summary>The sequences in the order of their rows.</summary>
    public IReadOnlyList<PagedSequence> Sequences { get; } = sequences;

    /// <summary>Tokens per block.</summary>
    public int BlockSize { get; } = blockSize;

    /// <summary>Slot of every row of the step, in row order: [T] on the host.</summary>
    public long[] HostSlots { get; } = SlotsOfRows(sequences, blockSize);

    /// <summary>Slot of every row of the step: [T] int64 on the device.</summary>
    public Tensor NewSlots => _newSlots ??= tensor(HostSlots, ScalarType.Int64, device).DetachFromDisposeScope();

    /// <summary>Slots of a sequence's whole context in token order: [ContextLength] int64 on the device.</summary>
    public Tensor ContextSlots(int index)
    {
        if (_contextSlots[index] is { } known)
            return known;
        var sequence = Sequences[index];
        var slots = new long[sequence.ContextLength];
        var blocks = sequence.Blocks.Span;
        for (int token = 0; token < slots.Length; token++)
            slots[token] = (long)blocks[token / BlockSize] * BlockSize + token % BlockSize;
        return _contextSlots[index] = tensor(slots, ScalarType.Int64, device).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _newSlots?.Dispose();
        foreach (var slots in _contextSlots)
            slots?.Dispose();
    }

    private static long[] SlotsOfRows(IReadOnlyList<PagedSequence> sequences, int blockSize)
    {
        var slots = new long[sequences.Sum(s => s.QueryLength)];
        foreach (var sequence in sequences)
        {
            var blocks = sequence.Blocks.Span;
            int first = sequence.ContextLength - sequence.QueryLength;
            for (int i = 0; i < sequence.QueryLength; i++)
            {
                int token = first + i;
                slots[sequence.QueryStart + i] = (long)blocks[token / blockSize] * blockSize + token % blockSize;
            }
        }

        return slots;
    }
}
