using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Grpo;
using DeepSeekR1.Training.Sft;
using Xunit;

namespace DeepSeekR1.Tests.Training;

/// <summary>Whole runs of GRPO on the bundled model, with rewards that tests choose; prompts from files; configurations with mistakes.</summary>
public sealed class GrpoTrainerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private GrpoOptions Options => new()
    {
        ModelNameOrPath = Path.Combine(Goldens.Repository, "models", "r1-tiny"),
        OutputDir = Path.Combine(_folder, "out"),
        Dataset = "arithmetic",
        Prompts = [new(ProblemKind.Add, 2, 2)],
        PromptsPerStep = 2,
        NumGenerations = 4,
        MaxCompletionLength = 16,

        // Warm: the bundled model is so sure of its first tokens that all completions of a group would be one, and teach nothing.
        Temperature = 3,
        MaxSteps = 4,
        LearningRate = 1e-4,
        LrSchedulerType = "constant",
    };

    [Theory]
    [InlineData(1, 0.0)]
    [InlineData(2, 0.05)]
    public async Task Run_KilledAndResumed_EndsWithTheSameWeights(int iterations, double beta)
    {
        var options = Options with { SaveSteps = 2, SaveTotalLimit = 0, NumIterations = iterations, Beta = beta, MaxSteps = 4 };
        Assert.True(await Run(options, ByLength));
        var cut = options with { OutputDir = Path.Combine(_folder, "cut") };
        Directory.CreateDirectory(Path.Combine(cut.OutputDir, "checkpoint-2"));
        foreach (var file in Directory.GetFiles(Path.Combine(options.OutputDir, "checkpoint-2")))
            File.Copy(file, Path.Combine(cut.OutputDir, "checkpoint-2", Path.GetFileName(file)));
        Assert.True(await Run(cut, ByLength));
        foreach (var file in new[] { "model.safetensors", "optimizer.safetensors" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(options.OutputDir, "checkpoint-4", file)), File.ReadAllBytes(Path.Combine(cut.OutputDir, "checkpoint-4", file)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task Run_WithAReference_StartsAtZeroKl_AndLeavesIt(int loraRank)
    {
        var kl = new List<double>();
        await Run(Options with { Beta = 0.1, LearningRate = 1e-3, LoraR = loraRank, LoraTargetModules = loraRank > 0 ? ["o_proj"] : null }, ByLength, m => kl.Add(m.Values["kl"]));
        Assert.Equal(0, kl[0], 1e-6);
        Assert.True(kl[^1] > 1e-6, string.Join(" ", kl));
    }

    [Fact]
    public async Task Run_TwoIterations_MakeTwoStepsOfABatch_AndTheSecondIsOffPolicy()
    {
        var lines = new List<GrpoMetrics>();
        await Run(Options with { NumIterations = 2, LearningRate = 1e-3 }, ByLength, lines.Add);
        Assert.Equal([2L, 4], lines.Select(l => l.Step));
        Assert.All(lines, l => Assert.NotEqual(1, l.Values["ratio/mean"]));
    }

    [Fact]
    public async Task Run_DynamicSampling_DropsGroupsOfOneRewardAndDrawsOthers()
    {
        var asked = new List<string>();

        // Every second group has nothing to teach, whatever the model writes.
        IReadOnlyList<double?> Reward(RewardGroup group)
        {
            asked.Add(group.Row.Id);
            bool flat = asked.Distinct().ToList().IndexOf(group.Row.Id) % 2 == 0;
            return [.. group.Completions.Select((_, i) => (double?)(flat ? 1 : i % 2))];
        }

        var lines = new List<GrpoMetrics>();
        await Run(Options with { DynamicSampling = true, MaxSteps = 1 }, Reward, lines.Add);
        Assert.True(lines[0].Values["dynamic_sampling/dropped_groups"] >= 2);
        Assert.Equal(0, lines[0].Values["frac_reward_zero_std"]);
        string state = File.ReadAllText(Path.Combine(_folder, "out", "checkpoint-1", "trainer_state.json"));
        Assert.Equal(asked.Distinct().Count(), JsonNode.Parse(state)!["NextSample"]!.GetValue<int>());
    }

    [Fact]
    public async Task Run_EntropyBonus_RaisesEntropyOnSamplesWithoutAnyReward()
    {
        async Task<double> After(double coefficient)
        {
            double last = 0;
            await Run(Options with { OutputDir = Path.Combine(_folder, $"e{coefficient}"), EntropyCoef = coefficient, LearningRate = 1e-3, MaxSteps = 5 },
                g => [.. g.Completions.Select(_ => (double?)1)], m => last = m.Values["entropy"]);
            return last;
        }

        Assert.True(await After(1) > await After(-1) + 0.05);
    }

    /// <summary>Every completion of the step was cut and is masked: nothing may be learned, whatever its reward.</summary>
    [Fact]
    public async Task Run_AllCompletionsMasked_HasNoGradient()
    {
        var lines = new List<GrpoMetrics>();
        await Run(Options with { MaskTruncatedCompletions = true, MaxCompletionLength = 1, MaxSteps = 1 }, ByLength, lines.Add);
        Assert.Equal(1, lines[0].Values["completions/clipped_ratio"]);
        Assert.Equal(0, lines[0].Values["grad_norm"]);
    }

    [Fact]
    public async Task Run_WithActivationCheckpointing_LearnsTheSame()
    {
        var norms = new List<double>();
        foreach (bool on in new[] { false, true })
            await Run(Options with { OutputDir = Path.Combine(_folder, $"a{on}"), ActivationCheckpointing = on, Beta = 0.1, MaxSteps = 2 }, ByLength,
                m => norms.Add(m.Values["grad_norm"]));
        Assert.True(norms[0] > 0);
        Assert.Equal(norms[0], norms[2], 1e-5 * norms[0]);
        Assert.Equal(norms[1], norms[3], 1e-3 * norms[1]);
    }

    [Fact]
    public void Parse_FieldsOfTheLoss_ReachIt()
    {
        var options = TrainingOptions.Parse<GrpoOptions>("""
            {"model_name_or_path": "m", "output_dir": "o", "dataset": "f.jsonl", "loss_type": "bnpo", "epsilon": 0.1, "epsilon_high": 0.3, "delta": 1.5, "beta": 0.04, "use_bias_correction_kl": true,
             "importance_sampling_level": "sequence_token", "importance_sampling_mode": "token_truncate", "importance_sampling_cap": 2, "off_policy_mask_threshold": 0.5, "top_entropy_quantile": 0.2,
             "entropy_coef": 0.01, "max_completion_length": 99, "scale_rewards": "group", "multi_objective_aggregation": "normalize_then_sum", "reward_std_ddof": 0}
            """, []);
        Assert.Equal(
            new PolicyLossOptions
            {
                LossType = LossType.Bnpo,
                Epsilon = 0.1,
                EpsilonHigh = 0.3,
                Delta = 1.5,
                Beta = 0.04,
                KlTimesRatio = true,
                ImportanceSamplingLevel = RatioLevel.SequenceToken,
                ImportanceMode = SamplerCorrection.TokenTruncate,
                ImportanceCap = 2,
                OffPolicyMaskThreshold = 0.5,
                TopEntropyQuantile = 0.2,
                EntropyCoefficient = 0.01,
                MaxCompletionLength = 99,
            },
            options.Loss());
        Assert.Equal((RewardAggregation.NormalizeThenSum, 0), (options.MultiObjectiveAggregation, options.RewardStdDdof));
    }

    [Theory]
    [InlineData("""{"epsilon_max": 5}""", "only cispo has it")]
    [InlineData("""{"loss_type": "cispo", "epsilon": 0.2}""", "epsilon is '0.2'; it must be unset for cispo")]
    [InlineData("""{"loss_type": "cispo", "delta": 2}""", "delta is 2")]
    [InlineData("""{"use_bias_correction_kl": true}""", "while beta is 0")]
    [InlineData("""{"temperature": 0.7, "importance_sampling_mode": "token_mask"}""", "unset or none at temperature 0.7")]
    [InlineData("""{"importance_sampling_mode": "none", "importance_sampling_cap": 2}""", "where nothing is corrected")]
    [InlineData("""{"importance_sampling_mode": "tokens"}""", "it must be none, token_truncate, token_mask, sequence_truncate, sequence_mask.")]
    [InlineData("""{"scale_rewards": "none", "multi_objective_aggregation": "normalize_then_sum"}""", "scale_rewards is 'None'; it must be group")]
    [InlineData("""{"reward_std_ddof": 2}""", "0 or 1")]
    [InlineData("""{"top_entropy_quantile": 0}""", "top_entropy_quantile is 0")]
    [InlineData("""{"loss_type": "ppo"}""", "Unknown loss 'ppo'")]
    public void Parse_FieldsThatContradictEachOther_AreRefused(string json, string message)
        => Assert.Contains(message, Assert.Throws<StartupException>(() => TrainingOptions.Parse<GrpoOptions>(
            json, [("model_name_or_path", "m"), ("output_dir", "o"), ("dataset", "f.jsonl")])).Message);

    [Fact]
    public void JsonlPrompts_GiveEveryRowOnceAPass_AndKeepHeldOutOnesBack()
    {
        string path = Path.Combine(_folder, "p.jsonl");
        File.WriteAllLines(path, Enumerable.Range(0, 30).Select(i => i % 2 == 0
            ? $$"""{"prompt": "{{i}}+1", "answer": {{i + 1}}, "level": "easy"}"""
            : $$"""{"messages": [{"role": "user", "content": "{{i}}+1"}], "answer": "{{i + 1}}"}"""));
        var source = new JsonlPrompts(path, seed: 3, heldOut: 100);
        var held = source.HeldOut(100).Select(p => p.Turns[^1].Content).ToList();
        var passes = Enumerable.Range(0, 81).Select(i => source.Get(i)).Chunk(27).Select(c => c.Select(p => p.Turns[^1].Content).ToList()).ToList();
        Assert.Equal(3, held.Count);
        Assert.All(passes, pass => Assert.Equal(30, pass.Concat(held).Distinct().Count()));
        Assert.NotEqual(passes[0], passes[1]);
        Assert.Equal(source.Get(50).Row.Id, new JsonlPrompts(path, 3, 100).Get(50).Row.Id);
        Assert.Equal(passes[0][0].Split('+')[0], (int.Parse(source.Get(0).Row.Text("answer")!) - 1).ToString());
        foreach (var (text, message) in new[] { ("{\"prompt\": \"a\"}", "line 1"), ("{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}], \"answer\": 1}", "user's"), ("x", "line 1"), ("", "no prompts") })
        {
            File.WriteAllText(path, text);
            Assert.Contains(message, Assert.Throws<StartupException>(() => new JsonlPrompts(path, 1, 0)).Message);
        }
    }

    [Theory]
    [InlineData("{\"learning_rat\": 1}", "c.json has the field 'learning_rat', which does not exist. The nearest that does is 'learning_rate'.")]
    [InlineData("{\"prompts\": [{\"kind\": \"add\", \"digit\": 2}]}", "'prompts[0].digit', which does not exist. The nearest that does is 'prompts[0].digits'")]
    [InlineData("{\"learning_rate\": \"fast\"}", "learning_rate in c.json is \"fast\"; it must be a number.")]
    [InlineData("{\"num_generations\": 2.5}", "num_generations in c.json is 2.5; it must be a whole number.")]
    [InlineData("{\"dynamic_sampling\": 1}", "dynamic_sampling in c.json is 1; it must be true or false.")]
    [InlineData("{\"rewards\": \"accuracy\"}", "rewards in c.json is \"accuracy\"; it must be a list.")]
    [InlineData("{\"scale_rewards\": \"groups\"}", "it must be group, batch, none.")]
    [InlineData("{\"output_dir\": null}", "output_dir in c.json is null; it must be a text.")]
    [InlineData("{\"a\": ", "c.json is not a configuration")]
    public void Parse_Mistake_NamesFieldFileAndWhatWasMeant(string json, string message)
    {
        string text = Assert.Throws<StartupException>(() => TrainingOptions.Parse<GrpoOptions>(json, [], "c.json")).Message;
        Assert.Contains(message, text);
        Assert.DoesNotContain("DeepSeekR1.Training", text);
    }

    [Fact]
    public void Parse_NestedFieldOfSft_IsNamedWithItsPath()
        => Assert.Contains("'mix.", Assert.Throws<StartupException>(() => TrainingOptions.Parse<SftOptions>("{}", [("mix.max_digit", "3")])).Message);

    /// <summary>A reward that differs within a group, and that the same completions always get.</summary>
    private static IReadOnlyList<double?> ByLength(RewardGroup group) => [.. group.Completions.Select((c, i) => (double?)((c.TokenIds.Sum() + i) % 3))];

    private static Task<bool> Run(GrpoOptions options, RewardFunction reward, Action<GrpoMetrics>? report = null)
        => new GrpoTrainer(options, options.OpenPrompts(), [(reward, 1, "test")]).RunAsync(report);
}
