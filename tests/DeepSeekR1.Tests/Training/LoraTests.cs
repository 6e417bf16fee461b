using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Attention;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Lora;
using DeepSeekR1.Training.Sft;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>Low-rank adapters: they begin at the base, are alone in learning, merge into the base, and leave as PEFT knows them.</summary>
public sealed class LoraTests : IDisposable
{
    private static readonly TrainingOptions Options = new() { ModelNameOrPath = "m", OutputDir = "o", LoraR = 4, LoraAlpha = 12 };
    private readonly string _folder = Directory.CreateTempSubdirectory("lora").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenTheory]
    [InlineData("deepseek-v3-plain", MlaForm.Auto)]
    [InlineData("deepseek-v3-plain", MlaForm.Absorbed)]
    [InlineData("qwen2", MlaForm.Auto)]
    [InlineData("llama-tied", MlaForm.Auto)]
    public void Adapters_BeginAtTheBase_AndMergeIntoIt(string name, MlaForm form)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        using var model = Open(name);
        var before = Logits(model, form);
        using var loop = new TrainingLoop(model, Options);
        Assert.True(Logits(model, form).equal(before).all().item<bool>());

        foreach (var adapter in loop.Lora!.All)
            adapter.B.copy_(randn_like(adapter.B) * 0.05);
        var adapted = Logits(model, form);
        Assert.True((adapted - before).abs().max().item<float>() > 1e-2);
        using (loop.Lora.Off())
            Assert.True(Logits(model, form).equal(before).all().item<bool>());

        // Exported: a checkpoint like any other.
        ModelExporter.WriteFolder(model, Goldens.At("models", name), _folder, DType.Float32);
        using var merged = ModelSource.Open(_folder, ScalarType.Float32, 0.02, 1, withMtp: false);
        Assert.True((Logits(merged, form) - adapted).abs().max().item<float>() <= 1e-5 * (1 + adapted.abs().max().item<float>()));

        // And into a running model.
        using var running = Open(name);
        WeightSync.Copy(model, running);
        Assert.True((Logits(running, form) - adapted).abs().max().item<float>() <= 1e-5 * (1 + adapted.abs().max().item<float>()));
    }

    [GoldenFact]
    public void Gradients_ReachTheAdaptersAlone_AndTheBaseStays()
    {
        using var scope = NewDisposeScope();
        using var model = Open("deepseek-v3-plain");
        using var loop = new TrainingLoop(model, Options with { LoraTargetModules = ["q_b_proj", "experts\\.\\d+\\.(gate|down)_proj"] });
        var before = model.Weights.Select(w => w.Target.Parameter.detach().clone()).ToList();
        Assert.All(loop.Lora!.All, a => Assert.Matches("q_b_proj$|experts\\.[0-9]+\\.(gate|down)_proj$", a.Module));
        var batch = new MicroBatch([TrainingSample.Completion([1, 2, 3], [4, 5, 6, 7])]);
        LanguageModelLoss.Compute(model, batch, 4, new LossOptions()).Total.backward();
        Assert.All(model.Weights, w => Assert.Null(w.Target.Parameter.grad));
        Assert.All(loop.Lora.All.Where(a => a.Module.EndsWith("q_b_proj")), a => Assert.True(a.B.grad!.abs().max().item<float>() > 0));
        loop.Weights.ZeroGradients();
        loop.Run([() => LanguageModelLoss.Compute(model, batch, 4, new LossOptions()).Total]);
        Assert.All(model.Weights.Zip(before), p => Assert.True(p.First.Target.Parameter.equal(p.Second).all().item<bool>()));
        Assert.Contains(loop.Lora.All, a => a.B.abs().max().item<float>() > 0);
    }

    [Fact]
    public void Sft_WithAdapters_LearnsResumesExactly_AndLeavesBothForms()
    {
        string bundled = Path.Combine(Goldens.Repository, "models", "r1-tiny");
        var options = new SftOptions
        {
            ModelNameOrPath = bundled,
            OutputDir = Path.Combine(_folder, "whole"),
            Dataset = "arithmetic",
            MaxSteps = 6,
            TokensPerStep = 400,
            SaveSteps = 3,
            SaveTotalLimit = 0,
            LoraR = 3,
            LoraTargetModules = ["o_proj", "gate_proj"],
        };
        Assert.True(new SftTrainer(options).Run());
        var cut = options with { OutputDir = Path.Combine(_folder, "cut") };
        Copy(Path.Combine(options.OutputDir, "checkpoint-3"), Path.Combine(cut.OutputDir, "checkpoint-3"));
        Assert.True(new SftTrainer(cut).Run());
        foreach (var file in new[] { LoraAdapters.WeightsFile, "optimizer.safetensors" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(options.OutputDir, "checkpoint-6", file)), File.ReadAllBytes(Path.Combine(cut.OutputDir, "checkpoint-6", file)));
        Assert.False(File.Exists(Path.Combine(options.OutputDir, "checkpoint-6", ModelSource.WeightsFile)));

        // PEFT's names and shapes.
        string adapter = Path.Combine(options.OutputDir, LoraAdapters.Folder);
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(adapter, "adapter_config.json")));
        Assert.Equal("LORA", config.RootElement.GetProperty("peft_type").GetString());
        Assert.Equal(3, config.RootElement.GetProperty("r").GetInt32());
        Assert.Equal(6, config.RootElement.GetProperty("lora_alpha").GetDouble());
        var modules = config.RootElement.GetProperty("target_modules").EnumerateArray().Select(m => m.GetString()!).ToList();
        Assert.Contains("model.layers.0.self_attn.o_proj", modules);
        Assert.Contains("model.layers.1.mlp.experts.7.gate_proj", modules);
        Assert.DoesNotContain(modules, m => m.StartsWith("model.layers.5.") || m.EndsWith(".gate"));
        using var tensors = Checkpoint.Open(Path.Combine(adapter, LoraAdapters.WeightsFile));
        Assert.Equal(2 * modules.Count, tensors.Tensors.Count);
        Assert.Equal([3L, 128], tensors.Find("base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight").Shape);
        Assert.Equal([128L, 3], tensors.Find("base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight").Shape);

        // The merged result differs from the base where adapters were, and nowhere else.
        using var result = Checkpoint.Open(options.OutputDir);
        using var basis = Checkpoint.Open(bundled);
        bool Same(string name)
        {
            using var scope = NewDisposeScope();
            return result.Read(name).equal(basis.Read(name)).all().item<bool>();
        }

        Assert.False(Same("model.layers.0.self_attn.o_proj.weight"));
        Assert.True(Same("model.layers.0.self_attn.kv_b_proj.weight"));
        Assert.True(Same("model.embed_tokens.weight"));

        Assert.Contains("lora_r", Assert.Throws<ModelLoadException>(() => new SftTrainer(options with { LoraR = 2 }).Run()).Message);
        Assert.Contains("with adapters", Assert.Throws<ModelLoadException>(() => new SftTrainer(options with { LoraR = 0, LoraTargetModules = null }).Run()).Message);
    }

    [Theory]
    [InlineData("{\"lora_r\": 2, \"lora_target_modules\": \"q_proj\"}", null)]
    [InlineData("{\"lora_r\": 2, \"lora_target_modules\": [\"q_proj\", \"v_proj\"]}", null)]
    [InlineData("{\"lora_alpha\": 2}", "while lora_r is 0")]
    [InlineData("{\"lora_target_modules\": \"q_proj\"}", "while lora_r is 0")]
    [InlineData("{\"lora_r\": 2, \"router_bias_speed\": 0.1}", "0 with adapters")]
    public void Options_AreOneNameOrMany(string json, string? message)
    {
        TrainingOptions Parse() => TrainingOptions.Parse<SftOptions>(json, [("model_name_or_path", "m"), ("output_dir", "o"), ("dataset", "arithmetic")]);
        if (message is null)
            Assert.Equal("q_proj", Parse().LoraTargetModules![0]);
        else
            Assert.Contains(message, Assert.Throws<StartupException>(Parse).Message);
    }

    [GoldenTheory]
    [InlineData("q_prj", "gate_proj")]
    [InlineData("embed_tokens", "matches no linear layer")]
    [InlineData("(q_proj", "regular expression")]
    public void Attach_UnknownTarget_NamesTheModelsLayers(string target, string message)
    {
        using var model = Open("qwen2");
        Assert.Contains(message, Assert.Throws<StartupException>(() => new TrainingLoop(model, Options with { LoraTargetModules = [target] })).Message);
    }

    private static CausalLm Open(string name) => ModelSource.Open(Goldens.At("models", name), ScalarType.Float32, 0.02, 1, withMtp: false);

    private static Tensor Logits(CausalLm model, MlaForm form)
    {
        long[] ids = [.. Enumerable.Range(0, 20).Select(i => (long)(i * 37 % 200))];
        using var attention = new DenseAttention(model.Rank.Kernels, [20]);
        return model.Logits(model.Forward(tensor(ids), new ForwardContext(arange(20), attention) { MlaForm = form }));
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
