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

    [Fact]
    public void Sft_FromATeacher_FollowsIt_AndATeacherOfItselfGivesZero()
    {
        string start = Path.Combine(_folder, "start"), bundled = Path.Combine(Goldens.Repository, "models", "r1-tiny");
        CopySideFiles(bundled, start);
        var options = new SftOptions
        {
            ModelNameOrPath = start,
            OutputDir = Path.Combine(_folder, "out"),
            Dataset = "arithmetic",
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
