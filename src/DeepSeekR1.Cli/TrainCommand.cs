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
        var (config, recipe, model, output, set) = Common();
        var loss = new Option<string?>("--loss") { Description = "ce learns the tokens, kd a teacher's distributions (loss)", HelpName = "ce|kd" };
        var teacher = new Option<string?>("--teacher") { Description = "Checkpoint folder of the teacher for kd (teacher_model_name_or_path)", HelpName = "DIR" };
        var beta = new Option<double?>("--beta") { Description = "kd from KL(teacher|student), 0, to KL(student|teacher), 1 (beta)", HelpName = "B" };
        var temperature = new Option<double?>("--temperature") { Description = "Divides the logits of both models in kd (temperature)", HelpName = "T" };
        var command = new Command("sft", "Supervised training on dialogues; goes on from the newest checkpoint in the output folder") { config, recipe, model, output, set, loss, teacher, beta, temperature };
        command.SetAction(parsed => StoppableAsync(stop =>
        {
            var more = new List<(string Field, string? Value)>
            {
                ("loss", parsed.GetValue(loss) is { } l ? Quoted(l) : null),
                ("teacher_model_name_or_path", parsed.GetValue(teacher) is { } t ? Quoted(t) : null),
                ("beta", parsed.GetValue(beta)?.ToString("R", CultureInfo.InvariantCulture)),
                ("temperature", parsed.GetValue(temperature)?.ToString("R", CultureInfo.InvariantCulture)),
            };
            return RunSftAsync(Read<SftOptions>(parsed, "sft", (config, recipe, model, output, set), more), stop);
        }));
        return command;
    }

    private static Command Grpo()
    {
        var (config, recipe, model, output, set) = Common();
        var command = new Command("grpo", "Reinforcement learning with rule-based rewards; goes on from the newest checkpoint in the output folder") { config, recipe, model, output, set };
        command.SetAction(parsed => StoppableAsync(stop => RunGrpoAsync(Read<GrpoOptions>(parsed, "grpo", (config, recipe, model, output, set), []), stop)));
        return command;
    }

    private static Command Check()
    {
        var model = new Argument<string>("MODEL") { Description = "Checkpoint folder of the bundled kind" };
        var count = new Option<int>("--count") { Description = "Problems of each set", HelpName = "N", DefaultValueFactory = _ => 500 };
        var seed = new Option<long>("--seed") { Description = "Seed of the problems", HelpName = "N", DefaultValueFactory = _ => 2026 };
        var temperature = new Option<double>("--temperature") { Description = "0 is greedy; else top-p is 0.95", HelpName = "T" };
        var sets = new Option<string?>("--sets") { Description = $"Sets by commas; all by default: {string.Join(",", ArithmeticData.SplitNames)}", HelpName = "LIST" };
        var quantization = new Option<string?>("--quantization") { Description = "Round the large matrices while loading: fp8, int8, int4, nf4", HelpName = "F" };
        var dtype = new Option<string>("--dtype") { Description = "float32, bfloat16 or float16", HelpName = "T", DefaultValueFactory = _ => "auto" };
        var command = new Command("check", "Held-out sets of the built-in generator: correct answers, format and refusals") { model, count, seed, temperature, sets, quantization, dtype };
        command.SetAction(async (parsed, cancellation) =>
        {
            string[] names = parsed.GetValue(sets)?.Split(',') ?? [.. ArithmeticData.SplitNames];
            if (names.FirstOrDefault(n => !ArithmeticData.SplitNames.Contains(n)) is { } unknown)
                throw new UsageException($"--sets has '{unknown}'; the sets are {string.Join(", ", ArithmeticData.SplitNames)}.");
            string folder = parsed.GetValue(model)!;
            await using var engine = LlmEngine.Load(
                new EngineOptions { ModelPath = folder, Device = "cpu", DType = parsed.GetValue(dtype)!, Quantization = parsed.GetValue(quantization), NumThreads = 1, KvCacheMemoryBytes = 1L << 30 }, cancellation: cancellation);
            var results = await ArithmeticEvaluation.RunAsync(
                engine, new SampleEncoder(folder), names, parsed.GetValue(count), parsed.GetValue(seed), parsed.GetValue(temperature),
                r => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{r.Split}: {100 * r.Correct:0.0} % correct, {100 * r.Format:0.0} % format{string.Concat(r.Misses.Take(2).Select(m => "\n  " + (m.Question + " -> " + m.Completion).ReplaceLineEndings("\\n")))}")));
            Console.Write(ArithmeticEvaluation.Table(results));
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Data()
    {
        var output = new Argument<string>("FILE") { Description = "JSONL file to write" };
        var count = new Option<int>("--count") { Description = "Lines to write", HelpName = "N", DefaultValueFactory = _ => 1000 };
        var seed = new Option<long>("--seed") { Description = "Seed of the generator", HelpName = "N", DefaultValueFactory = _ => 1 };
        var first = new Option<long>("--first") { Description = "Number of the first dialogue", HelpName = "N" };
        var split = new Option<string?>("--held-out") { Description = $"Write held-out problems of a set instead: {string.Join(", ", ArithmeticData.SplitNames)}", HelpName = "SET" };
        var command = new Command("data", "Write dialogues of the built-in arithmetic generator") { output, count, seed, first, split };
        command.SetAction(parsed =>
        {
            string path = parsed.GetValue(output)!;
            int lines = parsed.GetValue(count);
            if (lines < 1)
                throw new UsageException($"--count is {lines}; it must be at least 1.");
            if (parsed.GetValue(split) is not { } set)
                ArithmeticData.WriteTraining(path, new ArithmeticGenerator(parsed.GetValue(seed)), parsed.GetValue(first), lines);
            else if (ArithmeticData.SplitNames.Contains(set))
                ArithmeticData.WriteHeldOut(path, parsed.GetValue(seed), set, lines);
            else
                throw new UsageException($"--held-out '{set}' is unknown; the sets are {string.Join(", ", ArithmeticData.SplitNames)}.");
            Console.WriteLine($"{path}: {lines} lines");
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

    private static (Option<string?> Config, Option<string?> Recipe, Option<string?> Model, Option<string?> Output, Option<string[]> Set) Common() => (
        new("--config") { Description = "JSON file of options", HelpName = "FILE" },
        new("--recipe") { Description = $"Built-in options instead of a file: {DefaultRecipe}", HelpName = "NAME" },
        new("--model") { Description = "Checkpoint folder to start from (model_name_or_path)", HelpName = "DIR" },
        new("--output") { Description = "Folder for checkpoints, metrics and the result (output_dir)", HelpName = "DIR" },
        new("--set") { Description = "One option of the file, for example learning_rate=1e-3; may be repeated", HelpName = "FIELD=VALUE", DefaultValueFactory = _ => [] });

    private static T Read<T>(
        ParseResult parsed,
        string kind,
        (Option<string?> Config, Option<string?> Recipe, Option<string?> Model, Option<string?> Output, Option<string[]> Set) common,
        IReadOnlyList<(string Field, string? Value)> more)
        where T : TrainingOptions
    {
        var (file, name) = (parsed.GetValue(common.Config), parsed.GetValue(common.Recipe));
        if ((file is null) == (name is null))
            throw new UsageException($"Give either --config FILE or --recipe NAME (built in: {DefaultRecipe}).");
        var overrides = new List<(string, string)>();
        foreach (var pair in parsed.GetValue(common.Set)!)
        {
            int at = pair.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0)
                throw new UsageException($"--set '{pair}' is not FIELD=VALUE, for example learning_rate=1e-3.");
            overrides.Add((pair[..at], pair[(at + 1)..]));
        }

        if (parsed.GetValue(common.Model) is { } start)
            overrides.Add(("model_name_or_path", Quoted(start)));
        if (parsed.GetValue(common.Output) is { } folder)
            overrides.Add(("output_dir", Quoted(folder)));
        overrides.AddRange(more.Where(o => o.Value is not null).Select(o => (o.Field, o.Value!)));
        if (file is not null)
        {
            if (!File.Exists(file))
                throw new UsageException($"--config '{file}' does not exist.");
            return TrainingOptions.Parse<T>(File.ReadAllText(file), overrides, $"'{file}' with --set");
        }

        return FromRecipe<T>(name!, kind, overrides);
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
