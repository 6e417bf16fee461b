using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>Loading is strict: what is missing, too much or of another shape is listed in one exception before anything is read.</summary>
public class WeightLoaderTests
{
    private const string Mlp = "model.layers.0.mlp.";

    [GoldenFact]
    public void Load_WithManyFaults_ListsAllInOneException()
    {
        using var copy = CheckpointCopy.Of("qwen2");
        copy.Edit(tensors =>
        {
            tensors.Remove(Mlp + "gate_proj.weight");
            tensors.Remove("model.layers.2.self_attn.k_proj.bias");
            tensors["model.layers.3.mlp.gate_proj.weight"] = Zeros("BF16", 2, 256, 96);
            tensors["model.layers.1.self_attn.q_norm.weight"] = Zeros("BF16", 2, 16);
            tensors[Mlp + "down_proj.weight"] = Zeros("BF16", 2, 256, 96);
            tensors["model.norm.weight"] = Zeros("F32", 4, 95);
            tensors[Mlp + "up_proj.weight"] = Zeros("I32", 4, 256, 96);
        });
        var message = Refusal(copy.Folder);
        Assert.Contains(copy.Folder, message, StringComparison.Ordinal);
        Assert.Contains("Missing (2): model.layers.0.mlp.gate_proj.weight; model.layers.2.self_attn.k_proj.bias", Sorted(message, "Missing"), StringComparison.Ordinal);
        Assert.Contains("Unexpected (2): model.layers.1.self_attn.q_norm.weight; model.layers.3.mlp.gate_proj.weight", message, StringComparison.Ordinal);
        Assert.Contains("Of another shape or type (3): ", message, StringComparison.Ordinal);
        Assert.Contains("model.layers.0.mlp.down_proj.weight is [256, 96], wanted is [96, 256]", message, StringComparison.Ordinal);
        Assert.Contains("model.norm.weight is [95], wanted is [96]", message, StringComparison.Ordinal);
        Assert.Contains("model.layers.0.mlp.up_proj.weight is Int32, wanted is a float type", message, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void Load_WithAnotherModelsWeights_CountsWhatItDoesNotList()
    {
        using var copy = CheckpointCopy.Of("deepseek-v3-plain");
        File.Copy(Goldens.At("models", "qwen2", "model.safetensors"), copy.At("model.safetensors"), overwrite: true);
        var message = Refusal(copy.Folder);
        Assert.Contains("Missing (", message, StringComparison.Ordinal);
        Assert.Contains("; ...", message, StringComparison.Ordinal);
        Assert.True(message.Length < 5000, $"the message has {message.Length} characters");
    }

    [GoldenFact]
    public void Load_Fp8WithoutItsScales_NamesThem()
    {
        using var copy = CheckpointCopy.Of("deepseek-v3-fp8-mtp");
        Merge(copy, tensors =>
        {
            tensors.Remove(Mlp + "up_proj.weight_scale_inv");
            tensors[Mlp + "down_proj.weight_scale_inv"] = Zeros("F32", 4, 2, 2);
        });
        var message = Refusal(copy.Folder);
        Assert.Contains("Missing (1): model.layers.0.mlp.up_proj.weight_scale_inv", message, StringComparison.Ordinal);
        Assert.Contains("Of another shape or type (1): model.layers.0.mlp.down_proj.weight_scale_inv is [2, 2], wanted is [2, 3]", message, StringComparison.Ordinal);
        Assert.DoesNotContain("Unexpected", message, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void Load_Fp8WithIntegerScales_IsRefused()
    {
        using var copy = CheckpointCopy.Of("deepseek-v3-fp8-mtp");
        Merge(copy, tensors => tensors[Mlp + "down_proj.weight_scale_inv"] = Zeros("I32", 4, 2, 3));
        Assert.Contains("model.layers.0.mlp.down_proj.weight_scale_inv is Int32, wanted is a float type", Refusal(copy.Folder), StringComparison.Ordinal);
    }

    [GoldenFact]
    public void Load_Fp8WithoutQuantizationConfig_IsRefused()
    {
        using var copy = CheckpointCopy.Of("deepseek-v3-fp8-mtp");
        copy.EditConfig(c => c.Remove("quantization_config"));
        Assert.Contains("is FP8, but config.json has no quantization_config with weight_block_size", Refusal(copy.Folder), StringComparison.Ordinal);
    }

    [GoldenFact]
    public void Load_KnownLeftovers_AreIgnoredAndReported()
    {
        string[] buffers = ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "model.layers.1.attn.masked_bias"];
        using (var copy = CheckpointCopy.Of("llama-tied"))
        {
            copy.Edit(tensors =>
            {
                foreach (var name in buffers)
                    tensors[name] = Zeros("F32", 4, 4);
                tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
            });
            Assert.Equal(buffers.Append("lm_head.weight").Order(), Load(copy.Folder).Ignored);
        }

        using (var copy = CheckpointCopy.Of("llama"))
        {
            copy.Edit(tensors => tensors.Remove("lm_head.weight"));
            Assert.Contains("Missing (1): lm_head.weight", Refusal(copy.Folder), StringComparison.Ordinal);
        }
    }

    [GoldenTheory]
    [InlineData("deepseek-v3-mtp", 3)]
    [InlineData("deepseek-v3-fp8-mtp", 2)]
    public void Load_MultiTokenPredictionLayers_AreIgnoredOnlyWhenDeclared(string name, int layer)
    {
        var ignored = Load(Goldens.At("models", name)).Ignored;
        Assert.NotEmpty(ignored);
        Assert.All(ignored, i => Assert.StartsWith($"model.layers.{layer}.", i, StringComparison.Ordinal));
        using var copy = CheckpointCopy.Of(name);
        copy.EditConfig(c => c["num_nextn_predict_layers"] = 0);
        Assert.Contains($"Unexpected ({ignored.Count}): model.layers.{layer}.", Refusal(copy.Folder), StringComparison.Ordinal);
    }

    [GoldenTheory]
    [MemberData(nameof(GoldenModelTests.Checkpoints), MemberType = typeof(GoldenModelTests))]
    public void Load_Everything_ReadsEveryNeededByteOnce(string name)
    {
        using var checkpoint = Checkpoint.Open(Goldens.At("models", name));
        using var model = CausalLm.Create(ModelConfigReader.Read(Goldens.At("models", name)), Rank(new TorchKernels(), 0, 1));
        var progress = new List<double>();
        var report = WeightLoader.Load(model, checkpoint, progress: progress.Add);
        var needed = checkpoint.Tensors.Values.Where(t => !report.Ignored.Contains(t.Name)).ToList();
        Assert.Equal(needed.Sum(t => t.Type.Bytes() * t.Shape.Aggregate(1L, (a, b) => a * b)), checkpoint.BytesRead);
        Assert.Equal(needed.Where(t => !t.Name.EndsWith("_scale_inv", StringComparison.Ordinal)).Sum(t => t.Shape.Aggregate(1L, (a, b) => a * b)), report.Parameters);
        Assert.Equal(needed.Sum(t => (t.Type == DType.Float8E4M3 ? 1 : 4) * t.Shape.Aggregate(1L, (a, b) => a * b)), report.Bytes);
        Assert.Equal(model.Weights.Count, progress.Count);
        Assert.Equal(progress.Order(), progress);
        Assert.Equal(1, progress[^1], 1e-9);
    }

    [GoldenFact]
    public void Load_WhenCancelled_StopsBetweenTwoTensors()
    {
        using var checkpoint = Checkpoint.Open(Goldens.At("models", "qwen2"));
        using var model = CausalLm.Create(ModelConfigReader.Read(Goldens.At("models", "qwen2")), Rank(new TorchKernels(), 0, 1));
        using var source = new CancellationTokenSource();
        int loaded = 0;
        void Count(double done)
        {
            if (++loaded == 3)
                source.Cancel();
        }

        Assert.Throws<OperationCanceledException>(() => WeightLoader.Load(model, checkpoint, null, Count, source.Token));
        Assert.Equal(3, loaded);
    }

    [GoldenTheory]
    [InlineData("deepseek-v3-fp8-mtp")]
    [InlineData("deepseek-v3-mtp")]
    [InlineData("qwen2")]
    public void Load_OnTwoRanks_HoldsEveryRowOrColumnOnOneOfThem(string name)
    {
        using var scope = new TensorScope();
        var (whole, _) = Capture(name, 0, 1);
        var (first, firstBytes) = Capture(name, 0, 2);
        var (second, secondBytes) = Capture(name, 1, 2);
        Assert.Equal((whole.Count, whole.Count), (first.Count, second.Count));
        Assert.Equal(firstBytes, secondBytes);
        for (int i = 0; i < whole.Count; i++)
        {
            var (w, a, b) = (whole[i], first[i], second[i]);
            var where = $"{name}: weight {i} [{string.Join(", ", w.shape)}] on two ranks";
            if (a.shape.SequenceEqual(w.shape))
                Assert.True(Same(w, a) && Same(w, b), where);
            else if (a.shape[1] < w.shape[1])
                Assert.True(Same(w, cat([a, b], 1)), where);
            else
                Assert.True(Rows(w).Order(StringComparer.Ordinal).SequenceEqual(Rows(a).Concat(Rows(b)).Order(StringComparer.Ordinal)), where);
        }
    }

    [GoldenFact]
    public void Load_UnalignedFile_GivesTheSameModel()
    {
        using var copy = CheckpointCopy.Of("qwen2");
        copy.Edit(_ => { }, padding: 1);
        using var scope = new TensorScope();
        var logits = new[] { Goldens.At("models", "qwen2"), copy.Folder }.Select(folder =>
        {
            using var checkpoint = Checkpoint.Open(folder);
            using var model = CausalLm.Create(ModelConfigReader.Read(folder), Rank(new TorchKernels(), 0, 1));
            WeightLoader.Load(model, checkpoint);
            var ids = arange(2, 40, ScalarType.Int64);
            return model.Logits(model.Forward(ids, new ForwardContext(arange(38, ScalarType.Int64), new DenseAttention(model.Rank.Kernels, [38]))));
        }).ToList();
        Assert.True(Same(logits[0], logits[1]), "an odd offset in the file changed the logits");
    }

    private static LoadReport Load(string folder)
    {
        using var checkpoint = Checkpoint.Open(folder);
        using var model = CausalLm.Create(ModelConfigReader.Read(folder), Rank(new TorchKernels(), 0, 1));
        return WeightLoader.Load(model, checkpoint);
    }

    private static string Refusal(string folder)
    {
        using var checkpoint = Checkpoint.Open(folder);
        using var model = CausalLm.Create(ModelConfigReader.Read(folder), Rank(new TorchKernels(), 0, 1));
        var refusal = Assert.Throws<ModelLoadException>(() => WeightLoader.Load(model, checkpoint));
        Assert.Equal(0, checkpoint.BytesRead);
        return refusal.Message;
    }

    /// <summary>The message with the names of one list in order.</summary>
    private static string Sorted(string message, string title)
    {
        var line = message.Split('\n').Single(l => l.Contains(title, StringComparison.Ordinal));
        int colon = line.IndexOf(": ", StringComparison.Ordinal) + 2;
        return line[..colon] + string.Join("; ", line[colon..].Split("; ").Order(StringComparer.Ordinal));
    }

    private static RawTensor Zeros(string type, int size, params long[] shape) => new(type, shape, new byte[size * shape.Aggregate(1L, (a, b) => a * b)]);

    /// <summary>Joins the shards of a copy into one file, edited.</summary>
    private static void Merge(CheckpointCopy copy, Action<Dictionary<string, RawTensor>> change)
    {
        var all = new Dictionary<string, RawTensor>();
        foreach (var file in Directory.GetFiles(copy.Folder, "model-*.safetensors"))
        {
            foreach (var (name, tensor) in CheckpointCopy.Read(file))
                all.Add(name, tensor);
            File.Delete(file);
        }

        File.Delete(copy.At("model.safetensors.index.json"));
        change(all);
        CheckpointCopy.Write(copy.At("model.safetensors"), all);
    }

    private static RankContext Rank(KernelSet kernels, int rank, int worldSize) => new(new OneOf(rank, worldSize), kernels, CPU, ScalarType.Float32);

    private static (List<Tensor> Weights, long Bytes) Capture(string name, int rank, int worldSize)
    {
        var kernels = new CapturingKernels();
        using var checkpoint = Checkpoint.Open(Goldens.At("models", name));
        using var model = CausalLm.Create(ModelConfigReader.Read(Goldens.At("models", name)), Rank(kernels, rank, worldSize));
        var report = WeightLoader.Load(model, checkpoint, new LoadOptions(Dequantize: true));
        return (kernels.Dense, report.Bytes);
    }

    private static bool Same(Tensor a, Tensor b) => a.shape.SequenceEqual(b.shape) && a.equal(b).all().item<bool>();

    private static IEnumerable<string> Rows(Tensor matrix) => Enumerable.Range(0, (int)matrix.shape[0])
        .Select(r => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(matrix[r].contiguous().bytes.ToArray())));

    /// <summary>The reference kernels, and a copy of every weight that they were given.</summary>
    private sealed class CapturingKernels : TorchKernels
    {
        public List<Tensor> Dense { get; } = [];

        public override LinearWeight Prepare(Tensor weight)
        {
            Dense.Add(weight.clone().MoveToOuterDisposeScope());
            return base.Prepare(weight);
        }
    }

    /// <summary>A rank of several, for loading only.</summary>
    private sealed class OneOf(int rank, int worldSize) : Communicator
    {
        public override int Rank => rank;

        public override int WorldSize => worldSize;

        public override void AllReduce(Tensor tensor) => throw new NotSupportedException();

        public override Tensor AllGather(Tensor tensor) => throw new NotSupportedException();

        public override void Barrier() => throw new NotSupportedException();
    }
}
