using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Compute.Quantization;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Models.Layers;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models;

/// <summary>
/// Single layers at R1's dimensions and rope tables of the published configurations (true_shape/README.md has source and
/// tolerances): what tiny checkpoints cannot show.
/// </summary>
public sealed class TrueShapeTests : IDisposable
{
    private const int Hidden = 7168, LatentRank = 512;
    private readonly JsonDocument? _layers = Goldens.Missing is null ? Json("layers.json") : null;
    private readonly Checkpoint? _expected = Goldens.Missing is null ? Checkpoint.Open(Goldens.At("true_shape", "layers.safetensors")) : null;

    public static TheoryData<string, string> RopeModels => new()
    {
        { "deepseek-r1", "DeepseekV3ForCausalLM" },
        { "deepseek-v3-no-scaling", "DeepseekV3ForCausalLM" },
        { "distill-qwen-1.5b-7b-14b", "Qwen2ForCausalLM" },
        { "distill-qwen-32b", "Qwen2ForCausalLM" },
        { "distill-llama-8b-70b", "LlamaForCausalLM" },
        { "r1-0528-qwen3-8b", "Qwen3ForCausalLM" },
    };

    public void Dispose()
    {
        _expected?.Dispose();
        _layers?.Dispose();
    }

    [GoldenTheory]
    [MemberData(nameof(RopeModels))]
    public void Rotation_OfPublishedConfig_EqualsReference(string model, string architecture)
    {
        using var document = Json("rope.json");
        Assert.Equal(RopeModels.Count, document.RootElement.EnumerateObject().Count());
        var golden = document.RootElement.GetProperty(model);
        var config = ModelConfigReader.Parse(ConfigText(golden.GetProperty("config"), architecture), model);
        using var scope = new TensorScope();
        using var rope = new RotaryEmbedding(config.Rope, CPU);
        var wanted = Floats(golden.GetProperty("inv_freq"));
        var actual = rope.InverseFrequencies.data<float>().ToArray();
        Assert.Equal(wanted.Length, actual.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(actual[i] - wanted[i]) <= 1e-6 * wanted[i], $"{model}: inv_freq {i} is {actual[i]:R}, expected {wanted[i]:R}");
        Assert.Equal(golden.GetProperty("cos_sin_factor").GetDouble(), config.Rope.CosSinFactor, 1e-9);
        if (golden.TryGetProperty("softmax_scale", out var scale))
            Assert.Equal(scale.GetDouble(), config.Rope.SoftmaxFactor / Math.Sqrt(192), 1e-9);
        CheckTables(model, golden, rope);
    }

    [GoldenFact]
    public void HashTensor_FirstElements_EqualTheGoldens()
        => Assert.Equal(Floats(_layers!.RootElement.GetProperty("hash_check")), Enumerable.Range(0, 8).Select(i => HashTensor.Unit(1000, i)));

    [GoldenFact]
    public void Mla_AtR1Width_EqualsReferenceInBothForms()
    {
        using var rope = Json("rope.json");
        var config = ModelConfigReader.Parse(ConfigText(rope.RootElement.GetProperty("deepseek-r1").GetProperty("config"), "DeepseekV3ForCausalLM"));
        foreach (var kernels in new KernelSet[] { CpuKernels.CreateOrReference(), new ProbingKernels() })
        {
            var rank = new RankContext(new SingleRank(), kernels, CPU, ScalarType.Float32);
            using var layer = new MlaAttention(config, rank, 0, "self_attn");
            using var cache = new KvCache(config, rank, 4, 2);
            FillMla(layer);
            foreach (var name in new[] { "mla0", "mla1" })
                foreach (var form in new[] { MlaForm.Naive, MlaForm.Absorbed })
                {
                    CheckMla(name, config, layer, cache, kernels, form, 6);
                    CheckMla(name, config, layer, cache, kernels, form, 4);
                    CheckMla(name, config, layer, cache, kernels, form, 1);
                    CheckMla(name, config, layer, null, kernels, form, 6);
                }
        }
    }

    [GoldenTheory]
    [InlineData("router0")]
    [InlineData("router1")]
    public void Route_AtR1Width_EqualsReference(string name)
    {
        using var scope = new TensorScope();
        var golden = _layers!.RootElement.GetProperty(name);
        int seed = golden.GetProperty("seed").GetInt32(), tokens = golden.GetProperty("tokens").GetInt32();
        var weight = HashTensor.Matrix(seed, 256, Hidden, gain: 2);
        var bias = HashTensor.Make(seed + 1, 0.25, 0, false, 256);
        var x = HashTensor.Make(seed + 2, Math.Sqrt(3), 0, false, tokens, Hidden);
        var logits = nn.functional.linear(x, weight);
        Assert.InRange(GoldenModel.MaxDifference(logits, _expected!.Read(name + ".logits")), 0, 1e-4);
        foreach (var kernels in new KernelSet[] { new TorchKernels(), CpuKernels.CreateOrReference() })
        {
            var (experts, weights) = kernels.Route(logits, bias, new RoutingRule(8, 8, 4, true, 2.5));
            var (sorted, order) = experts.sort(-1);
            Assert.True(sorted.equal(_expected.Read(name + ".experts")).all().item<bool>(), $"{name}: other experts than the reference's");
            Assert.InRange(GoldenModel.MaxDifference(weights.gather(-1, order), _expected.Read(name + ".weights")), 0, 1e-5);
        }
    }

    [GoldenTheory]
    [InlineData("fp8_0")]
    [InlineData("fp8_1")]
    public void Dequantize_AtR1Width_EqualsReference(string name)
    {
        using var scope = new TensorScope();
        var golden = _layers!.RootElement.GetProperty(name);
        int seed = golden.GetProperty("seed").GetInt32(), rows = golden.GetProperty("n").GetInt32(), columns = golden.GetProperty("k").GetInt32();
        var (codes, scales) = Fp8Source.Quantize(seed, rows, columns);
        Assert.True(scales.equal(_expected!.Read(name + ".scale_inv")).all().item<bool>(), $"{name}: scales differ");
        Assert.True(codes[0].equal(_expected.Read(name + ".codes_row0")).all().item<bool>(), $"{name}: codes of the first row differ");
        Assert.True(codes[rows - 1].equal(_expected.Read(name + ".codes_last_row")).all().item<bool>(), $"{name}: codes of the last row differ");
        Assert.Equal(golden.GetProperty("code_checksum").GetInt64(), (codes.to(ScalarType.Int64).sum([0L]) * arange(1, columns + 1)).sum().item<long>());

        using var weight = new LinearWeight([new Fp8Tensor(codes.clone(), scales.clone(), (128, 128))]);
        var x = HashTensor.Make(seed + 1, Math.Sqrt(3), 0, false, golden.GetProperty("tokens").GetInt32(), columns);
        var y = _expected.Read(name + ".y");
        foreach (var kernels in new KernelSet[] { new TorchKernels(), new CpuKernels() })
            foreach (int repeat in new[] { 1, 2, 5 })
            {
                double difference = GoldenModel.MaxDifference(kernels.Linear(x.repeat(repeat, 1), weight, null), y.repeat(repeat, 1));
                Assert.True(difference <= 1e-4, $"{name}, {kernels.GetType().Name}, {repeat} times 3 rows: y differs by {difference}");
            }

        CheckRectangles(codes, scales, weight.Parts![0].Dequantize());
    }

    /// <summary>A rectangle that begins and ends inside blocks, decoded alone, equals that part of the whole.</summary>
    private static void CheckRectangles(Tensor codes, Tensor scales, Tensor whole)
    {
        foreach (var (row, rows, column, columns) in new[] { (0L, 1L, 0L, 1L), (127, 2, 127, 2), (64, 256, 100, 3000), (500, 76, 7000, 168) })
        {
            var part = codes.narrow(0, row, rows).narrow(1, column, columns);
            long lastRow = (row + rows - 1) / 128, lastColumn = (column + columns - 1) / 128;
            var blocks = scales.narrow(0, row / 128, lastRow - row / 128 + 1).narrow(1, column / 128, lastColumn - column / 128 + 1);
            using var weight = new LinearWeight([new Fp8Tensor(part.contiguous(), blocks.contiguous(), (128, 128), (int)(row % 128), (int)(column % 128))]);
            foreach (var kernels in new KernelSet[] { new TorchKernels(), new CpuKernels() })
                Assert.True(
                    kernels.ToDense(weight, ScalarType.Float32).equal(whole.narrow(0, row, rows).narrow(1, column, columns)).all().item<bool>(),
                    $"{kernels.GetType().Name}: rectangle at {row}, {column}");
        }
    }

    private static void CheckTables(string model, JsonElement golden, RotaryEmbedding rope)
    {
        var positions = golden.GetProperty("positions").EnumerateArray().Select(e => e.GetInt64()).ToArray();
        var rotation = rope.At(tensor(positions));
        foreach (var (name, table) in new[] { ("cos", rotation.Cos), ("sin", rotation.Sin) })
            for (int row = 0; row < positions.Length; row++)
            {
                var expected = Floats(golden.GetProperty(name)[row]);
                var values = table[row].data<float>().ToArray();
                double tolerance = positions[row] <= 4096 ? 1e-5 : 1e-4;
                for (int i = 0; i < expected.Length; i++)
                    Assert.True(Math.Abs(values[i] - expected[i]) <= tolerance, $"{model}: {name} at {positions[row]}, pair {i} is {values[i]}, expected {expected[i]}");
            }
    }

    private void FillMla(MlaAttention layer)
    {
        var golden = _layers!.RootElement.GetProperty("mla0");
        int seed = golden.GetProperty("seed").GetInt32();
        var names = golden.GetProperty("parameters").EnumerateArray().Select(e => "self_attn." + e.GetString()).ToList();
        Assert.Equal(names, layer.Weights.Select(s => s.Name).Order(StringComparer.Ordinal));
        foreach (var spec in layer.Weights)
        {
            using var scope = new TensorScope();
            int own = seed + names.IndexOf(spec.Name);
            spec.Target.Fill(
                spec.TargetRow,
                spec.Shape.Length == 1 ? HashTensor.Make(own, 0.2, 1, true, spec.Shape) : HashTensor.Matrix(own, spec.Shape[0], spec.Shape[1]));
        }
    }

    /// <summary>Runs the six rows in chunks on a paged cache, or at once without a cache.</summary>
    private void CheckMla(string name, ModelConfig config, MlaAttention layer, KvCache? cache, KernelSet kernels, MlaForm form, int chunk)
    {
        using var scope = new TensorScope();
        var golden = _layers!.RootElement.GetProperty(name);
        var positions = golden.GetProperty("positions").EnumerateArray().Select(e => e.GetInt64()).ToArray();
        var x = HashTensor.Make(golden.GetProperty("seed").GetInt32() + 50, Math.Sqrt(3), 0, false, positions.Length, Hidden);
        using var rope = new RotaryEmbedding(config.Rope, CPU);
        int[] blocks = [2, 0, 3];
        var parts = new List<Tensor>();
        for (int done = 0; done < positions.Length; done += chunk)
        {
            int count = Math.Min(chunk, positions.Length - done);
            var at = tensor(positions.AsSpan(done, count).ToArray());
            AttentionBackend backend = cache is null
                ? new DenseAttention(kernels, [count])
                : new PagedAttention(kernels, cache, new PagedBatch([new PagedSequence(0, count, done + count, blocks)], cache.BlockSize, CPU));
            parts.Add(layer.Forward(x.narrow(0, done, count), new ForwardContext(at, backend) { MlaForm = form, Rotation = rope.At(at) }));
        }

        var where = $"{name}, {kernels.GetType().Name}, {form}, chunks of {chunk}, {(cache is null ? "dense" : "paged")}";
        double difference = GoldenModel.MaxDifference(cat(parts), _expected!.Read(name + ".y"));
        Assert.True(difference <= 2e-4, $"{where}: y differs by {difference}");
        if (cache is not null)
        {
            var slots = positions.Select((_, i) => (long)blocks[i / 2] * 2 + i % 2).ToArray();
            var latent = cache.Keys(0).index_select(0, tensor(slots)).squeeze(1).narrow(1, 0, LatentRank);
            double off = GoldenModel.MaxDifference(latent, _expected.Read(name + ".latent"));
            Assert.True(off <= 1e-5, $"{where}: latent differs by {off}");
        }

        if (kernels is ProbingKernels probe && chunk == positions.Length)
        {
            Assert.Equal(golden.GetProperty("softmax_scale").GetDouble(), probe.Scale, 1e-9);
            foreach (var (key, head) in new[] { ("probabilities_head0", 0), ("probabilities_last", config.NumHeads - 1) })
            {
                double off = GoldenModel.MaxDifference(probe.Probabilities(head), _expected.Read($"{name}.{key}"));
                Assert.True(off <= 1e-5, $"{where}: {key} differs by {off}");
            }
        }
    }

    /// <summary>A config.json of one layer with the fields that the golden states.</summary>
    private static string ConfigText(JsonElement fields, string architecture)
    {
        var config = (JsonObject)JsonNode.Parse(
            """
            {
              "vocab_size": 128, "intermediate_size": 64, "num_hidden_layers": 1, "q_lora_rank": 1536, "kv_lora_rank": 512,
              "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "rms_norm_eps": 1e-6
            }
            """)!;
        config["architectures"] = new JsonArray(architecture);
        foreach (var field in fields.EnumerateObject())
            config[field.Name] = JsonNode.Parse(field.Value.GetRawText());
        return config.ToJsonString();
    }

    private static JsonDocument Json(string name) => JsonDocument.Parse(File.ReadAllText(Goldens.At("true_shape", name)));

    private static float[] Floats(JsonElement element) => [.. element.EnumerateArray().Select(e => e.GetSingle())];

    /// <summary>The reference kernels, and what the last attention call was asked.</summary>
    private sealed class ProbingKernels : TorchKernels
    {
        private Tensor? _queries, _keys;

        public double Scale { get; private set; }

        public override Tensor DenseAttention(Tensor q, Tensor k, Tensor v, double scale)
        {
            (_queries, _keys, Scale) = (q.clone(), k.clone(), scale);
            return base.DenseAttention(q, k, v, scale);
        }

        /// <summary>Causal attention probabilities [T, T] of one head.</summary>
        public Tensor Probabilities(int head)
        {
            var scores = _queries!.select(1, head).matmul(_keys!.select(1, head % _keys!.shape[1]).t()) * Scale;
            return scores.masked_fill(ones_like(scores, ScalarType.Bool).triu(1), float.NegativeInfinity).softmax(-1);
        }
    }

    /// <summary>Block FP8 as the golden's generator makes it.</summary>
    private static unsafe class Fp8Source
    {
        private const int Block = 128;

        public static (Tensor Codes, Tensor Scales) Quantize(int seed, int rows, int columns)
        {
            int down = (rows + Block - 1) / Block, across = (columns + Block - 1) / Block;
            var source = HashTensor.Make(seed, Math.Sqrt(3.0 / columns), 0, false, rows, columns);
            var boost = HashTensor.Make(seed + 2, 0.5, 1, false, down, across);
            var (codes, scales) = (empty([rows, columns], ScalarType.Byte), empty([down, across], ScalarType.Float32));
            float* from = (float*)TorchShim.Data(source), factor = (float*)TorchShim.Data(boost), scale = (float*)TorchShim.Data(scales);
            var to = (byte*)TorchShim.Data(codes);
            for (int i = 0; i < down * across; i++)
                scale[i] = 0;
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < columns; c++)
                {
                    int block = r / Block * across + c / Block;
                    from[r * columns + c] *= factor[block];
                    scale[block] = Math.Max(scale[block], Math.Abs(from[r * columns + c]));
                }

            for (int i = 0; i < down * across; i++)
                scale[i] /= 448;
            var levels = Enumerable.Range(0, 127).Select(code => Fp8Codes.Decode((byte)code)).ToArray();
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < columns; c++)
                    to[r * columns + c] = Encode(from[r * columns + c] / scale[r / Block * across + c / Block], levels);
            return (codes, scales);
        }

        /// <summary>Nearest e4m3 code; of two equally near ones the even.</summary>
        private static byte Encode(float value, float[] levels)
        {
            float magnitude = Math.Abs(value);
            int upper = Array.BinarySearch(levels, magnitude);
            upper = upper < 0 ? ~upper : upper;
            int code = Math.Min(upper, levels.Length - 1);
            if (upper > 0 && upper < levels.Length)
            {
                float above = levels[upper] - magnitude, below = magnitude - levels[upper - 1];
                code = below < above || (below == above && upper % 2 == 1) ? upper - 1 : upper;
            }

            return (byte)(code | (value < 0 ? 0x80 : 0));
        }
    }
}
