using System.Diagnostics;
using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine;
using DeepSeekR1.Models;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Lora;
using DeepSeekR1.Training.Reporting;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Sft;

/// <summary>One line of metrics.</summary>
/// <param name="Step">Optimizer steps done.</param>
/// <param name="Loss">Mean cross entropy of learned tokens since the last line, or with loss "kd" their mean divergence from the teacher, in nats.</param>
/// <param name="MtpLoss">The same for the head that predicts one token more; 0 without it.</param>
/// <param name="GradNorm">Mean length of the gradient.</param>
/// <param name="LearningRate">Rate of the last step.</param>
/// <param name="ExpertLoad">Mean of the largest load of an expert over the mean load.</param>
/// <param name="Tokens">Tokens since the beginning.</param>
/// <param name="LeftOut">Samples longer than max_length since the beginning.</param>
/// <param name="TokensPerSecond">Since the last line.</param>
/// <param name="Seconds">Of all runs.</param>
public sealed record SftMetrics(
    long Step, double Loss, double MtpLoss, double GradNorm, double LearningRate, double ExpertLoad, long Tokens, long LeftOut, double TokensPerSecond, double Seconds);

/// <summary>
/// Supervised training on dialogues: cross entropy of the completions. Goes on from the newest checkpoint in output_dir, exactly, when there is one. One thread of its
/// own; ends early on cancellation or when max_minutes are over, with a checkpoint. Leaves a report in any case.
/// </summary>
public sealed class SftTrainer(SftOptions options)
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Runs to the end, or to the time limit.</summary>
    /// <param name="report">Receives every line of metrics.</param>
    /// <param name="cancellation">Ends the run after the current step.</param>
    /// <returns>True when all steps are done.</returns>
    /// <exception cref="StartupException">An option or file does not allow training.</exception>
    /// <exception cref="TrainingException">A number is not finite, or the disk is full.</exception>
    public bool Run(Action<SftMetrics>? report = null, CancellationToken cancellation = default)
    {
        options.CreateOutput();
        try
        {
            return RunSteps(report, cancellation);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw TrainingCheckpoint.NotWritten($"A file in '{options.OutputDir}'", options.OutputDir, e);
        }
    }

    private bool RunSteps(Action<SftMetrics>? report, CancellationToken cancellation)
    {
        TorchRuntime.SetThreads(options.NumThreads);
        using var scope = NewDisposeScope();
        using var model = ModelSource.Open(
            options.ModelNameOrPath, options.Dtype == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32, options.InitializerRange, options.Seed, options.MtpWeight > 0);
        using var teacher = options.Loss == "kd"
            ? Distillation.Open(options.TeacherModelNameOrPath, options.ModelNameOrPath, options.Beta ?? SftOptions.DefaultBeta, options.Temperature ?? 1)
            : null;
        using var loop = new TrainingLoop(model, options);
        var state = Resume(model, loop);
        var encoder = new SampleEncoder(options.ModelNameOrPath);
        var full = Source(encoder, options.Mix);
        var easy = options.Curriculum > 0 ? Source(encoder, options.Mix with { MaxDigits = Math.Min(3, options.Mix.MaxDigits) }) : full;
        var window = new Window();
        var clock = Stopwatch.StartNew();
        double before = state.Seconds;
        long next = state.NextSample;
        while (loop.Step < options.MaxSteps && !cancellation.IsCancellationRequested && !(options.MaxMinutes > 0 && clock.Elapsed.TotalMinutes >= options.MaxMinutes))
        {
            var stream = new SampleStream(loop.Step < options.Curriculum * options.MaxSteps ? easy : full, options.TokensPerStep, options.MicroBatchTokens, next);
            var batches = stream.NextStep();
            var done = Step(model, teacher, loop, batches, window);
            next = stream.NextSample;
            state = state with
            {
                Step = loop.Step,
                NextSample = next,
                Tokens = state.Tokens + batches.Sum(b => b.Ids.Length),
                Targets = state.Targets + batches.Sum(b => b.Targets.Length),
                LeftOut = state.LeftOut + stream.LeftOut,
                Seconds = before + clock.Elapsed.TotalSeconds,
            };
            if (loop.Step % options.LoggingSteps == 0 || loop.Step == options.MaxSteps)
                Log(window.Take(done, state), report);
            if (options.SaveSteps > 0 && loop.Step % options.SaveSteps == 0 && loop.Step < options.MaxSteps)
                TrainingCheckpoint.Save(options.OutputDir, model, loop, state, options.SaveTotalLimit);
        }

        TrainingCheckpoint.Save(options.OutputDir, model, loop, state, options.SaveTotalLimit);
        Export(model, loop);
        TrainingReport.Write(options, TrainingReport.Sft, state);
        return loop.Step >= options.MaxSteps;
    }

    private StepReport Step(CausalLm model, Distillation? teacher, TrainingLoop loop, IReadOnlyList<MicroBatch> batches, Window window)
    {
        long targets = batches.Sum(b => (long)b.Targets.Length);
        bool withMtp = loop.Step % options.MtpEvery == 0;
        var lossOptions = new LossOptions { MtpWeight = withMtp ? options.MtpWeight : 0, BalanceWeight = options.BalanceWeight, Distillation = teacher };
        return loop.Run(batches.Select<MicroBatch, Func<Tensor>>(batch => () =>
        {
            var loss = LanguageModelLoss.Compute(model, batch, targets, lossOptions, loop.Load, loop.Checkpoints);
            window.Add(loss, batch.Ids.Length, withMtp);
            return loss.Total;
        }));
    }

    private TrainingState Resume(CausalLm model, TrainingLoop loop)
    {
        if (TrainingCheckpoint.Latest(options.OutputDir) is not { } latest)
            return new TrainingState { Step = 0, NextSample = 0 };
        var state = TrainingCheckpoint.Restore(latest, model, loop);
        FinishedRun.Check(options, state.Step);
        return state;
    }

    private ISampleSource Source(SampleEncoder encoder, ArithmeticMix mix)
        => options.Dataset == "arithmetic"
            ? new ArithmeticSource(new ArithmeticGenerator(options.Seed, mix), encoder, options.MaxLength)
            : new JsonlSource(options.Dataset, encoder, options.MaxLength, options.Seed);

    private void Log(SftMetrics metrics, Action<SftMetrics>? report)
    {
        File.AppendAllText(Path.Combine(options.OutputDir, TrainingReport.MetricsFile), JsonSerializer.Serialize(metrics, Json) + "\n");
        report?.Invoke(metrics);
    }

    /// <summary>The result as a checkpoint folder that the server loads, adapters merged in; these also by themselves.</summary>
    private void Export(CausalLm model, TrainingLoop loop)
    {
        loop.Lora?.Save(Path.Combine(options.OutputDir, LoraAdapters.Folder), options.ModelNameOrPath);
        ModelExporter.WriteFolder(model, options.ModelNameOrPath, options.OutputDir, DType.BFloat16);
        File.WriteAllText(Path.Combine(options.OutputDir, FinishedRun.OptionsFile), options.ToJson() + "\n");
    }

    /// <summary>Sums since the last line of metrics.</summary>
    private sealed class Window
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private double _loss, _mtp;
        private long _targets, _mtpTargets, _tokens;

        public void Add(LossResult loss, int tokens, bool withMtp)
        {
            _mtpTargets += withMtp ? loss.TargetCount : 0;
            _loss += loss.TokenSum;
            _mtp += loss.MtpSum;
            _targets += loss.TargetCount;
            _tokens += tokens;
        }

        public SftMetrics Take(StepReport last, TrainingState state)
        {
            var metrics = new SftMetrics(
                last.Step,
                _loss / Math.Max(1, _targets),
                _mtp / Math.Max(1, _mtpTargets),
                last.GradNorm,
                last.LearningRate,
                last.ExpertLoad,
                state.Tokens,
                state.LeftOut,
                _tokens / _clock.Elapsed.TotalSeconds,
                state.Seconds);
            (_loss, _mtp, _targets, _mtpTargets, _tokens) = (0, 0, 0, 0, 0);
            _clock.Restart();
            return metrics;
        }
    }
}
