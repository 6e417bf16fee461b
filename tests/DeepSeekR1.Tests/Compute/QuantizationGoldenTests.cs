using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Quantization;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Compute;

/// <summary>Every quantized format against what its reference implementation computes (quantization/README.md has formulas and tolerances).</summary>
public sealed class QuantizationGoldenTests
{
    private static readonly KernelSet[] BothKernels = [new TorchKernels(), CpuKernels.CreateOrReference()];
    private static readonly KernelSet[] BothDynamic = [new TorchKernels { DynamicActivations = true }, CpuKernels.CreateOrReference(true)];

    [GoldenTheory]
    [InlineData("fp8_576x384")]
    [InlineData("fp8_200x300")]
    [InlineData("fp8_129x257")]
    public void Fp8_EqualsReference(string name)
    {
        using var scope = new TensorScope();
        using var golden = Open(name);
        using var expected = Open(name + "_dequantized");
        using var weight = new LinearWeight([new Fp8Tensor(Own(golden, "weight"), Own(golden, "weight_scale_inv"), (128, 128))]);
        CheckDense(weight, expected.Read("weight"), 0);
        CheckProducts(weight, golden.Read("x"), golden.Read("y_weight_only"), BothKernels);
        CheckProducts(weight, golden.Read("x"), golden.Read("y_dynamic"), BothDynamic);
        CheckSlices(weight.Parts![0]);
        var (codes, scales) = Fp8Codes.QuantizeActivations(golden.Read("x"), 128);
        AtMostOneStep(codes, golden.Read("x_codes"));
        Assert.True(scales.allclose(golden.Read("x_scales"), 1e-6, 0), "scales of the activations");
    }

    [GoldenFact]
    public void Fp8_Tables_AreExact()
    {
        using var scope = new TensorScope();
        using var tables = JsonDocument.Parse(File.ReadAllText(Goldens.At("quantization", "fp8_tables.json")));
        int code = 0;
        foreach (var value in tables.RootElement.GetProperty("decode_e4m3fn").EnumerateArray())
            Assert.Equal(Number(value), Fp8Codes.Decode((byte)code++));
        foreach (var (table, field) in new[] { ("encode_e4m3fn", "code"), ("encode_overflow", "saturating") })
            foreach (var pair in tables.RootElement.GetProperty(table).EnumerateArray())
            {
                // The sign of what is no number is nobody's business.
                float value = Number(pair.GetProperty("value"));
                int mask = float.IsNaN(value) ? 0x7F : 0xFF;
                Assert.Equal(pair.GetProperty(field).GetInt32() & mask, Encode(value) & mask);
            }
    }

    [GoldenTheory]
    [InlineData("nf4_plain_48x128")]
    [InlineData("nf4_double_48x128")]
    [InlineData("nf4_plain_33x40")]
    [InlineData("nf4_double_33x40")]
    [InlineData("nf4_plain_256x256")]
    [InlineData("nf4_double_256x256")]
    public void Nf4_EqualsBitsAndBytes(string name)
    {
        using var scope = new TensorScope();
        using var golden = Open(name);
        var source = golden.Read("source");
        long rows = source.shape[0], columns = source.shape[1];
        Assert.Equal(FourBitTensor.Nf4Levels, golden.Read("code").data<float>());
        var codes = FourBitTensor.Unpack(golden.Read("packed").reshape(1, -1), rows * columns).view(rows, columns);
        var absmax = golden.Tensors.ContainsKey("absmax_decoded")
            ? NestedAbsmax.Decode(golden.Read("absmax"), golden.Read("nested_absmax"), golden.Read("nested_code"), golden.Read("offset").item<float>())
            : golden.Read("absmax");
        if (golden.Tensors.ContainsKey("absmax_decoded"))
            Assert.True(absmax.allclose(golden.Read("absmax_decoded"), 1e-6, 0), "absmax");
        using var weight = new LinearWeight([FourBitTensor.Nf4(codes, absmax)]);
        CheckDense(weight, golden.Read("dequantized"), 1e-6);
        CheckSlices(weight.Parts![0]);

        var (ownCodes, ownAbsmax) = FourBitTensor.RoundNf4(source);
        Assert.True(ownCodes.equal(codes).all().item<bool>(), "codes differ from bitsandbytes");
        if (!golden.Tensors.ContainsKey("absmax_decoded"))
        {
            Assert.True(ownAbsmax.equal(absmax).all().item<bool>(), "absmax differs from bitsandbytes");
            return;
        }

        var nested = NestedAbsmax.Encode(ownAbsmax);
        Assert.True(nested.Code.equal(golden.Read("nested_code")).all().item<bool>(), $"nested code: {(nested.Code - golden.Read("nested_code")).abs().amax([]).item<float>()}");
        Assert.Equal(golden.Read("offset").item<float>(), nested.Offset, 1e-7);
        Assert.True(nested.Absmax.allclose(golden.Read("nested_absmax"), 1e-6, 0), "nested absmax");
        AtMostOneStep(nested.Bytes, golden.Read("absmax"));
    }

    [GoldenFact]
    public void Int8_Vectorwise_EqualsLlmInt8()
    {
        using var scope = new TensorScope();
        using var golden = Open("int8_vectorwise");
        var scales = golden.Read("w_absmax") / 127;
        using var weight = new LinearWeight([new Int8Tensor(Own(golden, "w_codes"), scales.clone())]);
        CheckDense(weight, golden.Read("w_dequantized"), 1e-6);
        CheckSlices(weight.Parts![0]);
        var x = golden.Read("x").to(ScalarType.Float32);
        CheckProducts(weight, x, golden.Read("y"), BothDynamic);
        using var outliers = new LinearWeight([new Int8Tensor(Own(golden, "w_codes"), scales.clone(), 6)]);
        CheckProducts(outliers, x, golden.Read("y_threshold"), BothDynamic);
        using var own = Int8Tensor.Quantize(golden.Read("w"));
        AtMostOneStep(own.Codes, golden.Read("w_codes"));
        Assert.True(own.Scales.allclose(scales, 1e-6, 0), "scales");
    }

    [GoldenFact]
    public void Int8_PerChannel_EqualsReference()
    {
        using var scope = new TensorScope();
        using var golden = Open("int8_per_channel");
        using var weight = new LinearWeight([new Int8Tensor(Own(golden, "codes"), Own(golden, "scale"))]);
        CheckDense(weight, golden.Read("dequantized"), 0);
        CheckProducts(weight, golden.Read("x"), golden.Read("y"), BothKernels);
    }

    [GoldenTheory]
    [InlineData("int4_symmetric_g32", 32)]
    [InlineData("int4_symmetric_g128", 128)]
    [InlineData("int4_asymmetric_g32", 32)]
    [InlineData("int4_asymmetric_g128", 128)]
    public void Int4_EqualsReference(string name, int group)
    {
        using var scope = new TensorScope();
        using var golden = Open(name);
        bool symmetric = !golden.Tensors.ContainsKey("zero");
        var codes = symmetric ? (golden.Read("codes") + 8).to(ScalarType.Byte) : golden.Read("codes").clone();
        var zeros = symmetric ? full_like(golden.Read("scale"), 8).to(ScalarType.Byte) : golden.Read("zero").clone();
        using var weight = new LinearWeight([FourBitTensor.Int4(codes, golden.Read("scale"), zeros, group)]);
        CheckDense(weight, golden.Read("dequantized"), 0);
        CheckProducts(weight, golden.Read("x"), golden.Read("y"), BothKernels);
        CheckSlices(weight.Parts![0]);
        if (symmetric)
            return;
        var (ownCodes, ownScales, ownZeros) = FourBitTensor.RoundInt4(golden.Read("w"), group);
        Assert.True(ownCodes.equal(codes).all().item<bool>() && ownZeros.equal(zeros).all().item<bool>(), "codes");
        Assert.True(ownScales.equal(golden.Read("scale")).all().item<bool>(), "scales");
    }

    [Theory]
    [InlineData("fp8")]
    [InlineData("int8")]
    [InlineData("int4")]
    [InlineData("nf4")]
    public void Quantize_AnyShape_FusedAndDecodedProductsAgree(string format)
    {
        using var scope = new TensorScope();
        foreach (var (rows, columns) in new[] { (33, 40), (5, 7), (130, 257), (64, 512) })
        {
            using var weight = new LinearWeight([QuantizedTensor.Quantize(format, randn(rows, columns)), QuantizedTensor.Quantize(format, randn(rows + 1, columns))]);
            foreach (int tokens in new[] { 1, 2, 5, 12, 13, 30 })
                foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
                {
                    var x = randn(tokens, columns).to(type);
                    var expected = BothKernels[0].Linear(x.to(ScalarType.Float32), weight, null);
                    var actual = BothKernels[1].Linear(x, weight, null).to(ScalarType.Float32);
                    double tolerance = type == ScalarType.Float32 ? 1e-5 : 0.02;
                    Assert.True((actual - expected).abs().amax([]).item<float>() <= tolerance * expected.abs().amax([]).item<float>(), $"{rows} x {columns}, {tokens} rows, {type}");
                }

            CheckSlices(weight.Parts![0]);
        }
    }

    private static Checkpoint Open(string name) => Checkpoint.Open(Goldens.At("quantization", name + ".safetensors"));

    private static Tensor Own(Checkpoint golden, string name) => golden.Read(name).clone();

    private static void CheckDense(LinearWeight weight, Tensor expected, double tolerance)
    {
        foreach (var kernels in BothKernels)
        {
            var dense = kernels.ToDense(weight, ScalarType.Float32);
            var excess = (dense - expected).abs() - expected.abs() * tolerance;
            Assert.True(excess.amax([]).item<float>() <= 0, $"{kernels.GetType().Name}: numbers differ by up to {excess.amax([]).item<float>()}");
        }
    }

    /// <summary>Every row alone, all together, and twice over: both ways of computing.</summary>
    private static void CheckProducts(LinearWeight weight, Tensor x, Tensor y, KernelSet[] sets)
    {
        var bound = nn.functional.linear(x.abs(), new TorchKernels().ToDense(weight, ScalarType.Float32).abs()) * 1e-5;
        foreach (var kernels in sets)
        {
            Check(kernels.Linear(x, weight, null), y, bound, "all rows");
            Check(kernels.Linear(x.repeat(5, 1), weight, null), y.repeat(5, 1), bound.repeat(5, 1), "five times");
            for (long row = 0; row < x.shape[0] && !kernels.DynamicActivations; row++)
                Check(kernels.Linear(x.narrow(0, row, 1), weight, null), y.narrow(0, row, 1), bound.narrow(0, row, 1), $"row {row}");
        }

        static void Check(Tensor actual, Tensor expected, Tensor bound, string what)
            => Assert.True((actual - expected).abs().le(bound).all().item<bool>(), $"{what}: differs by {(actual - expected).abs().amax([]).item<float>()}");
    }

    private static void CheckSlices(QuantizedTensor whole)
    {
        var dense = whole.Dequantize();
        foreach (var (row, rows, column, columns) in new[] { (0L, 1L, 0L, 1L), (1, 2, 1, 3),
            (whole.Rows / 2, whole.Rows - whole.Rows / 2, whole.Columns / 2, whole.Columns - whole.Columns / 2), (0, whole.Rows, 0, whole.Columns) })
        {
            using var weight = new LinearWeight([whole.Slice(row, rows, column, columns)]);
            foreach (var kernels in BothKernels)
                Assert.True(
                    kernels.ToDense(weight, ScalarType.Float32).equal(dense.narrow(0, row, rows).narrow(1, column, columns)).all().item<bool>(),
                    $"{kernels.GetType().Name}: slice at {row}, {column} of {whole.Format} [{whole.Rows}, {whole.Columns}]");
            using var moved = weight.Parts![0].To(CPU);
            Assert.True(moved.Dequantize().equal(weight.Parts[0].Dequantize()).all().item<bool>(), "a copy");
            using var again = weight.Parts[0].Slice(0, rows, columns - 1, 1);
            Assert.True(again.Dequantize().equal(dense.narrow(0, row, rows).narrow(1, column + columns - 1, 1)).all().item<bool>(), "slice of a slice");
        }
    }

    private static void AtMostOneStep(Tensor actual, Tensor expected)
    {
        Assert.Equal(expected.shape, actual.shape);
        var steps = (actual.to(ScalarType.Int64) - expected.to(ScalarType.Int64)).abs();
        Assert.True(steps.amax([]).item<long>() <= 1, "a code is off by more than a step");
        Assert.True(steps.gt(0).sum().item<long>() <= steps.numel() / 50, "too many codes are off by a step");
    }

    private static byte Encode(float value) => Fp8Codes.Encode(tensor(new[] { value })).item<byte>();

    private static float Number(JsonElement element) => element.ValueKind == JsonValueKind.String
        ? float.Parse(element.GetString()!, CultureInfo.InvariantCulture)
        : element.GetSingle();
}
