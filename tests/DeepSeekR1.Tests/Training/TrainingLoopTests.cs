using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Grpo;
using DeepSeekR1.Training.Sft;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>Batches, accumulation, guards, exact resume, and the way of trained weights into the engine.</summary>
public sealed class TrainingLoopTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("train").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [GoldenTheory]
    [InlineData("deepseek-v3-plain")]
    [InlineData("qwen2")]
    public void Batch_OfManyLengths_HasTheLossAndGradientsOfItsSequencesAlone(string name)
    {
        using var scope = NewDisposeScope();
        using var model = ModelSource.Open(Goldens.At("models", name), ScalarType.Float32, 0.02, 1, withMtp: false);
        var weights = new TrainableWeights(model);
        int[] lengths = [7, 31, 8, 3, 30, 12, 9];
        var samples = lengths.Select((n, i) => new TrainingSample([.. Enumerable.Range(0, n).Select(t => (t * 37 + i * 11 + 5) % 200)], [.. Enumerable.Repeat(true, n)])).ToList();
        long targets = samples.Sum(s => s.TargetCount);
        var together = Gradients(model, weights, [new MicroBatch(samples)], targets);
        var alone = Gradients(model, weights, [.. samples.Select(s => new MicroBatch([s]))], targets);
        var inTwo = Gradients(model, weights, [new MicroBatch(samples[..3]), new MicroBatch(samples[3..])], targets);
        foreach (var other in new[] { alone, inTwo })
        {
            Assert.Equal(together.Loss, other.Loss, 1e-4);
            foreach (var (weight, gradient) in together.Gradients)
                Assert.True((gradient - other.Gradients[weight]).abs().max().item<float>() <= 1e-4 * (1e-2f + gradient.abs().max().item<float>()), weight);
        }
    }

    [Fact]
    public void Sft_KilledAndResumed_EndsWithTheSameWeights()
    {
        ArithmeticModel.Write(Path.Combine(_folder, "start"), ArithmeticModel.Recipe("r1-tiny.config.json"), seed: 3);
        var options = new SftOptions
        {
            ModelNameOrPath = Path.Combine(_folder, "start"),
            OutputDir = Path.Combine(_folder, "whole"),
            Dataset = "arithmetic",
            MaxSteps = 6,
            TokensPerStep = 400,
            MicroBatchTokens = 250,
            SaveSteps = 3,
            SaveTotalLimit = 0,
            MtpWeight = 0.1,
            MtpEvery = 2,
            RouterBiasSpeed = 1e-3,
            LoggingSteps = 1,
        };
        Assert.True(new SftTrainer(options).Run());

        // What a killed run leaves: the checkpoint of step 3, and a partial one.
        var cut = options with { OutputDir = Path.Combine(_folder, "cut") };
        CopyFolder(Path.Combine(options.OutputDir, "checkpoint-3"), Path.Combine(cut.OutputDir, "checkpoint-3"));
        Directory.CreateDirectory(Path.Combine(cut.OutputDir, "checkpoint-5.partial"));
        Assert.True(new SftTrainer(cut).Run());
        foreach (var file in new[] { "model.safetensors", "optimizer.safetensors" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(options.OutputDir, "checkpoint-6", file)), File.ReadAllBytes(Path.Combine(cut.OutputDir, "checkpoint-6", file)));

        // And the result is a checkpoint that the engine's own loader takes, strictly.
        Assert.NotEqual(File.ReadAllBytes(Path.Combine(options.OutputDir, "checkpoint-3", "model.safetensors")), File.ReadAllBytes(Path.Combine(options.OutputDir, "checkpoint-6", "model.safetensors")));
        using var loaded = ModelSource.Open(options.OutputDir, ScalarType.Float32, 0.02, 1, withMtp: true);
        Assert.Equal(1_726_112, new TrainableWeights(loaded).Count);
    }

    [Fact]
    public void Jsonl_EveryForm_IsTheSameSample_AndPassesHaveOrdersOfTheirOwn()
    {
        string path = Path.Combine(_folder, "data.jsonl");
        File.WriteAllText(path, """
            {"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "reasoning_content": "1+1=3\nWait: 2", "content": "2"}], "unlearned": [[0, 6]]}
            {"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "<think>\n1+1=3\nWait: 2\n</think>\n\n2"}]}

            {"prompt": "1+1", "completion": "1+1=3\nWait: 2\n</think>\n\n2"}
            {"prompt": "5", "completion": "no thought"}
            """);
        var encoder = new SampleEncoder(Path.Combine(Goldens.Repository, "models", "r1-tiny"));
        var source = new JsonlSource(path, encoder, 100, seed: 4);
        Assert.Equal(4, source.Count);
        var samples = Enumerable.Range(0, 400).Select(i => source.Get(i)!).ToList();
        var texts = samples.Select(s => encoder.Tokenizer.Decode(s.Ids, skipSpecialTokens: false)).ToList();
        string expected = encoder.Tokenizer.Decode([.. encoder.Prompt([new Turn("user", "1+1")])], skipSpecialTokens: false) + "1+1=3\nWait: 2\n</think>\n\n2<｜end▁of▁sentence｜>";
        Assert.All(texts.Chunk(4), pass => Assert.Equal(3, pass.Count(text => text == expected)));
        Assert.True(texts.Chunk(4).Select(pass => Array.FindIndex(pass, text => text != expected)).Distinct().Count() == 4, "some place never comes first, or all passes are alike");
        Assert.Equal(6, samples.Take(4).Max(s => s.TargetCount) - samples.Take(4).Where(s => encoder.Tokenizer.Decode(s.Ids, false) == expected).Min(s => s.TargetCount));

        // A place in the data is one number: a fresh source gives the same samples from anywhere.
        var again = new JsonlSource(path, encoder, 100, seed: 4);
        Assert.All(new[] { 399, 0, 57 }, i => Assert.Equal(samples[i].Ids, again.Get(i)!.Ids));
        Assert.Null(new JsonlSource(path, encoder, 5, seed: 4).Get(0));
    }

    [Theory]
    [InlineData("", "has no dialogues")]
    [InlineData("{\"prompt\": \"a\", \"completion\": \"b\"}\nnot json", "line 2 is not a dialogue")]
    [InlineData("{\"prompt\": \"a\"}", "line 1 is not a dialogue")]
    [InlineData("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "must be the assistant's")]
    [InlineData("{\"prompt\": \"a\", \"completion\": \"b</think>c\", \"unlearned\": [[0, 9]]}", "unlearned run [0, 9]")]
    public void Jsonl_BadFile_IsRefusedByLine(string text, string message)
    {
        string path = Path.Combine(_folder, "bad.jsonl");
        File.WriteAllText(path, text);
        var encoder = new SampleEncoder(Path.Combine(Goldens.Repository, "models", "r1-tiny"));
        Assert.Contains(message, Assert.Throws<StartupException>(() => new JsonlSource(path, encoder, 100, 1)).Message);
        Assert.Contains("does not exist", Assert.Throws<StartupException>(() => new JsonlSource(path + "x", encoder, 100, 1)).Message);
    }

    [Fact]
    public void Run_WithALossThatIsNotFinite_NamesStepAndWeightAndChangesNothing()
    {
        using var scope = NewDisposeScope();
        ArithmeticModel.Write(Path.Combine(_folder, "start"), ArithmeticModel.Recipe("r1-tiny.config.json"), seed: 3);
        using var model = ModelSource.Open(Path.Combine(_folder, "start"), ScalarType.Float32, 0.02, 1, withMtp: false);
        using var loop = new TrainingLoop(model, new TrainingOptions { ModelNameOrPath = "m", OutputDir = "o" });
        var victim = loop.Weights.All[3];
        using (no_grad())
            victim.Tensor.view(-1).narrow(0, 0, 1).fill_(float.NaN);
        using var before = loop.Weights.All[5].Tensor.detach().clone();
        var batch = new MicroBatch([TrainingSample.Completion([1, 2, 3], [4, 5, 6])]);
        var error = Assert.Throws<TrainingException>(() => loop.Run([() => LanguageModelLoss.Compute(model, batch, 3, new LossOptions()).Total]));
        Assert.StartsWith("Step 1: The loss is not finite.", error.Message);
        Assert.Contains(victim.Name, error.Message);
        Assert.True(loop.Weights.All[5].Tensor.equal(before).all().item<bool>());
    }

    [Fact]
    public async Task WeightPush_GivesTheEngineTheTrainersLogProbs_AndForgetsPrefixes()
    {
        string start = Path.Combine(_folder, "start");
        ArithmeticModel.Write(start, ArithmeticModel.Recipe("r1-tiny.config.json"), seed: 3);
        using (var first = ModelSource.Open(start, ScalarType.Float32, 0.05, 1, withMtp: false))
            ModelExporter.WriteWeights(first, Path.Combine(start, ModelSource.WeightsFile), DType.Float32);
        await using var engine = LlmEngine.Load(new EngineOptions { ModelPath = start, DType = "float32", Device = "cpu", NumThreads = 1, KvCacheMemoryBytes = 16 << 20 });
        int[] prompt = [.. Enumerable.Range(3, 40)];
        var plan = new SamplingPlan(2, 12, 1, Seed: 5);
        await Rollout.SampleAsync(engine, [prompt], [1], plan);

        // Other weights, as after a step: without the push, or with old keys from the cache, the log-probs are others.
        using var trained = Other(start);
        Assert.Equal(1, await WeightSync.PushAsync(trained, engine));
        var samples = await Rollout.SampleAsync(engine, [prompt], [1], plan);
        Assert.All(samples[0], s => Assert.Equal(1, s.PolicyVersion));
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var own = CompletionLogProbs.Compute(trained, samples[0], 1).LogProbs;
        for (int b = 0; b < 2; b++)
            for (int t = 0; t < samples[0][b].CompletionIds.Length; t++)
                Assert.Equal(samples[0][b].LogProbs[t], own[b, t].item<float>(), 1e-4f);
    }

    private static CausalLm Other(string start)
    {
        var config = ModelConfigReader.Read(start);
        var model = CausalLm.Create(config, new RankContext(new SingleRank(), new TorchKernels(), torch.CPU, ScalarType.Float32));
        WeightInitializer.Fill(model, 0.05, seed: 2);
        return model;
    }

    private static (double Loss, Dictionary<string, Tensor> Gradients) Gradients(CausalLm model, TrainableWeights weights, IReadOnlyList<MicroBatch> batches, long targets)
    {
        double loss = 0;
        weights.ZeroGradients();
        foreach (var batch in batches)
        {
            using var scope = NewDisposeScope();
            var result = LanguageModelLoss.Compute(model, batch, targets, new LossOptions());
            result.Total.backward();
            loss += result.Total.item<float>();
        }

        return (loss, weights.All.Where(w => w.Tensor.grad is not null).ToDictionary(w => w.Name, w => w.Tensor.grad!.clone()));
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
