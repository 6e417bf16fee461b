using System.Diagnostics;
using System.Globalization;
using DeepSeekR1.Compute;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Sft;
using static TorchSharp.torch;

namespace DeepSeekR1.Benchmarks;

/// <summary>The trainer on one thread and the bundled model's shape: its speed against a plain loop on TorchSharp, and its memory over 1,000 steps.</summary>
internal static class TrainingBenchmark
{
    private const int Sequences = 24, Length = 256, Rounds = 15, Warmup = 3;

    /// <summary>Steps of both in turn on one batch; the median times.</summary>
    public static int Speed()
    {
        string folder = Start(out string start);
        try
        {
            TorchRuntime.SetThreads(1);
            using var scope = NewDisposeScope();
            using var model = ModelSource.Open(start, ScalarType.Float32, 0.06, 1, withMtp: false);
            var options = new SftOptions
            {
                ModelNameOrPath = start,
                OutputDir = folder,
                Dataset = "arithmetic",
                LearningRate = 1e-3,
                LrSchedulerType = "constant",
                MaxSteps = 1000,
                WeightDecay = 0.05
            };
            using var plain = new PlainTrainer(model, Length, options.LearningRate, options.WeightDecay);
            using var loop = new TrainingLoop(model, options);
            var random = new Random(5);
            var samples = Enumerable.Range(0, Sequences)
                .Select(_ => TrainingSample.Completion([random.Next(512)], [.. Enumerable.Range(1, Length - 1).Select(_ => random.Next(512))])).ToList();
            var batch = new MicroBatch(samples);
            using var ids = tensor(batch.Ids).view(Sequences, Length);
            using var targets = tensor(batch.Targets);
            double loss = 0;
            void Trainer() => loop.Run([() =>
            {
                var result = LanguageModelLoss.Compute(model, batch, batch.Targets.Length, new LossOptions(), loop.Load);
                loss = result.TokenSum / result.TargetCount;
                return result.Total;
            }]);

            var (own, other) = (new List<double>(), new List<double>());
            for (int round = 0; round < Warmup + Rounds; round++)
            {
                double mine = Time(Trainer), theirs = Time(() => Same(round, plain.Step(ids, targets), loss));
                if (round < Warmup)
                    continue;
                own.Add(mine);
                other.Add(theirs);
            }

            double tokens = Sequences * Length;
            Print($"a step of {tokens} tokens, {Sequences} sequences, 1 thread, float32; medians of {Rounds} rounds in turn");
            Print($"trainer      {tokens / Median(own),8:0} tokens/s ({1000 * own.Min():0} to {1000 * own.Max():0} ms)");
            Print($"plain loop   {tokens / Median(other),8:0} tokens/s ({1000 * other.Min():0} to {1000 * other.Max():0} ms)");
            Print($"trainer / plain loop: {Median(other) / Median(own):0.00}");
            Print($"making the samples of a step of {tokens} tokens takes {1000 * Data(start, (int)tokens):0} ms more");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return 0;
    }

    /// <summary>1,000 steps of supervised training as the command runs it; live tensors and resident memory on the way.</summary>
    public static int Memory()
    {
        string folder = Start(out string start);
        try
        {
            var options = new SftOptions
            {
                ModelNameOrPath = start,
                OutputDir = Path.Combine(folder, "out"),
                Dataset = "arithmetic",
                MaxSteps = 1000,
                TokensPerStep = 200,
                MicroBatchTokens = 150,
                MaxLength = 640,
                MtpWeight = 0.1,
                RouterBiasSpeed = 1e-3,
                InitializerRange = 0.06,
                LoggingSteps = 100,
            };
            Print($"{options.TokensPerStep} tokens a step in micro-batches of {options.MicroBatchTokens}, 1 thread");
            Print($"step   live tensors   resident MiB   managed MiB");
            new SftTrainer(options).Run(m =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                using var process = Process.GetCurrentProcess();
                Print($"{m.Step,4} {Tensor.TotalCount,14} {process.WorkingSet64 / 1048576.0,14:0.0} {GC.GetTotalMemory(false) / 1048576.0,13:0.0}");
            });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return 0;
    }

    /// <summary>Both compute one thing as long as rounding has not driven them apart; else the ratio would compare different work.</summary>
    private static void Same(int round, double plain, double trainer)
    {
        if (round == 0 && Math.Abs(plain - trainer) > 1e-4)
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"The first losses are {plain} and {trainer}; the two must be one model."));
    }

    private static double Data(string start, int tokens)
    {
        var stream = new SampleStream(new ArithmeticSource(new ArithmeticGenerator(1), new SampleEncoder(start), 640), tokens, tokens);
        stream.NextStep();
        return Median([.. Enumerable.Range(0, Rounds).Select(_ => Time(() => stream.NextStep()))]);
    }

    private static string Start(out string start)
    {
        TorchRuntime.Initialize();
        string folder = Directory.CreateTempSubdirectory("training-benchmark").FullName;
        start = Path.Combine(folder, "start");
        ArithmeticModel.Write(start, ArithmeticModel.Recipe("r1-tiny.config.json"), seed: 1);
        return folder;
    }

    private static double Time(Action action)
    {
        var watch = Stopwatch.StartNew();
        action();
        return watch.Elapsed.TotalSeconds;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
