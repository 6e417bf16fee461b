using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Testing;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Sft;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Training;

/// <summary>Learning a teacher's distributions: the divergence itself, and a student that follows its teacher.</summary>
public sealed class DistillationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("distil").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0, 0.0851228)]
    [InlineData(1, 0.0920329)]
    [InlineData(0.5, 0.0219012)]
    public void Divergence_OfTwoDistributions_IsTheHandComputedOne(double beta, double expected)
    {
        using var scope = NewDisposeScope();
        Tensor teacher = tensor(new[,] { { 0.7, 0.2, 0.1 } }).log(), student = tensor(new[,] { { 0.5, 0.3, 0.2 } }).log();
        Assert.Equal(expected, Distillation.Divergence(student, teacher, beta, 1).item<double>(), 5e-8);

        // Logits may be shifted; two rows count twice; a temperature of 2 flattens both.
        Assert.Equal(2 * expected, Distillation.Divergence(cat([student, student]).Plus(Scalars.Of(3L)), cat([teacher, teacher]), beta, 1).item<double>(), 1e-7);
        Assert.True(Distillation.Divergence(student, teacher, beta, 2).item<double>() < expected);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0.3, 0.9)]
    [InlineData(0.5, 2)]
    [InlineData(1, 0.7)]
    public void Divergence_Gradient_IsTheFiniteDifference(double beta, double temperature)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var student = randn([3, 7], ScalarType.Float64, generator: generator).requires_grad_();
        var teacher = randn([3, 7], ScalarType.Float64, generator: generator);
        Distillation.Divergence(student, teacher, beta, temperature).backward();
        double[] gradient = student.grad!.data<double>().ToArray(), values = student.detach().data<double>().ToArray();
        const double H = 1e-6;
        double At(int i, double h)
        {
            double[] moved = [.. values];
            moved[i] += h;
            return Distillation.Divergence(tensor(moved).reshape(3, 7), teacher, beta, temperature).item<double>();
        }

        for (int i = 0; i < values.Length; i++)
            Assert.Equal((At(i, H) - At(i, -H)) / (2 * H), gradient[i], 1e-8);
    }

    /// <summary>Against sums over probabilities, in float32 as in training, at several places and temperatures, with a token that one of the two all but excludes.</summary>
    [Theory]
    [InlineData(0, 0.5)]
    [InlineData(0.1, 2)]
    [InlineData(0.5, 0.9)]
    [InlineData(0.9, 1)]
    [InlineData(1, 3)]
    public void Divergence_RandomLogits_IsTheSumOverProbabilities(double beta, double temperature)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(8);
        Tensor student = randn([4, 11], generator: generator).mul(Scalars.Of(3L)), teacher = randn([4, 11], generator: generator).mul(Scalars.Of(3L));
        teacher[0, 0].fill_(-60f);
        student[1, 2].fill_(-60f);
        float[] x = [.. student.data<float>()], y = [.. teacher.data<float>()];
        double expected = 0;
        for (int row = 0; row < 4; row++)
        {
            double[] Softmax(float[] all)
            {
                double[] powers = [.. all.Skip(row * 11).Take(11).Select(v => Math.Exp(v / temperature))];
                return [.. powers.Select(p => p / powers.Sum())];
            }

            double[] s = Softmax(x), t = Softmax(y), m = [.. s.Zip(t, (a, b) => beta * b + (1 - beta) * a)];
            static double Kl(double[] p, double[] q) => p.Zip(q, (a, b) => a * Math.Log(a / b)).Sum();
            expected += beta switch { 0 => Kl(t, s), 1 => Kl(s, t), _ => beta * Kl(t, m) + (1 - beta) * Kl(s, m) };
        }

        Assert.Equal(expected, Distillation.Divergence(student, teacher, beta, temperature).item<float>(), 2e-5 * (1 + expected));
    }

    [Theory]
    [InlineData(ScalarType.Float32, false)]
    [InlineData(ScalarType.Float32, true)]
    [InlineData(ScalarType.BFloat16, false)]
    [InlineData(ScalarType.BFloat16, true)]
    public void Loss_NothingLearned_IsZeroWithoutAGradient(ScalarType type, bool distils)
    {
        using var scope = NewDisposeScope();
        string bundled = Path.Combine(Goldens.Repository, "models", "r1-tiny");
        using var model = ModelSource.Open(bundled, type, 0.02, 1, withMtp: true);
        using var teacher = distils ? Distillation.Open(bundled, bundled, 0.5, 2) : null;
        var weights = new TrainableWeights(model);
        var empty = new MicroBatch([new TrainingSample([5, 6, 7], new bool[3]), new TrainingSample([8, 9], [true, false])]);
        var result = LanguageModelLoss.Compute(model, empty, 0, new LossOptions { MtpWeight = 0.1, Distillation = teacher });
        Assert.Equal((0, 0.0, 0.0), (result.TargetCount, result.TokenSum, result.MtpSum));
        result.Total.backward();
        Assert.Equal(0, weights.GradientNorm().Norm);

        // Beside samples with tokens to learn it changes neither loss nor mean.
        var full = new TrainingSample([3, 4, 5, 6, 7, 8], [false, false, true, true, true, true]);
        double alone = LanguageModelLoss.Compute(model, new MicroBatch([full]), 4, new LossOptions()).Total.item<float>();
        double beside = LanguageModelLoss.Compute(model, new MicroBatch([.. empty.Samples, full]), 4, new LossOptions()).Total.item<float>();
        Assert.Equal(alone, beside, type == ScalarType.Float32 ? 1e-5 : 0.05 * alone);
    }

    [Fact]
    public void Sft_FromATeacher_FollowsIt_AndATeacherOfItselfGivesZero()
    {
        string start = Path.Combine(_folder, "start"), bundled = Path.Combine(Goldens.Repository, "models", "r1-tiny");
        CopySideFiles(bundled, start);

        // Texts of the test's own: what the generator draws may change, how fast a student learns must not change with it.
        string data = Path.Combine(_folder, "data.jsonl");
        File.WriteAllLines(data, Enumerable.Range(0, 20).Select(i => $$"""{"prompt": "{{i}}+{{2 * i}}", "completion": "{{i}} + {{2 * i}} = {{3 * i}}"}"""));
        var options = new SftOptions
        {
            ModelNameOrPath = start,
            OutputDir = Path.Combine(_folder, "out"),
            Dataset = data,
            Loss = "kd",
            TeacherModelNameOrPath = bundled,
            Beta = 0.5,
            Temperature = 0.9,
            MaxSteps = 100,
            TokensPerStep = 400,
            LearningRate = 5e-3,
            InitializerRange = 0.06,
            LoggingSteps = 1,
        };
        var losses = new List<double>();
        Assert.True(new SftTrainer(options).Run(m => losses.Add(m.Loss)));
        Assert.True(losses[^1] < 0.8 * losses[0], $"{losses[0]} fell to {losses[^1]} only");

        losses.Clear();
        new SftTrainer(options with { ModelNameOrPath = bundled, OutputDir = Path.Combine(_folder, "same"), MaxSteps = 1 }).Run(m => losses.Add(m.Loss));
        Assert.Equal(0, losses[0], 1e-6);
    }

    [Fact]
    public void Open_OtherVocabulary_NamesBoth()
    {
        string bundled = Path.Combine(Goldens.Repository, "models", "r1-tiny"), other = Path.Combine(_folder, "other"), smaller = Path.Combine(_folder, "smaller");
        CopySideFiles(bundled, other);
        CopySideFiles(bundled, smaller);
        Rewrite(Path.Combine(other, "tokenizer.json"), "<|EOT|>", "<|EOX|>");
        Rewrite(Path.Combine(other, "tokenizer_config.json"), "<|EOT|>", "<|EOX|>");
        var error = Assert.Throws<StartupException>(() => Distillation.Open(other, bundled, 0.5, 1));
        Assert.Contains("<|EOX|>", error.Message);
        Assert.Contains("<|EOT|>", error.Message);
        Rewrite(Path.Combine(smaller, "config.json"), "512", "500");
        Assert.Contains("500", Assert.Throws<StartupException>(() => Distillation.Open(smaller, bundled, 0.5, 1)).Message);
    }

    [Theory]
    [InlineData("{\"loss\": \"mse\"}", "loss is 'mse'")]
    [InlineData("{\"loss\": \"kd\"}", "teacher_model_name_or_path is ''")]
    [InlineData("{\"teacher_model_name_or_path\": \"t\"}", "empty for loss 'ce'")]
    [InlineData("{\"beta\": 0.5}", "unset for loss 'ce'")]
    [InlineData("{\"loss\": \"kd\", \"teacher_model_name_or_path\": \"t\", \"beta\": 2}", "0 to 1")]
    [InlineData("{\"loss\": \"kd\", \"teacher_model_name_or_path\": \"t\", \"temperature\": 0}", "above 0")]
    public void Options_ThatHaveNoEffectOrNoMeaning_AreRefused(string json, string message)
        => Assert.Contains(message, Assert.Throws<StartupException>(() => TrainingOptions.Parse<SftOptions>(
            json, [("model_name_or_path", "m"), ("output_dir", "o"), ("dataset", "arithmetic")])).Message);

    private static void CopySideFiles(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in ModelSource.SideFiles.Where(f => File.Exists(Path.Combine(from, f))))
            File.Copy(Path.Combine(from, file), Path.Combine(to, file));
    }

    private static void Rewrite(string path, string from, string to) => File.WriteAllText(path, File.ReadAllText(path).Replace(from, to));
}
