using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Tests.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>Quantized checkpoints: written, cut in the middle, loaded, sharded, and those that bitsandbytes wrote.</summary>
public sealed class CheckpointQuantizerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("quantizer").FullName;

    private string Out => Path.Combine(_folder, "out");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenTheory]
    [InlineData("fp8", "qwen2")]
    [InlineData("int8", "qwen2")]
    [InlineData("int4", "qwen2")]
    [InlineData("nf4", "qwen2")]
    [InlineData("fp8", "deepseek-v3-mtp")]
    [InlineData("int8", "deepseek-v3-mtp")]
    [InlineData("int4", "deepseek-v3-mtp")]
    [InlineData("nf4", "deepseek-v3-mtp")]
    public async Task Run_EveryFormat_GivesWhatQuantizingOnTheFlyGives(string format, string name)
    {
        CheckpointQuantizer.Run(Goldens.At("models", name), Out, new QuantizeOptions(format));
        var prompt = Enumerable.Range(3, 20).ToArray();
        var byFile = await Generate(Out, o => o, prompt);
        Assert.Equal(byFile, await Generate(Goldens.At("models", name), o => o with { Quantization = format }, prompt));
        Assert.Equal(byFile, await Generate(Out, o => o with { TensorParallelSize = 2 }, prompt));
        Assert.Equal(byFile, await Generate(Goldens.At("models", name), o => o with { Quantization = format, TensorParallelSize = 2 }, prompt));
        Assert.False(Directory.Exists(Out + ".partial"));
        Assert.True(File.Exists(Path.Combine(Out, "tokenizer.json")));
    }

    [GoldenTheory]
    [InlineData("fp8", 1.1)]
    [InlineData("int8", 1.1)]
    [InlineData("int4", 0.75)]
    [InlineData("nf4", 0.65)]
    public void Run_EveryFormat_KeepsMatricesSmallAndOnlyThese(string format, double bytes)
    {
        CheckpointQuantizer.Run(Goldens.At("models", "deepseek-v3-mtp"), Out, new QuantizeOptions(format));
        using var before = Checkpoint.Open(Goldens.At("models", "deepseek-v3-mtp"));
        using var after = Checkpoint.Open(Out);
        var config = ModelConfigReader.Read(Out);
        using var model = CausalLm.Create(config, Rank());
        var report = WeightLoader.Load(model, after);
        var share = Assert.Single(report.Formats, f => f.IsQuantized);
        Assert.Equal(format, share.Format);
        Assert.InRange((double)share.Bytes / share.Parameters, 0.5, bytes);
        foreach (var kept in new[] { "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight", "model.layers.1.mlp.gate.weight", "model.layers.3.eh_proj.weight" })
            Assert.Equal(before.Find(kept), after.Find(kept), (a, b) => a.Type == b.Type && a.Shape.SequenceEqual(b.Shape));

        // The multi-token prediction layer is one of the model's: its matrices shrink too.
        Assert.NotEqual(before.Find("model.layers.3.mlp.experts.0.up_proj.weight").Type, after.Find("model.layers.3.mlp.experts.0.up_proj.weight").Type);
    }

    [GoldenFact]
    public void Run_CutInTheMiddle_LeavesNothingThatLoadsAndGoesOn()
    {
        var input = Goldens.At("models", "deepseek-v3-fp8-mtp");
        var options = new QuantizeOptions("nf4", DoubleQuant: true);
        var whole = Path.Combine(_folder, "whole");
        CheckpointQuantizer.Run(input, whole, options);
        using var source = new CancellationTokenSource();
        void Watch(double share, string shard)
        {
            if (shard.StartsWith("model-00002", StringComparison.Ordinal))
                source.Cancel();
        }

        Assert.Throws<OperationCanceledException>(() => CheckpointQuantizer.Run(input, Out, options, Watch, source.Token));
        Assert.False(Directory.Exists(Out));
        Assert.True(File.Exists(Path.Combine(Out + ".partial", "model-00001-of-000003.safetensors")));
        Assert.Throws<ModelLoadException>(() => ModelConfigReader.Read(Out + ".partial"));
        Assert.Contains("other options", Assert.Throws<ModelLoadException>(() => CheckpointQuantizer.Run(input, Out, new QuantizeOptions("int8"))).Message,
            StringComparison.Ordinal);

        var shards = new HashSet<string>();
        var first = File.GetLastWriteTimeUtc(Path.Combine(Out + ".partial", "model-00001-of-000003.safetensors"));
        CheckpointQuantizer.Run(input, Out, options, (_, shard) => shards.Add(shard));
        Assert.Equal(first, File.GetLastWriteTimeUtc(Path.Combine(Out, "model-00001-of-000003.safetensors")));
        foreach (var file in Directory.GetFiles(whole))
            Assert.True(File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(Out, Path.GetFileName(file)))), $"{file} differs after going on");
        Assert.Equal(Directory.GetFiles(whole).Length, Directory.GetFiles(Out).Length);
    }

    [GoldenFact]
    public void Run_WhatCannotBe_IsRefused()
    {
        var fp8 = Goldens.At("models", "deepseek-v3-fp8-mtp");
        Assert.Contains("is in fp8 already", Refusal(fp8, Out, "fp8"), StringComparison.Ordinal);
        Assert.Contains("exists", Refusal(fp8, _folder, "int8"), StringComparison.Ordinal);
        Assert.Contains("is not a folder", Refusal(Path.Combine(fp8, "config.json"), Out, "int8"), StringComparison.Ordinal);
        Assert.Contains("option:group is 7", Assert.Throws<ModelLoadException>(() => CheckpointQuantizer.Run(fp8, Out, new QuantizeOptions("int4", 7))).Message, StringComparison.Ordinal);
    }

    [GoldenFact]
    public void Load_QuantizingAnotherFormat_IsRefused()
    {
        var refusal = Assert.Throws<StartupException>(() => EngineFixture.Load("deepseek-v3-fp8-mtp", o => o with { Quantization = "int8" }));
        Assert.Contains("the checkpoint is in fp8 already", refusal.Message, StringComparison.Ordinal);
    }

    [GoldenTheory]
    [InlineData("bnb_linear4bit_plain_bf16")]
    [InlineData("bnb_linear4bit_double_bf16")]
    public void Read_ALayerOfBitsAndBytes_GivesItsNumbers(string name)
    {
        using var scope = new TensorScope();
        using var checkpoint = Checkpoint.Open(Goldens.At("quantization", name + ".safetensors"));
        using var expected = Checkpoint.Open(Goldens.At("quantization", name + "_expected.safetensors"));
        var config = ModelConfigReader.Read(Goldens.At("models", "qwen2")) with { QuantizationMethod = "nf4" };
        long[] shape = [64, 128];
        using var target = new Weight(Rank(), shape, WeightForm.Prepared);
        var spec = WeightSpec.Replicated("model.layers.0.self_attn.q_proj.weight", shape, target);
        var format = StoredFormat.Of(checkpoint, spec, config)!;
        Assert.All(format.Tensors(spec.Name, shape), t => Assert.Contains(t.Name, checkpoint.Tensors.Keys));
        using var quantized = format.Read(checkpoint, spec);

        // bitsandbytes rounds to the layer's bfloat16 once more.
        var difference = (quantized.Dequantize() - expected.Read("dequantized")).abs();
        Assert.True(difference.le(expected.Read("dequantized").abs() * Math.Pow(2, -8)).all().item<bool>(), $"off by {difference.amax([]).item<float>()}");
        var y = nn.functional.linear(expected.Read("x"), expected.Read("dequantized"), expected.Read("bias"));
        Assert.True(y.allclose(expected.Read("y"), 2e-2, 2e-2), "the product");
        using var rows = format.Read(checkpoint, spec with { Slice = new TensorSlice(10, 20, 5, 100) });
        Assert.True(rows.Dequantize().equal(quantized.Dequantize().narrow(0, 10, 20).narrow(1, 5, 100)).all().item<bool>(), "a rank's slice");
    }

    private static async Task<int[]> Generate(string folder, Func<EngineOptions, EngineOptions> change, int[] prompt)
    {
        await using var engine = LlmEngine.Load(change(new EngineOptions { ModelPath = folder, DType = "float32", NumThreads = 1, KvCacheMemoryBytes = 8 << 20 }));
        return [.. (await EngineFixture.Collect(engine.Submit(EngineFixture.Greedy(prompt, 24)))).Select(o => o.TokenId)];
    }

    private static string Refusal(string input, string output, string format)
        => Assert.Throws<ModelLoadException>(() => CheckpointQuantizer.Run(input, output, new QuantizeOptions(format))).Message;

    private static RankContext Rank() => new(new SingleRank(), new TorchKernels(), torch.CPU, ScalarType.Float32);
}
