using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DeepSeekR1.Evaluation.Grading;

namespace DeepSeekR1.Evaluation;

/// <summary>What is evaluated and how. Two runs with the same fingerprint may share a samples file.</summary>
public sealed record EvalSettings
{
    /// <summary>Samples of each problem, at least 1.</summary>
    public int Samples { get; init; } = 1;

    /// <summary>How answers are sampled.</summary>
    public EvalSampling Sampling { get; init; } = new();

    /// <summary>Seed of all samples; each derives its own from it, the problem and its index.</summary>
    public long Seed { get; init; }

    /// <summary>Questions under way at once.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>Name of the model for the report.</summary>
    public required string Model { get; init; }

    /// <summary>SHA-256 of the model's files; null for a server.</summary>
    public string? ModelHash { get; init; }

    /// <summary>Compute type; null for a server.</summary>
    public string? DType { get; init; }
}

/// <summary>
/// Asks every problem n times and grades the answers. Every finished sample is a line of the samples file at once, so that a run that was killed
/// goes on where it stopped; a half-written last line is dropped.
/// </summary>
public sealed class EvalRunner(EvalTask task, IEvalModel model, EvalSettings settings)
{
    internal static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping
    };

    private sealed record Header(string Schema, string Fingerprint);

    private const string Schema = "deepseekr1.eval.samples/1";
    private readonly Lock _file = new();

    /// <summary>What must be equal for two runs to share samples.</summary>
    public string Fingerprint => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(
        new { task.Name, task.DataHash, settings.Model, settings.ModelHash, settings.DType, settings.Sampling, settings.Seed }, Json))))[..16];

    /// <summary>Runs what is missing.</summary>
    /// <param name="samplesFile">Appended to; its folder is made.</param>
    /// <param name="progress">Hears done, wanted, and correct so far.</param>
    /// <param name="cancellation">Stops; what is finished is in the file.</param>
    /// <exception cref="EvalException">The file belongs to other settings.</exception>
    public async Task<EvalReport> RunAsync(string samplesFile, Action<int, int, int>? progress = null, CancellationToken cancellation = default)
    {
        var wanted = task.Problems.SelectMany(p => Enumerable.Range(0, settings.Samples).Select(s => (Problem: p, Sample: s))).ToList();
        var known = Resume(samplesFile).Where(s => s.Sample < settings.Samples).ToDictionary(s => (s.Id, s.Sample));
        var samples = wanted.Where(w => known.ContainsKey((w.Problem.Id, w.Sample))).Select(w => known[(w.Problem.Id, w.Sample)]).ToList();
        int resumed = samples.Count, correct = samples.Count(s => s.Correct);
        var watch = Stopwatch.StartNew();
        await using (var stream = new FileStream(samplesFile, FileMode.Append, FileAccess.Write, FileShare.Read))
        {
            await Parallel.ForEachAsync(
                wanted.Where(w => !known.ContainsKey((w.Problem.Id, w.Sample))),
                new ParallelOptions { MaxDegreeOfParallelism = settings.Concurrency, CancellationToken = cancellation },
                async (item, token) =>
                {
                    var sample = await SampleAsync(item.Problem, item.Sample, token);
                    lock (_file)
                    {
                        samples.Add(sample);
                        correct += sample.Correct ? 1 : 0;
                        stream.Write(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(sample, Json) + "\n"));
                        stream.Flush();
                        progress?.Invoke(samples.Count, wanted.Count, correct);
                    }
                });
        }

        long tokens = samples.Skip(resumed).Sum(s => (long)s.Tokens);
        double? speed = resumed < samples.Count ? tokens / watch.Elapsed.TotalSeconds : null;

        // In the task's order, so that the sums behind a report do not depend on who finished first.
        var order = task.Problems.Select((p, i) => (p.Id, i)).ToDictionary(p => p.Id, p => p.i);
        samples = [.. samples.OrderBy(s => order[s.Id]).ThenBy(s => s.Sample)];
        return EvalReport.Of(task, settings, Fingerprint, samples, resumed, watch.Elapsed.TotalSeconds, speed);
    }

    private async Task<EvalSample> SampleAsync(EvalProblem problem, int index, CancellationToken cancellation)
    {
        var answer = await model.AnswerAsync(problem.Prompt, settings.Sampling, SeedOf(problem.Id, index), cancellation);
        string? extracted = task.Extract(answer.Response);
        return new EvalSample
        {
            Id = problem.Id,
            Sample = index,
            Category = problem.Category,
            Response = answer.Response,
            Answer = extracted,
            Gold = problem.Gold,
            Correct = extracted is not null && MathGrader.IsEquivalent(problem.Gold, extracted, GraderProfile.Lenient),
            Tokens = answer.Tokens,
            Truncated = answer.Truncated,
        };
    }

    private long SeedOf(string id, int sample)
        => BitConverter.ToInt64(SHA256.HashData(Encoding.UTF8.GetBytes($"{settings.Seed}/{id}/{sample}"))) & long.MaxValue;

    private List<EvalSample> Resume(string file)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!);
        string text = File.Exists(file) ? File.ReadAllText(file) : "";
        int whole = text.LastIndexOf('\n') + 1;
        if (whole < text.Length)
            File.WriteAllText(file, text[..whole]);
        string[] lines = text[..whole].Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (lines.Length == 0)
        {
            File.WriteAllText(file, JsonSerializer.Serialize(new Header(Schema, Fingerprint), Json) + "\n");
            return [];
        }

        try
        {
            var header = JsonSerializer.Deserialize<Header>(lines[0], Json)!;
            if (header.Schema != Schema || header.Fingerprint != Fingerprint)
                throw new EvalException($"'{file}' holds samples of another model, task or setting. Choose another --output, or delete the file to begin anew.");
            return [.. lines.Skip(1).Select(line => JsonSerializer.Deserialize<EvalSample>(line, Json)!)];
        }
        catch (JsonException e)
        {
            throw new EvalException($"'{file}' is not a samples file: {e.Message} Choose another --output.");
        }
    }
}
