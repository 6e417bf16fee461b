using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Grpo;
using DeepSeekR1.Training.Optimization;
using DeepSeekR1.Training.Sft;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>Masters of bfloat16 weights, the balance of experts, checkpoints that cannot be written, and the policy loss against finite differences.</summary>
public sealed class TrainingPartsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("parts").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void AdamW_StepsSmallerThanABfloat16_AddUpInTheMaster()
    {
        using var scope = NewDisposeScope();
        var weight = ones(4, 4).to(ScalarType.BFloat16).requires_grad_();
        using var optimizer = new AdamW([new TrainableWeight("w", weight, false)], new AdamWOptions { WeightDecay = 0 });

        // Next to 1 the numbers of bfloat16 below lie 2^-8 apart; a step of Adam with a constant gradient is the learning rate.
        for (int i = 1; i <= 10; i++)
        {
            weight.grad = ones(4, 4).to(ScalarType.BFloat16);
            optimizer.Step(5e-4);
            if (i == 1)
                Assert.Equal(1f, weight[0, 0].to(ScalarType.Float32).item<float>());
        }

        Assert.Equal(1 - 10 * 5e-4, optimizer.State().Single(s => s.Name == "master.w").Tensor[0, 0].item<float>(), 1e-6);
        Assert.Equal(0.99609375f, weight[0, 0].to(ScalarType.Float32).item<float>());
    }

    /// <summary>Two sequences of 2 and 1 rows, 2 experts, top 1: f and P by hand from equations 17 to 20 of the DeepSeek-V3 paper.</summary>
    [Fact]
    public void BalanceLoss_OfThreeRows_IsTheHandComputedOne()
    {
        using var scope = NewDisposeScope();
        static float Logit(double p) => (float)Math.Log(p / (1 - p));
        var logits = tensor(new[,] { { Logit(0.6), Logit(0.2) }, { Logit(0.3), Logit(0.3) }, { Logit(0.1), Logit(0.4) } });
        var experts = tensor(new long[,] { { 0 }, { 0 }, { 1 } });
        var balance = new BalanceLoss(1, [new PagedSequence(0, 2, 2, ReadOnlyMemory<int>.Empty), new PagedSequence(2, 1, 1, ReadOnlyMemory<int>.Empty)]);
        balance.Add(logits, experts);

        // Shares of the scores: (.75, .25), (.5, .5), (.2, .8). First: f = (2, 0), P = (.625, .375): 1.25. Second: f = (0, 2), P = (.2, .8): 1.6.
        Assert.Equal((1.25 + 1.6) / 2, balance.Total!.item<float>(), 1e-6);
    }

    [Fact]
    public void Save_WhenTheFolderTakesNoMore_LeavesTheLastGoodCheckpoint()
    {
        using var model = ModelSource.Open(Path.Combine(Goldens.Repository, "models", "r1-tiny"), ScalarType.Float32, 0.02, 1, withMtp: false);
        using var loop = new TrainingLoop(model, new TrainingOptions { ModelNameOrPath = "m", OutputDir = "o" });
        string good = TrainingCheckpoint.Save(_folder, model, loop, new TrainingState { Step = 1, NextSample = 5 }, 1);

        // A file where the next checkpoint's folder would be: the write fails by an IOException, as it does on a full disk.
        File.WriteAllText(Path.Combine(_folder, "checkpoint-2.partial"), "in the way");
        var error = Assert.Throws<TrainingException>(() => TrainingCheckpoint.Save(_folder, model, loop, new TrainingState { Step = 2, NextSample = 9 }, 1));
        Assert.Contains(good, error.Message);
        Assert.Equal(good, TrainingCheckpoint.Latest(_folder));
        Assert.Equal(5, TrainingCheckpoint.Restore(good, model, loop).NextSample);
    }

    /// <summary>A checkpoint that cannot be used is named with what is wrong, and with the one to fall back on.</summary>
    [Theory]
    [InlineData("trainer_state.json", "{\"Step\":")]
    [InlineData("trainer_state.json", null)]
    [InlineData("model.safetensors", "not numbers")]
    [InlineData("model.safetensors", null)]
    [InlineData("optimizer.safetensors", null)]
    [InlineData("optimizer.safetensors", "")]
    public void Restore_DamagedCheckpoint_NamesItAndTheOneBefore(string file, string? content)
    {
        using var model = ModelSource.Open(Path.Combine(Goldens.Repository, "models", "r1-tiny"), ScalarType.Float32, 0.02, 1, withMtp: false);
        using var loop = new TrainingLoop(model, new TrainingOptions { ModelNameOrPath = "m", OutputDir = "o" });
        TrainingCheckpoint.Save(_folder, model, loop, new TrainingState { Step = 1, NextSample = 5 }, 0);
        string bad = TrainingCheckpoint.Save(_folder, model, loop, new TrainingState { Step = 2, NextSample = 5 }, 0);
        File.Delete(Path.Combine(bad, file));
        if (content is not null)
            File.WriteAllText(Path.Combine(bad, file), content);
        string message = Assert.Throws<ModelLoadException>(() => TrainingCheckpoint.Restore(bad, model, loop)).Message;
        Assert.Contains(bad, message);
        Assert.Contains("'checkpoint-1'", message);
    }

    [GoldenFact]
    public void Restore_CheckpointOfAnotherModel_NamesWeightAndShapes()
    {
        using var model = ModelSource.Open(Goldens.At("models", "qwen2"), ScalarType.Float32, 0.02, 1, withMtp: false);
        using var loop = new TrainingLoop(model, new TrainingOptions { ModelNameOrPath = "m", OutputDir = "o" });
        string saved = TrainingCheckpoint.Save(_folder, model, loop, new TrainingState { Step = 1, NextSample = 5 }, 0);
        using var other = ModelSource.Open(Goldens.At("models", "llama"), ScalarType.Float32, 0.02, 1, withMtp: false);
        using var otherLoop = new TrainingLoop(other, new TrainingOptions { ModelNameOrPath = "m", OutputDir = "o" });
        string message = Assert.Throws<ModelLoadException>(() => TrainingCheckpoint.Restore(saved, other, otherLoop)).Message;
        Assert.Contains("it is of another model: model.", message);
        Assert.Contains("another output_dir", message);
    }

    [Theory]
    [InlineData("""{"max_minutes": -5}""", "max_minutes is '-5'; it must be at least 0.")]
    [InlineData("""{"warmup_steps": -1}""", "warmup_steps is '-1'")]
    [InlineData("""{"adam_epsilon": 0}""", "adam_epsilon is '0'; it must be above 0.")]
    [InlineData("""{"initializer_range": -1}""", "initializer_range is '-1'")]
    [InlineData("""{"router_bias_speed": -1}""", "router_bias_speed is '-1'")]
    [InlineData("""{"router_bias_until": 7}""", "router_bias_until is '7'; it must be 0 to 1.")]
    [InlineData("""{"balance_weight": -1}""", "balance_weight is '-1'")]
    [InlineData("""{"mix": {"add": -1}}""", "mix.add is '-1'; it must be 0 to 1000000 parts.")]
    [InlineData("""{"mix": {"refusal": 1000001}}""", "mix.refusal is '1000001'")]
    [InlineData("""{"mix": {"add":0,"subtract":0,"multiply":0,"divide":0,"linear":0,"compare":0,"dialogue":0,"nicety":0,"refusal":0}}""", "mix is '0 parts of everything'; it must be a mix with at least one of add,")]
    [InlineData("""{"mix": {"max_digits": 0}}""", "mix.max_digits is '0'; it must be 1 to 5.")]
    [InlineData("""{"mix": {"max_digits": 6}}""", "mix.max_digits is '6'; it must be 1 to 5.")]
    [InlineData("""{"mix": {"words_percent": 101}}""", "mix.words_percent is '101'; it must be 0 to 100.")]
    [InlineData("""{"mix": {"mistakes_percent": -1}}""", "mix.mistakes_percent is '-1'")]
    [InlineData("""{"mix": {"hardest_products_per_mille": 1001}}""", "mix.hardest_products_per_mille is '1001'; it must be 0 to 1000.")]
    [InlineData("""{"mix": {"hard_products_per_mille": 600, "harder_products_per_mille": 600}}""", "harder_ and hardest_products_per_mille is '1205'; it must be at most 1000.")]
    [InlineData("""{"mix": null}""", "mix is 'null'")]
    [InlineData("""{"seed": 1, "seed": 2}""", "seed")]
    [InlineData("[1]", "c.json is no object of fields")]
    [InlineData("null", "c.json is no object of fields")]
    public void Parse_ValuesWithoutMeaning_AreRefused(string json, string message)
        => Assert.Contains(message, Assert.Throws<StartupException>(() => TrainingOptions.Parse<SftOptions>(
            json, json[0] == '{' ? [("model_name_or_path", "m"), ("output_dir", "o"), ("dataset", "arithmetic")] : [], "c.json")).Message);

    [Fact]
    public void Parse_MixOfAFile_IsRefused()
    {
        (string, string)[] fields = [("model_name_or_path", "m"), ("output_dir", "o"), ("dataset", "f.jsonl")];
        Assert.Equal("f.jsonl", TrainingOptions.Parse<SftOptions>("""{"mix": {}}""", fields).Dataset);
        Assert.Contains("mix is 'set'; it must be left out when dataset is a file", Assert.Throws<StartupException>(() => TrainingOptions.Parse<SftOptions>("""{"mix": {"add": 1}}""", fields)).Message);
    }

    [Fact]
    public void Run_OutputThatIsAFile_IsRefused()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        Assert.Contains("output_dir", Assert.Throws<StartupException>(() => new SftTrainer(new SftOptions { OutputDir = file }).Run()).Message);
    }

    [Theory]
    [InlineData("grpo")]
    [InlineData("bnpo")]
    [InlineData("dapo")]
    [InlineData("dr_grpo")]
    [InlineData("gspo")]
    public void PolicyLoss_WithKlAndSamplerWeights_HasTheGradientOfFiniteDifferences(string variant)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        Tensor Noise(double scale) => randn([3, 4], ScalarType.Float64, generator: generator) * scale;
        Tensor start = Noise(0.3), old = Noise(0.3), reference = Noise(0.3), sampler = old + Noise(0.05);
        var mask = tensor(new double[,] { { 1, 1, 1, 1 }, { 1, 1, 0, 0 }, { 1, 1, 1, 0 } });
        var advantages = tensor(new[] { 1.1, -0.7, 0.4 });

        // Wide ranges: at a kink a finite difference says nothing.
        var options = PolicyLossOptions.Named(variant) with
        {
            Epsilon = 5,
            EpsilonHigh = 5,
            Beta = 0.2,
            KlTimesRatio = true,
            MaxCompletionLength = 4,
            ImportanceMode = SamplerCorrection.TokenTruncate
        };
        PolicyLossResult Loss(Tensor logp) => PolicyLoss.Compute(
            new PolicyBatch { NewLogProbs = logp, OldLogProbs = old, ReferenceLogProbs = reference, SamplerLogProbs = sampler, Mask = mask, Advantages = advantages }, options);
        var logp = start.clone().requires_grad_();
        Loss(logp).Loss.backward();
        double[] gradient = logp.grad!.data<double>().ToArray(), values = start.data<double>().ToArray();
        double At(int i, double h)
        {
            double[] moved = [.. values];
            moved[i] += h;
            return Loss(tensor(moved).reshape(3, 4)).Loss.item<double>();
        }

        for (int i = 0; i < values.Length; i++)
            Assert.Equal((At(i, 1e-6) - At(i, -1e-6)) / 2e-6, gradient[i], 1e-7);
    }

    [Theory]
    [InlineData(SamplerCorrection.TokenTruncate, 3, 0.5)]
    [InlineData(SamplerCorrection.TokenMask, 0, 0.5)]
    public void PolicyLoss_TokenWeights_AreThoseOfEachToken(SamplerCorrection mode, double first, double second)
    {
        using var scope = NewDisposeScope();
        var logp = zeros(1, 2).requires_grad_();
        var batch = new PolicyBatch
        {
            NewLogProbs = logp,
            SamplerLogProbs = tensor(new[,] { { -(float)Math.Log(8), (float)Math.Log(2) } }),
            Mask = ones(1, 2),
            Advantages = ones(1),
        };
        PolicyLoss.Compute(batch, PolicyLossOptions.Named("dapo") with { ImportanceMode = mode, ImportanceCap = 3 }).Loss.backward();
        Assert.Equal(-first / 2, logp.grad![0, 0].item<float>(), 1e-6);
        Assert.Equal(-second / 2, logp.grad[0, 1].item<float>(), 1e-6);
    }
}
