using DeepSeekR1.Compute;
using DeepSeekR1.Models;
using DeepSeekR1.Training.Lora;
using static TorchSharp.torch;

namespace DeepSeekR1.Training.Grpo;

/// <summary>The trained policy with its optimizer and, when the KL counts, the frozen reference (with adapters it is the model without them). Lives on the
/// trainer's thread.</summary>
internal sealed class PolicyRun : IDisposable
{
    private readonly GrpoOptions _options;
    private readonly PolicyLossOptions _lossOptions;
    private readonly TrainingLoop _loop;
    private readonly CausalLm? _reference;

    public PolicyRun(GrpoOptions options)
    {
        _options = options;
        _lossOptions = options.Loss();
        Model = Open();
        _loop = new TrainingLoop(Model, options);
        _reference = options.Beta > 0 && _loop.Lora is null ? Open() : null;
    }

    /// <summary>The policy.</summary>
    public CausalLm Model { get; }

    /// <summary>Optimizer steps done; a batch of completions makes num_iterations of them.</summary>
    public long Step => _loop.Step;

    /// <summary>Goes on from the newest checkpoint, if there is one.</summary>
    public TrainingState Resume()
    {
        if (TrainingCheckpoint.Latest(_options.OutputDir) is not { } latest)
            return new TrainingState { Step = 0, NextSample = 0 };
        var state = TrainingCheckpoint.Restore(latest, Model, _loop);
        FinishedRun.Check(_options, state.Step);
        return state;
    }

    /// <summary>Writes a checkpoint.</summary>
    public string Save(TrainingState state) => TrainingCheckpoint.Save(_options.OutputDir, Model, _loop, state, _options.SaveTotalLimit);

    /// <summary>Writes the last checkpoint and the result as a folder that the server loads.</summary>
    public string Finish(TrainingState state)
    {
        string folder = Save(state);
        _loop.Lora?.Save(Path.Combine(_options.OutputDir, LoraAdapters.Folder), _options.ModelNameOrPath);
        ModelExporter.WriteFolder(Model, _options.ModelNameOrPath, _options.OutputDir, DType.BFloat16);
        File.WriteAllText(Path.Combine(_options.OutputDir, FinishedRun.OptionsFile), _options.ToJson() + "\n");
        return folder;
    }

    /// <summary>Learns from scored groups: num_iterations optimizer steps. Returns figures under TRL's names.</summary>
    public Dictionary<string, double> Learn(IReadOnlyList<IReadOnlyList<Sample>> groups, ScoredGroups scored)
    {
        var advantages = _options.MultiObjectiveAggregation == RewardAggregation.NormalizeThenSum
            ? Advantages.NormalizeThenSum(scored.Table, scored.Weights, _options.NumGenerations, _options.RewardStdDdof)
            : Advantages.Of(Advantages.WeightedSum(scored.Table, scored.Weights), _options.NumGenerations, _options.ScaleRewards, _options.RewardStdDdof);
        var all = groups.SelectMany(g => g).Select((s, i) => new Scored(s, advantages.Values[i])).ToList();
        var figures = Figures(all, scored, advantages);

        // A completion without an advantage teaches nothing, unless it is held to the reference or counted in a mean or rank of its micro-batch.
        long tokens = all.Where(Counts).Sum(s => (long)s.Sample.CompletionIds.Length);
        bool keepsAll = _options.Beta > 0 || _options.EntropyCoef != 0 || _lossOptions.LossType == LossType.Bnpo || _options.TopEntropyQuantile < 1;
        var useful = all.Where(s => Counts(s) && (s.Advantage != 0 || keepsAll)).ToList();
        if (useful.Count == 0)
            useful = [all[0]]; // a forward pass for the figures; if it does not count its mask is 0
        var batches = Pack(useful);
        using var scope = NewDisposeScope();
        var old = _options.NumIterations > 1 ? batches.ConvertAll(OldLogProbs) : null;
        for (int iteration = 0; iteration < _options.NumIterations; iteration++)
        {
            var sums = new Dictionary<string, double>();
            var report = _loop.Run(batches.Select<List<Scored>, Func<Tensor>>((batch, b) => () => Loss(batch, old?[b], Math.Max(1, tokens), all.Count, sums, useful.Count)));
            foreach (var (name, value) in sums)
                figures[name] = value;
            figures["grad_norm"] = report.GradNorm;
            figures["learning_rate"] = report.LearningRate;
            figures["expert_load"] = report.ExpertLoad;
        }

        return figures;
    }

    public void Dispose()
    {
        _loop.Dispose();
        Model.Dispose();
        _reference?.Dispose();
    }

    private bool Counts(Scored scored) => !(_options.MaskTruncatedCompletions && scored.Sample.IsTruncated);

    private CausalLm Open() => ModelSource.Open(
        _options.ModelNameOrPath, _options.Dtype == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32, _options.InitializerRange, _options.Seed, withMtp: true);

    /// <summary>Micro-batches of completions of similar length.</summary>
    private List<List<Scored>> Pack(List<Scored> samples)
    {
        var batches = new List<List<Scored>>();
        int tokens = int.MaxValue;
        foreach (var sample in samples.OrderBy(s => s.Sample.CompletionIds.Length))
        {
            int length = sample.Sample.PromptIds.Count + sample.Sample.CompletionIds.Length;
            if (tokens == int.MaxValue || tokens + length > _options.MicroBatchTokens)
            {
                batches.Add([]);
                tokens = 0;
            }

            batches[^1].Add(sample);
            tokens += length;
        }

        return batches;
    }

    private Tensor OldLogProbs(List<Scored> batch)
    {
        using var inner = NewDisposeScope();
        using var mode = no_grad();
        return CompletionLogProbs.Compute(Model, [.. batch.Select(s => s.Sample)], _options.Temperature).LogProbs.MoveToOuterDisposeScope();
    }

    private Tensor Loss(List<Scored> batch, Tensor? old, long tokens, int sequences, Dictionary<string, double> sums, int counted)
    {
        var samples = batch.ConvertAll(s => s.Sample);
        var policy = CompletionLogProbs.Compute(Model, samples, _options.Temperature, _loop.Load, _loop.Checkpoints, _options.EntropyCoef != 0);
        var reference = _options.Beta > 0 ? ReferenceLogProbs(samples) : null;
        int longest = samples.Max(s => s.CompletionIds.Length);
        var result = PolicyLoss.Compute(
            new PolicyBatch
            {
                NewLogProbs = policy.LogProbs,
                OldLogProbs = old,
                ReferenceLogProbs = reference,
                SamplerLogProbs = _options.Temperature == 1 ? SamplerLogProbs(samples, longest) : null,
                Entropy = policy.Entropy,
                Mask = batch.Exists(s => !Counts(s)) ? zeros_like(policy.Mask) : policy.Mask,
                Advantages = tensor(batch.Select(s => (float)s.Advantage).ToArray()),
                GlobalActiveTokens = tokens,
                GlobalSequences = sequences,
            },
            _lossOptions);
        foreach (var (name, value) in result.Metrics)
            sums[name] = name.EndsWith("/max", StringComparison.Ordinal) ? Math.Max(sums.GetValueOrDefault(name), value)
                : name.EndsWith("/min", StringComparison.Ordinal) ? Math.Min(sums.GetValueOrDefault(name, value), value)
                : sums.GetValueOrDefault(name) + value * batch.Count / counted;
        return result.Loss;
    }

    /// <summary>Of the policy at the start: a frozen copy, or the model without its adapters.</summary>
    private Tensor ReferenceLogProbs(List<Sample> samples)
    {
        using var mode = no_grad();
        using var off = _loop.Lora?.Off();
        return CompletionLogProbs.Compute(_reference ?? Model, samples, _options.Temperature).LogProbs;
    }

    private static Tensor SamplerLogProbs(List<Sample> samples, int longest)
    {
        var values = new float[samples.Count * longest];
        for (int b = 0; b < samples.Count; b++)
            samples[b].LogProbs.CopyTo(values, b * longest);
        return tensor(values).view(samples.Count, longest);
    }

    private static Dictionary<string, double> Figures(List<Scored> all, ScoredGroups scored, Advantages advantages)
    {
        var lengths = all.ConvertAll(s => s.Sample.CompletionIds.Length);
        var ended = all.Where(s => !s.Sample.IsTruncated).Select(s => s.Sample.CompletionIds.Length).DefaultIfEmpty(0).ToList();
        var figures = new Dictionary<string, double>
        {
            ["reward"] = advantages.RewardMean,
            ["reward_std"] = advantages.RewardStd,
            ["frac_reward_zero_std"] = advantages.FracRewardZeroStd,
            ["completions/mean_length"] = lengths.Average(),
            ["completions/min_length"] = lengths.Min(),
            ["completions/max_length"] = lengths.Max(),
            ["completions/mean_terminated_length"] = ended.Average(),
            ["completions/clipped_ratio"] = all.Average(s => s.Sample.IsTruncated ? 1.0 : 0),
            ["policy_version"] = all[0].Sample.PolicyVersion,
        };
        for (int f = 0; f < scored.Names.Count; f++)
        {
            var known = scored.Table[f].Where(r => r is not null).Select(r => r!.Value).DefaultIfEmpty(0).ToList();
            double mean = known.Average();
            figures[$"rewards/{scored.Names[f]}/mean"] = mean;
            figures[$"rewards/{scored.Names[f]}/std"] = known.Count < 2 ? 0 : Math.Sqrt(known.Sum(r => (r - mean) * (r - mean)) / (known.Count - 1));
        }

        return figures;
    }

    private sealed record Scored(Sample Sample, double Advantage);
}
