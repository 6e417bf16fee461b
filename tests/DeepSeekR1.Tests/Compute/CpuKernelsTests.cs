using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Compute;

/// <summary>Every accelerated operation against the reference, over odd sizes, both types and strided inputs.</summary>
public class CpuKernelsTests
{
    private static readonly KernelSet Reference = new TorchKernels();
    private static readonly KernelSet Fast = CpuKernels.CreateOrReference();

    public static TheoryData<ScalarType, double> Types => new() { { ScalarType.Float32, 2e-5 }, { ScalarType.BFloat16, 2e-2 } };

    [Theory]
    [MemberData(nameof(Types))]
    public void Linear_EqualsReference(ScalarType type, double tolerance)
    {
        using var scope = new TensorScope();
        foreach (var (rows, outputs, inputs) in new[] { (1, 7, 5), (3, 64, 48), (17, 129, 257), (64, 100, 33), (1, 128, 256), (17, 64, 64), (2, 896, 64), (5, 144, 32) })
            foreach (bool bias in new[] { false, true })
            {
                var x = randn(rows, inputs).to(type);
                var w = (randn(outputs, inputs) / Math.Sqrt(inputs)).to(type);
                var b = bias ? randn(outputs).to(type) : null;
                using var fast = Fast.Prepare(w);
                using var reference = Reference.Prepare(w);
                Close(Reference.Linear(x, reference, b), Fast.Linear(x, fast, b), tolerance * 2);
            }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void RowOperations_EqualReference(ScalarType type, double tolerance)
    {
        using var scope = new TensorScope();
        foreach (var (rows, heads, width) in new[] { (1, 1, 2), (5, 3, 10), (33, 4, 64), (7, 2, 576) })
        {
            var wide = randn(rows, heads + 1, width).to(type);
            var strided = wide.narrow(1, 1, heads);
            var (cos, sin) = (randn(rows, width / 2), randn(rows, width / 2));
            foreach (bool interleaved in new[] { false, true })
                Close(Reference.Rotate(strided, cos, sin, interleaved), Fast.Rotate(strided, cos, sin, interleaved), tolerance);
            var weight = randn(width).to(type);
            Close(Reference.RmsNorm(strided, weight, 1e-6), Fast.RmsNorm(strided, weight, 1e-6), tolerance);
            var flat = wide.reshape(rows, (heads + 1) * width);
            if (flat.shape[1] % 2 == 0)
                Close(Reference.SiluMultiply(flat), Fast.SiluMultiply(flat), tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void PagedAttention_EqualsReference(ScalarType type, double tolerance)
    {
        using var scope = new TensorScope();
        const int BlockSize = 4, Blocks = 64;
        foreach (var (heads, groups, width, valueWidth, shared) in new[] { (6, 2, 16, 16, false), (9, 3, 64, 64, false), (4, 1, 40, 24, true), (3, 3, 7, 7, false) })
        {
            var keys = randn(Blocks * BlockSize, groups, width).to(type);
            var values = shared ? keys : randn(Blocks * BlockSize, groups, valueWidth).to(type);
            var order = Enumerable.Range(0, Blocks).Reverse().ToArray();
            var sequences = new List<PagedSequence>();
            int row = 0, block = 0;
            foreach (var (queries, length) in new[] { (1, 1), (1, 9), (3, 3), (2, 21), (12, 40), (8, 8) })
            {
                int count = (length + BlockSize - 1) / BlockSize;
                sequences.Add(new PagedSequence(row, queries, length, order.AsMemory(block, count)));
                row += queries;
                block += count;
            }

            var batch = new PagedBatch(sequences, BlockSize, CPU);
            var q = randn(row, heads, width).to(type);

            // The reference in float32: in bfloat16 it rounds scores that the kernel keeps.
            var wideKeys = keys.to(ScalarType.Float32);
            var wideValues = shared ? wideKeys : values.to(ScalarType.Float32);
            var expected = Reference.PagedAttention(q.to(ScalarType.Float32), wideKeys, wideValues, valueWidth, batch, 0.3);
            Close(expected.to(type), Fast.PagedAttention(q, keys, values, valueWidth, batch, 0.3), tolerance);
        }
    }

    private static void Close(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.Equal(expected.dtype, actual.dtype);
        var difference = (expected.to(ScalarType.Float32) - actual.to(ScalarType.Float32)).abs();
        var allowed = expected.to(ScalarType.Float32).abs() * tolerance + tolerance;
        Assert.True(difference.le(allowed).all().item<bool>(), $"{expected.dtype} [{string.Join(", ", expected.shape)}]: {difference.max().item<float>()}");
    }
}
