using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Quantization;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Compute;

/// <summary>Block FP8 in memory: the fused products against the reference, slices, and what is refused.</summary>
public sealed class Fp8TensorTests
{
    /// <summary>Outputs, inputs, block, row offset, column offset: ragged both ways, cut inside blocks, narrower than a vector.</summary>
    public static TheoryData<int, int, int, int, int> Shapes => new()
    {
        { 256, 256, 128, 0, 0 },
        { 129, 257, 128, 0, 0 },
        { 200, 300, 128, 100, 27 },
        { 3, 5, 128, 0, 0 },
        { 70, 640, 128, 127, 64 },
        { 33, 130, 32, 7, 31 },
        { 17, 1024, 128, 3, 120 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Linear_AnyNumberOfRows_EqualsReference(int outputs, int inputs, int block, int rowOffset, int columnOffset)
    {
        using var scope = new TensorScope();
        using var weight = new LinearWeight([Make(outputs, inputs, block, rowOffset, columnOffset), Make(outputs + 1, inputs, block, rowOffset, columnOffset)]);
        var bias = randn(2 * outputs + 1);
        foreach (var dynamic in new[] { false, true })
        {
            var reference = new TorchKernels { DynamicActivations = dynamic };
            var cpu = CpuKernels.CreateOrReference(dynamic);
            foreach (int rows in new[] { 1, 2, 3, 4, 5, 7, 8, 12, 13, 40 })
            {
                // Small and large inputs: the powers of two inside the kernel must neither overflow nor lose bits.
                foreach (double size in new[] { 1, 1e-6, 1e4 })
                {
                    var x = randn(rows, inputs) * size;
                    var expected = reference.Linear(x, weight, bias);
                    var bound = reference.Linear(x.abs(), Absolute(weight), bias.abs()).amax([]).item<float>();
                    Assert.True(
                        (cpu.Linear(x, weight, bias) - expected).abs().amax([]).item<float>() <= 2e-6 * bound, $"{rows} rows of size {size}, dynamic: {dynamic}");
                }

                var half = randn(rows, inputs).to(ScalarType.BFloat16);
                var halfBias = bias.to(ScalarType.BFloat16);
                var exact = reference.Linear(half.to(ScalarType.Float32), weight, halfBias.to(ScalarType.Float32));
                var difference = (cpu.Linear(half, weight, halfBias).to(ScalarType.Float32) - exact).abs();
                Assert.True(difference.amax([]).item<float>() <= 0.02 * exact.abs().amax([]).item<float>(), $"{rows} rows in bfloat16, dynamic: {dynamic}");
            }
        }
    }

    [Fact]
    public void ToDense_EveryCode_IsExact()
    {
        using var scope = new TensorScope();
        var codes = arange(256, ScalarType.Int64).to(ScalarType.Byte).masked_fill(arange(256).bitwise_and(tensor(127)).eq(127), 0).view(2, 128);
        using var weight = new LinearWeight([new Fp8Tensor(codes.clone(), tensor(new[] { 0.5f, 0.5f }).view(2, 1), (1, 128))]);
        foreach (var kernels in new[] { new TorchKernels(), CpuKernels.CreateOrReference() })
        {
            var values = kernels.ToDense(weight, ScalarType.Float32).data<float>().ToArray();
            for (int code = 0; code < 256; code++)
                Assert.Equal((code & 127) == 127 ? 0 : Fp8Codes.Decode((byte)code) / 2, values[code]);
        }
    }

    [Fact]
    public void Fp8Tensor_TakesOneByteAParameterAndItsScales()
    {
        using var tensor = Make(300, 1000, 128, 0, 0);
        Assert.Equal(300 * 1000 + 3 * 8 * 4, tensor.Bytes);
    }

    [Theory]
    [InlineData(0x7F)]
    [InlineData(0xFF)]
    public void Fp8Tensor_NotANumber_IsRefusedWithItsPlace(int code)
    {
        using var scope = new TensorScope();
        var codes = zeros(70, 130, ScalarType.Byte);
        codes[69, 129] = tensor((byte)code, ScalarType.Byte);
        var refusal = Assert.Throws<ModelLoadException>(() => new Fp8Tensor(codes, ones(1, 2), (128, 128)));
        Assert.Equal($"FP8 code 0x{code:X2} at row 69, column 129 is NaN; weights must be numbers.", refusal.Message);
    }

    [Fact]
    public void Fp8Tensor_InfiniteScale_IsRefusedWithItsBlock()
    {
        using var scope = new TensorScope();
        var scales = tensor(new[] { 1f, float.PositiveInfinity }).view(1, 2);
        var refusal = Assert.Throws<ModelLoadException>(() => new Fp8Tensor(zeros(70, 130, ScalarType.Byte), scales, (128, 128)));
        Assert.Contains("block [0, 1]", refusal.Message, StringComparison.Ordinal);
    }

    private static Fp8Tensor Make(int outputs, int inputs, int block, int rowOffset, int columnOffset)
    {
        using var scope = new TensorScope();
        var (codes, scales) = Fp8Codes.Quantize(randn(rowOffset + outputs, columnOffset + inputs), (block, block));
        var own = codes.narrow(0, rowOffset, outputs).narrow(1, columnOffset, inputs).contiguous();
        int down = rowOffset / block, across = columnOffset / block;
        var touched = scales.narrow(0, down, scales.shape[0] - down).narrow(1, across, scales.shape[1] - across).contiguous();
        return new Fp8Tensor(own, touched, (block, block), rowOffset % block, columnOffset % block);
    }

    /// <summary>The weight with all signs removed: what bounds the rounding of a sum.</summary>
    private static LinearWeight Absolute(LinearWeight weight) => new(new TorchKernels().ToDense(weight, ScalarType.Float32).abs(), false);
}
