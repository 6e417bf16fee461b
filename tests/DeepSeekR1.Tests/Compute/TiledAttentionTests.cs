using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Compute;

/// <summary>Attention over long contexts in tiles equals the reference in float32, whatever the shape and however the rows are cut.</summary>
public sealed class TiledAttentionTests
{
    private const int BlockSize = 16, Blocks = 64;
    private static readonly KernelSet Reference = new TorchKernels();
    private static readonly KernelSet Fast = CpuKernels.CreateOrReference();

    public static TheoryData<int, int, int, int, bool> Shapes => new()
    {
        { 14, 2, 64, 64, false }, // qwen2-0.5b
        { 9, 3, 64, 64, false },
        { 3, 3, 7, 5, false },
        { 16, 1, 576, 512, true }, // latent attention: values are the beginning of the keys
        { 400, 1, 24, 48, false }, // more heads than a tile has rows
        { 5, 1, 33, 80, false },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void PagedAttention_LongContexts_EqualsReference(int heads, int groups, int width, int valueWidth, bool shared)
    {
        using var scope = new TensorScope();
        random.manual_seed(7);
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var keys = randn(Blocks * BlockSize, groups, width).to(type);
            var values = shared ? keys : randn(Blocks * BlockSize, groups, valueWidth).to(type);
            var (batch, rows) = Batch((130, 130), (1, 200), (16, 333), (63, 64), (65, 65), (40, 200));
            var q = (3 * randn(rows, heads, width) / Math.Sqrt(width)).to(type);
            var wideKeys = keys.to(ScalarType.Float32);
            var wideValues = shared ? wideKeys : values.to(ScalarType.Float32);
            var expected = Reference.PagedAttention(q.to(ScalarType.Float32), wideKeys, wideValues, valueWidth, batch, 0.9);
            Close(expected, Fast.PagedAttention(q, keys, values, valueWidth, batch, 0.9), type);
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void DenseAttention_EqualsReference(int heads, int groups, int width, int valueWidth, bool shared)
    {
        using var scope = new TensorScope();
        random.manual_seed(7);
        foreach (var (rows, length) in new[] { (130, 130), (40, 200) })
        {
            var keys = randn(length, groups, width + 3).narrow(2, 0, width);
            var values = shared ? keys.narrow(2, 0, valueWidth) : randn(length, groups, valueWidth);

            // Scores of the size that models have, at any width: larger ones only measure how float32 rounds them.
            var q = 3 * randn(rows, heads, width) / Math.Sqrt(width);
            Close(Reference.DenseAttention(q, keys, values, 0.9), Fast.DenseAttention(q, keys, values, 0.9), ScalarType.Float32);
        }
    }

    [Fact]
    public void PagedAttention_PromptInOtherChunks_IsTheSameBitByBit()
    {
        using var scope = new TensorScope();
        random.manual_seed(7);
        const int Length = 300, Heads = 14, Groups = 2, Width = 64;
        var (keys, values) = (randn(Blocks * BlockSize, Groups, Width), randn(Blocks * BlockSize, Groups, Width));
        var q = randn(Length, Heads, Width);
        int[] blocks = [.. Enumerable.Range(0, Blocks).Reverse()];
        Tensor Rows(int first, int count) => Fast.PagedAttention(
            q.narrow(0, first, count), keys, values, Width, new PagedBatch([new PagedSequence(0, count, first + count, blocks)], BlockSize, CPU), 0.125);
        var whole = Rows(0, Length);
        foreach (int chunk in new[] { 16, 37, 128 })
            for (int first = 0; first < Length; first += chunk)
            {
                int count = Math.Min(chunk, Length - first);
                if (count * (Heads / Groups) >= 24)
                    Assert.True(whole.narrow(0, first, count).eq(Rows(first, count)).all().item<bool>(), $"rows {first} to {first + count}");
            }
    }

    [Fact]
    public void PagedAttention_LargeScores_StayFinite()
    {
        using var scope = new TensorScope();
        random.manual_seed(7);
        var (keys, values) = (1000 * randn(Blocks * BlockSize, 1, 16), randn(Blocks * BlockSize, 1, 16));
        var (batch, rows) = Batch((130, 130), (40, 200));
        var q = 1000 * randn(rows, 4, 16);
        Close(Reference.PagedAttention(q, keys, values, 16, batch, 1), Fast.PagedAttention(q, keys, values, 16, batch, 1), ScalarType.Float32);
    }

    private static (PagedBatch Batch, int Rows) Batch(params (int Queries, int Length)[] shapes)
    {
        var order = Enumerable.Range(0, Blocks).Reverse().ToArray();
        var sequences = new List<PagedSequence>();
        int row = 0, block = 0;
        foreach (var (queries, length) in shapes)
        {
            int count = (length + BlockSize - 1) / BlockSize;
            sequences.Add(new PagedSequence(row, queries, length, order.AsMemory(block % (Blocks - count), count)));
            row += queries;
            block += 7;
        }

        return (new PagedBatch(sequences, BlockSize, CPU), row);
    }

    private static void Close(Tensor expected, Tensor actual, ScalarType type)
    {
        double tolerance = type == ScalarType.Float32 ? 2e-5 : 1e-2;
        var difference = (expected - actual.to(ScalarType.Float32)).abs();
        var allowed = expected.abs() * tolerance + tolerance;
        Assert.True(difference.le(allowed).all().item<bool>(), $"{type} [{string.Join(", ", expected.shape)}]: {difference.max().item<float>()}");
    }
}
