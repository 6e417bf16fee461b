using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Engine;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Training.Arithmetic;
using DeepSeekR1.Training.Reporting;

namespace DeepSeekR1.Training.Grpo;

/// <summary>A prompt of reinforcement learning.</summary>
/// <param name="Turns">The dialogue.</param>
/// <param name="Row">What the rewards see: prompt, answer and other columns.</param>
/// <param name="Kind">Group in reports.</param>
public sealed record GrpoPrompt(IReadOnlyList<Turn> Turns, TaskRow Row, string Kind);

/// <summary>Prompts by number, for ever.</summary>
public interface IPromptSource
{
    /// <summary>Prompt number i.</summary>
    GrpoPrompt Get(long index);

    /// <summary>Prompts that are never trained on, by kind.</summary>
    IReadOnlyList<GrpoPrompt> HeldOut(int countPerKind);
}

/// <summary>What a step or an evaluation measured, under TRL's names.</summary>
/// <param name="Step">Optimizer steps done.</param>
/// <param name="Values">Figures by name.</param>
public sealed record GrpoMetrics(long Step, IReadOnlyDictionary<string, double> Values);

/// <summary>
/// Group relative policy optimization (DeepSeekMath, section 4.1): sample groups with the serving engine, score them with rules, learn from the
/// difference within each group, and put the new weights into the engine. Goes on from the newest checkpoint in output_dir, exactly.
/// </summary>
public sealed class GrpoTrainer(GrpoOptions options, IPromptSource prompts, IReadOnlyList<(RewardFunction Function, double Weight, string Name)> rewards)
{
    private const string SamplesFile = "samples.jsonl";
    private const int SamplesInTable = 4, MostRounds = 10;
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Runs to the end, or to the time limit.</summary>
    /// <param name="report">Receives the figures of every step and evaluation.</param>
    /// <param name="cancellation">Ends the run after the current step, with a checkpoint and a report.</param>
    /// <returns>True when all steps are done.</returns>
    /// <exception cref="StartupException">An option or file does not allow training.</exception>
    /// <exception cref="TrainingException">A number is not finite, or the disk is full.</exception>
    public async Task<bool> RunAsync(Action<GrpoMetrics>? report = null, CancellationToken cancellation = default)
    {
        options.CreateOutput();
        try
        {
            return await RunStepsAsync(report, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw TrainingCheckpoint.NotWritten($"A file in '{options.OutputDir}'", options.OutputDir, e);
        }
    }

    private async Task<bool> RunStepsAsync(Action<GrpoMetrics>? report, CancellationToken cancellation)
    {
        var encoder = new SampleEncoder(options.ModelNameOrPath);
        await using var engine = LlmEngine.Load(
            new EngineOptions
            {
                ModelPath = options.ModelNameOrPath,
                DType = options.Dtype,
                Device = "cpu",
                NumThreads = options.NumThreads,
                KvCacheMemoryBytes = 1L << 30,
                MaxNumSeqs = 512,
                MaxNumBatchedTokens = 4096
            },
            cancellation: cancellation);

        // Tensors live and die on one thread: everything but waiting for the engine happens on the trainer's own.
        using var worker = new TrainerThread(options.NumThreads);
        using var run = await worker.DoAsync(() => new PolicyRun(options)).ConfigureAwait(false);
        var state = await worker.DoAsync(run.Resume).ConfigureAwait(false);
        await WeightSync.PushAsync(run.Model, engine).ConfigureAwait(false);
        var clock = Stopwatch.StartNew();
        double before = state.Seconds;
        if (state.Step == 0 && options.EvalSteps > 0 && !cancellation.IsCancellationRequested)
            Log(new GrpoMetrics(0, await EvaluateAsync(engine, encoder).ConfigureAwait(false)), report);
        while (run.Step < options.MaxSteps && !cancellation.IsCancellationRequested && !(options.MaxMinutes > 0 && clock.Elapsed.TotalMinutes >= options.MaxMinutes))
        {
            var watch = Stopwatch.StartNew();
            long step = run.Step;
            var drawn = await DrawAsync(engine, encoder, state.NextSample).ConfigureAwait(false);
            var (asked, groups) = (drawn.Asked, drawn.Groups);
            double sampling = watch.Elapsed.TotalSeconds;
            var scored = Score(asked, groups, encoder);
            var values = await worker.DoAsync(() => run.Learn(groups, scored)).ConfigureAwait(false);
            await WeightSync.PushAsync(run.Model, engine).ConfigureAwait(false);
            state = state with
            {
                Step = run.Step,
                NextSample = drawn.NextSample,
                Tokens = state.Tokens + groups.Sum(g => g.Sum(s => (long)s.CompletionIds.Length)),
                Seconds = before + clock.Elapsed.TotalSeconds,
            };
            if (options.DynamicSampling)
                values["dynamic_sampling/dropped_groups"] = drawn.Dropped;
            values["num_tokens"] = state.Tokens;
            values["sampling_time"] = sampling;
            values["step_time"] = watch.Elapsed.TotalSeconds;
            values["tokens_per_second"] = groups.Sum(g => g.Sum(s => (long)s.CompletionIds.Length)) / watch.Elapsed.TotalSeconds;
            Log(new GrpoMetrics(run.Step, values), report);
            WriteSamples(step + 1, asked, groups, scored, encoder);
            if (options.EvalSteps > 0 && run.Step % options.EvalSteps == 0 && !cancellation.IsCancellationRequested)
                Log(new GrpoMetrics(run.Step, await EvaluateAsync(engine, encoder).ConfigureAwait(false)), report);
            if (options.SaveSteps > 0 && run.Step % options.SaveSteps == 0)
                await worker.DoAsync(() => run.Save(state)).ConfigureAwait(false);
        }

        await worker.DoAsync(() => run.Finish(state)).ConfigureAwait(false);
        TrainingReport.Write(options, TrainingReport.Grpo, state);
        return run.Step >= options.MaxSteps;
    }

    /// <summary>
    /// The groups of a step from a place in the data. With dynamic sampling those that teach nothing are dropped and others drawn, round by round; when the
    /// last round leaves none, the last groups stay.
    /// </summary>
    private async Task<Drawn> DrawAsync(LlmEngine engine, SampleEncoder encoder, long next)
    {
        var asked = new List<GrpoPrompt>();
        var groups = new List<IReadOnlyList<Sample>>();
        int dropped = 0;
        for (int round = 0; asked.Count < options.PromptsPerStep && round < (options.DynamicSampling ? MostRounds : 1); round++)
        {
            int wanted = options.PromptsPerStep - asked.Count;
            var fresh = Enumerable.Range(0, wanted).Select(i => prompts.Get(next + i)).ToList();
            var sampled = await SampleAsync(engine, encoder, fresh, new SamplingPlan(
                options.NumGenerations, options.MaxCompletionLength, (float)options.Temperature, Seed: StableHash.Mix((ulong)options.Seed ^ (ulong)next))).ConfigureAwait(false);
            next += wanted;
            bool[] useful = options.DynamicSampling ? Useful(Score(fresh, sampled, encoder)) : [.. fresh.Select(_ => true)];
            if (round == MostRounds - 1 && asked.Count == 0 && !useful.Contains(true))
                useful[0] = true;
            dropped += useful.Count(u => !u);
            asked.AddRange(fresh.Where((_, i) => useful[i]));
            groups.AddRange(sampled.Where((_, i) => useful[i]));
        }

        return new Drawn(asked, groups, next, dropped);
    }

    /// <summary>For each group whether its rewards differ.</summary>
    private bool[] Useful(ScoredGroups scored)
        => [.. Advantages.WeightedSum(scored.Table, scored.Weights).Chunk(options.NumGenerations)
            .Select(g => g.Where(r => r is not null) is var known && known.Any() && known.Max() - known.Min() > 1e-9)];

    private sealed record Drawn(IReadOnlyList<GrpoPrompt> Asked, IReadOnlyList<IReadOnlyList<Sample>> Groups, long NextSample, int Dropped);

    private static async Task<IReadOnlyList<IReadOnlyList<Sample>>> SampleAsync(LlmEngine engine, SampleEncoder encoder, IReadOnlyList<GrpoPrompt> asked, SamplingPlan plan)
        => await Rollout.SampleAsync(engine, [.. asked.Select(p => encoder.Prompt(p.Turns))], [encoder.EndId], plan).ConfigureAwait(false);

    /// <summary>Held-out problems, greedy and sampled once more per generation: pass@1 with its standard error, by kind.</summary>
    private async Task<Dictionary<string, double>> EvaluateAsync(LlmEngine engine, SampleEncoder encoder)
    {
        var held = prompts.HeldOut(options.EvalProblems);
        var values = new Dictionary<string, double>();
        foreach (var (name, plan) in new[]
        {
            ("greedy", new SamplingPlan(1, options.MaxCompletionLength, 0)),
            ("sampled", new SamplingPlan(options.NumGenerations, options.MaxCompletionLength, (float)options.Temperature, Seed: 0xE7A1)),
        })
        {
            var groups = await SampleAsync(engine, encoder, held, plan).ConfigureAwait(false);
            var scored = Score(held, groups, encoder);
            foreach (var kind in held.Select((p, i) => (p.Kind, i)).GroupBy(p => p.Kind))
            {
                var shares = kind.Select(p => scored.Table[0].Skip(p.i * plan.Count).Take(plan.Count).Average(r => r ?? 0)).ToList();
                double mean = shares.Average();
                values[$"eval/{kind.Key}/{name}"] = mean;
                values[$"eval/{kind.Key}/{name}_stderr"] = shares.Count < 2 ? 0 : Math.Sqrt(shares.Sum(s => (s - mean) * (s - mean)) / (shares.Count - 1) / shares.Count);
                if (plan.Count > 1)
                    values[$"eval/{kind.Key}/pass@{plan.Count}"] = kind.Average(p => scored.Table[0].Skip(p.i * plan.Count).Take(plan.Count).Any(r => r >= 1) ? 1.0 : 0);
            }
        }

        return values;
    }

    private ScoredGroups Score(IReadOnlyList<GrpoPrompt> asked, IReadOnlyList<IReadOnlyList<Sample>> groups, SampleEncoder encoder)
    {
        var table = rewards.Select(_ => new List<double?>()).ToList();
        for (int g = 0; g < groups.Count; g++)
        {
            var completions = groups[g].Select(s => new Completion(Text(s, encoder), s.CompletionIds, s.IsTruncated)).ToList();
            for (int f = 0; f < rewards.Count; f++)
                table[f].AddRange(rewards[f].Function(new RewardGroup(asked[g].Row, completions, ThinkPrefilled: true)));
        }

        return new ScoredGroups(table, [.. rewards.Select(r => r.Weight)], [.. rewards.Select(r => r.Name)]);
    }

    private static string Text(Sample sample, SampleEncoder encoder)
        => encoder.Tokenizer.Decode(sample.CompletionIds[^1] == encoder.EndId ? sample.CompletionIds[..^1] : sample.CompletionIds, skipSpecialTokens: false);

    private void Log(GrpoMetrics metrics, Action<GrpoMetrics>? report)
    {
        var line = new JsonObject { ["step"] = metrics.Step };
        foreach (var (name, value) in metrics.Values)
            line[name] = double.IsFinite(value) ? value : null;
        File.AppendAllText(Path.Combine(options.OutputDir, TrainingReport.MetricsFile), line.ToJsonString(Readable) + "\n");
        report?.Invoke(metrics);
    }

    private void WriteSamples(long step, IReadOnlyList<GrpoPrompt> asked, IReadOnlyList<IReadOnlyList<Sample>> groups, ScoredGroups scored, SampleEncoder encoder)
    {
        using var writer = File.AppendText(Path.Combine(options.OutputDir, SamplesFile));
        for (int i = 0; i < Math.Min(SamplesInTable, asked.Count); i++)
        {
            var line = new JsonObject { ["step"] = step, ["prompt"] = asked[i].Turns[^1].Content, ["completion"] = Text(groups[i][0], encoder) };
            for (int f = 0; f < scored.Names.Count; f++)
                line[scored.Names[f]] = scored.Table[f][i * options.NumGenerations];
            writer.WriteLine(line.ToJsonString(Readable));
        }
    }
}

/// <summary>Rewards of a batch: one row a function.</summary>
internal sealed record ScoredGroups(IReadOnlyList<IReadOnlyList<double?>> Table, IReadOnlyList<double> Weights, IReadOnlyList<string> Names);
