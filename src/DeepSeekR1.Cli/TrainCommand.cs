using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using DeepSeekR1.Engine;
using DeepSeekR1.Training;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Grpo;
using DeepSeekR1.Training.Grpo.Rewards;
using DeepSeekR1.Training.Reporting;
using DeepSeekR1.Training.Sft;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>train</c>: supervised training, reinforcement learning, and the data of the bundled model.</summary>
internal static class TrainCommand
{
    private const string DefaultRecipe = "r1-tiny";

    /// <summary>The verb with its verbs.</summary>
    public static Command Create() => new("train", "Train a model") { Sft(), Grpo(), Data(), Check() };

    private static Command Sft()
    {
        var command = new Command("sft", "Supervised training on dialogues; goes on from the newest checkpoint in the output folder");
        var flags = new FlagSet<TrainingSource>(TrainingFlags.Sft).AddTo(command);
        command.SetAction(parsed => StoppableAsync(stop => RunSftAsync(Read<SftOptions>("sft", flags.Read(parsed, new TrainingSource())), stop)));
        return command;
    }

    private static Command Grpo()
    {
        var command = new Command("grpo", "Reinforcement learning with rule-based rewards; goes on from the newest checkpoint in the output folder");
        var flags = new FlagSet<TrainingSource>(TrainingFlags.Grpo).AddTo(command);
        command.SetAction(parsed => StoppableAsync(stop => RunGrpoAsync(Read<GrpoOptions>("grpo", flags.Read(parsed, new TrainingSource())), stop)));
        return command;
    }

    private static Command Check()
    {
        var model = new Argument<string>("MODEL") { Description = "Checkpoint folder of the bundled kind" };
        var command = new Command("check", "Held-out sets of the built-in generator: correct answers, format and refusals") { model };
        var flags = new FlagSet<TrainingCheckOptions>(TrainingFlags.Check).AddTo(command);
        var loading = EngineFlags.Of(EngineOptionList.Quantization, EngineOptionList.DType).AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var options = flags.Read(parsed, new TrainingCheckOptions());
            if (options.Sets.FirstOrDefault(n => !ArithmeticData.SplitNames.Contains(n)) is { } unknown)
                throw new UsageException($"--sets has '{unknown}'; the sets are {string.Join(", ", ArithmeticData.SplitNames)}.");
            string folder = parsed.GetValue(model)!;
            var load = loading.Set(parsed, new EngineOptions { ModelPath = folder, Device = "cpu", NumThreads = 1, KvCacheMemoryBytes = 1L << 30 });
            await using var engine = LlmEngine.Load(load, cancellation: cancellation);
            var results = await ArithmeticEvaluation.RunAsync(
                engine, new SampleEncoder(folder), [.. options.Sets], options.Count, options.Seed, options.Temperature,
                r => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{r.Split}: {100 * r.Correct:0.0} % correct, {100 * r.Format:0.0} % format{string.Concat(r.Misses.Take(2).Select(m => "\n  " + (m.Question + " -> " + m.Completion).ReplaceLineEndings("\\n")))}")));
            Console.Write(ArithmeticEvaluation.Table(results));
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Data()
    {
        var output = new Argument<string>("FILE") { Description = "JSONL file to write" };
        var command = new Command("data", "Write dialogues of the built-in arithmetic generator") { output };
        var flags = new FlagSet<TrainingDataOptions>(TrainingFlags.Data).AddTo(command);
        command.SetAction(parsed =>
        {
            string path = parsed.GetValue(output)!;
            var options = flags.Read(parsed, new TrainingDataOptions());
            if (options.HeldOut is not { } set)
                ArithmeticData.WriteTraining(path, new ArithmeticGenerator(options.Seed), options.First, options.Count);
            else if (ArithmeticData.SplitNames.Contains(set))
                ArithmeticData.WriteHeldOut(path, options.Seed, set, options.Count);
            else
                throw new UsageException($"--held-out '{set}' is unknown; the sets are {string.Join(", ", ArithmeticData.SplitNames)}.");
            Console.WriteLine($"{path}: {options.Count} lines");
            return ExitCodes.Ok;
        });
        return command;
    }

    /// <summary>Ctrl-C and SIGTERM end a run after its step, with a checkpoint; a second signal ends the process at once.</summary>
    private static async Task<int> StoppableAsync(Func<CancellationToken, Task<int>> run)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            if (stop.IsCancellationRequested)
                return;
            context.Cancel = true;
            Console.Error.WriteLine("Stopping after this step; a second signal stops at once.");
            stop.Cancel();
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        return await run(stop.Token);
    }

    private static T Read<T>(string kind, TrainingSource source)
        where T : TrainingOptions
    {
        if ((source.Config is null) == (source.Recipe is null))
            throw new UsageException($"Give either --config FILE or --recipe NAME (built in: {DefaultRecipe}).");
        if (source.Config is not { } file)
            return FromRecipe<T>(source.Recipe!, kind, [.. source.Fields]);
        if (!File.Exists(file))
            throw new UsageException($"--config '{file}' does not exist.");
        return TrainingOptions.Parse<T>(File.ReadAllText(file), source.Fields, $"'{file}' with --set");
    }

    /// <summary>Built-in options; the folder to start from is written beside the output if none is named.</summary>
    private static T FromRecipe<T>(string name, string kind, List<(string Field, string Value)> overrides)
        where T : TrainingOptions
    {
        string text;
        try
        {
            text = ArithmeticModel.Recipe($"{name}.{kind}.json");
        }
        catch (FileNotFoundException)
        {
            throw new UsageException($"--recipe '{name}' is not built in for {kind}; there is: {DefaultRecipe}.");
        }

        string output = overrides.LastOrDefault(o => o.Field == "output_dir").Value is { } given
            ? System.Text.Json.JsonSerializer.Deserialize<string>(given)!
            : Path.Combine("runs", $"{name}-{kind}");
        overrides.Insert(0, ("output_dir", Quoted(output)));
        if (kind == "sft" && !overrides.Exists(o => o.Field == "model_name_or_path"))
        {
            string start = Path.Combine(output, "start");
            if (!File.Exists(Path.Combine(start, "tokenizer_config.json")))
                ArithmeticModel.Write(start, ArithmeticModel.Recipe($"{name}.config.json"), seed: 1);
            overrides.Insert(0, ("model_name_or_path", Quoted(start)));
        }

        return TrainingOptions.Parse<T>(text, overrides, $"recipe '{name}' with --set");
    }

    /// <summary>Says when there is something to go on from, so that nobody takes an old run's folder for a new run's.</summary>
    private static void ShowStart(TrainingOptions options)
    {
        if (TrainingCheckpoint.Latest(options.OutputDir) is { } latest)
            Console.Error.WriteLine($"Going on from '{latest}'; max_steps is {options.MaxSteps}. For a new run choose another output_dir.");
    }

    private static async Task<int> RunSftAsync(SftOptions options, CancellationToken cancellation)
    {
        Console.Error.WriteLine($"{options.OutputDir}: {options.MaxSteps} steps of {options.TokensPerStep} tokens, {options.NumThreads} thread(s)");
        ShowStart(options);
        return End(options, await ShowAsync(options, show => Task.Run(
            () => new SftTrainer(options).Run(
                m => show(new TrainingUpdate(
                    m.Step,
                    string.Create(CultureInfo.InvariantCulture, $"loss {m.Loss:0.0000}"),
                    m.TokensPerSecond,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"step {m.Step}/{options.MaxSteps}  loss {m.Loss:0.0000}  mtp {m.MtpLoss:0.0000}  norm {m.GradNorm:0.00}  rate {m.LearningRate:0.00e+0}  load {m.ExpertLoad:0.00}  {m.Tokens:N0} tokens  {m.TokensPerSecond:N0} tokens/s  {m.Seconds:N0} s"))),
                cancellation),
            CancellationToken.None)));
    }

    private static async Task<int> RunGrpoAsync(GrpoOptions options, CancellationToken cancellation)
    {
        Console.Error.WriteLine($"{options.OutputDir}: {options.MaxSteps} steps of {options.PromptsPerStep} x {options.NumGenerations} completions");
        ShowStart(options);
        string[] shown = ["reward", "rewards/accuracy/mean", "frac_reward_zero_std", "completions/mean_length", "completions/clipped_ratio", "entropy", "grad_norm", "sampling/sampling_logp_difference/max", "sampling_time", "step_time"];
        var registry = new RewardRegistry();
        if (options.Rewards.FirstOrDefault(r => !registry.Names.Contains(r.Name)) is { } unknown)
            throw new UsageException($"rewards has '{unknown.Name}', which is not registered; there are {string.Join(", ", registry.Names)}.");
        var settings = new RewardSettings { MaxCompletionLength = options.MaxCompletionLength };
        var rewards = options.Rewards.Select(r => (registry.Create(r.Name, settings), r.Weight, r.Name)).ToList();
        return End(options, await ShowAsync(options, show => new GrpoTrainer(options, options.OpenPrompts(), rewards).RunAsync(
            m => show(new TrainingUpdate(
                m.Step,
                m.Values.TryGetValue("reward", out double reward) ? string.Create(CultureInfo.InvariantCulture, $"reward {reward:0.000}") : null,
                m.Values.TryGetValue("tokens_per_second", out double speed) ? speed : null,
                $"step {m.Step}/{options.MaxSteps}  " + string.Join("  ", m.Values
                    .Where(v => shown.Contains(v.Key) || v.Key.StartsWith("eval/", StringComparison.Ordinal))
                    .Select(v => string.Create(CultureInfo.InvariantCulture, $"{v.Key} {v.Value:0.####}"))))),
            cancellation)));
    }

    /// <summary>The bar where somebody looks at it, lines where a log is kept; both when only the lines go into a file.</summary>
    private static Task<bool> ShowAsync(TrainingOptions options, Func<Action<TrainingUpdate>, Task<bool>> run)
    {
        var terminal = Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive ? null : AnsiConsole.Console;
        return TrainingProgress.ShowAsync(options.MaxSteps, terminal, terminal is null || Console.IsErrorRedirected ? Console.Error : null, run);
    }

    private static int End(TrainingOptions options, bool finished)
    {
        Console.WriteLine(finished
            ? $"{options.OutputDir}: done; the report is {TrainingReport.ReportFile}."
            : $"{options.OutputDir}: stopped with a checkpoint and {TrainingReport.ReportFile}; start the same command again to go on.");
        return ExitCodes.Ok;
    }

    private static string Quoted(string text) => System.Text.Json.JsonSerializer.Serialize(text);
}
