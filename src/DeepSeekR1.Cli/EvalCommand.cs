using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using DeepSeekR1.Engine;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Text;
using DeepSeekR1.Training.Arithmetic;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>eval</c>: a task, a model or a server, a report.</summary>
internal static class EvalCommand
{
    private const long MaxHashedBytes = 8L << 30;
    private const long ArithmeticSeed = 2026;
    private const int ArithmeticCount = 100;

    private static readonly Argument<string> Task = new("TASK") { Description = "gsm8k, math500, arithmetic (or arithmetic:add3,div), or the path of a JSONL file" };
    private static readonly FlagSet<EvalOptions> Own = new(EvalOptionList.All);
    private static readonly FlagSet<EngineOptions> Loading = EngineFlags.Of(EngineOptionList.DType, EngineOptionList.Quantization, EngineOptionList.NumThreads);

    public static Command Create()
    {
        var command = new Command("eval", "Evaluate a model or a server on a task; a run that was cut goes on where it stopped") { Task };
        Own.AddTo(command);
        Loading.AddTo(command);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        try
        {
            return await EvaluateAsync(parsed, cancellation);
        }
        catch (EvalException e)
        {
            throw new UsageException(e.Message);
        }
    }

    private static async Task<int> EvaluateAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var options = Own.Read(parsed, new EvalOptions());
        if (options.Model is null && options.BaseUrl is null)
            throw new UsageException("eval needs a model: --model MODEL (a checkpoint folder or .gguf file, for example models/r1-tiny) or --base-url URL (a server).");
        var task = Load(parsed.GetValue(Task)!, options.Data ?? Environment.GetEnvironmentVariable("DEEPSEEKR1_DATA"), options.Limit);
        return options.BaseUrl is { } address
            ? await ServerAsync(options, task, address, cancellation)
            : await LocalAsync(options, task, Loading.Set(parsed, new EngineOptions { ModelPath = options.Model! }), cancellation);
    }

    /// <summary>The built-in generator's held-out sets, or a file.</summary>
    private static EvalTask Load(string name, string? data, int? limit)
    {
        const string arithmetic = "arithmetic";
        if (File.Exists(name) || (name != arithmetic && !name.StartsWith(arithmetic + ":", StringComparison.Ordinal)))
            return EvalTask.Load(name, data, limit);
        string[] sets = name == arithmetic ? [.. ArithmeticData.ProblemSplits] : name[(arithmetic.Length + 1)..].Split(',', StringSplitOptions.TrimEntries);
        if (sets.FirstOrDefault(s => !ArithmeticData.ProblemSplits.Contains(s)) is { } unknown)
            throw new UsageException($"'{name}' names the set '{unknown}'; there are {string.Join(", ", ArithmeticData.ProblemSplits)}. Refusals have no answer to grade: see train check.");
        return EvalTask.Of(arithmetic, [.. sets.Distinct().SelectMany(s => ArithmeticData.HeldOutLines(ArithmeticSeed, s, limit ?? ArithmeticCount))]);
    }

    private static async Task<int> LocalAsync(EvalOptions options, EvalTask task, EngineOptions loading, CancellationToken cancellation)
    {
        string path = loading.ModelPath;
        await using var engine = new ChatEngine(await System.Threading.Tasks.Task.Run(() => LlmEngine.Load(loading, cancellation: cancellation), cancellation));
        var settings = options.Settings with
        {
            Model = Path.GetFileNameWithoutExtension(path.TrimEnd('/')),
            ModelHash = Hash(path),
            DType = engine.Facts.DType + (loading.Quantization is { } format ? $", {format}" : ""),
        };
        return await ReportAsync(options, task, new EngineModel(engine), settings, cancellation);
    }

    private static async Task<int> ServerAsync(EvalOptions options, EvalTask task, Uri address, CancellationToken cancellation)
    {
        using var client = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        var server = new HttpModel(client, address, options.Model, options.ApiKey ?? Environment.GetEnvironmentVariable("OPENAI_API_KEY"));
        return await ReportAsync(options, task, server, options.Settings with { Model = options.Model ?? address.Authority }, cancellation);
    }

    private static async Task<int> ReportAsync(EvalOptions options, EvalTask task, IEvalModel model, EvalSettings settings, CancellationToken cancellation)
    {
        string folder = options.Output ?? Path.Combine("eval", $"{task.Name}-{string.Concat(settings.Model.Split(Path.GetInvalidFileNameChars()))}");
        var report = await new EvalRunner(task, model, settings).RunAsync(Path.Combine(folder, "samples.jsonl"), Progress, cancellation);
        await File.WriteAllTextAsync(Path.Combine(folder, "report.json"), report.ToJson(), cancellation);
        await File.WriteAllTextAsync(Path.Combine(folder, "report.md"), report.ToMarkdown(), cancellation);
        Console.Error.WriteLine();
        Console.Write(report.ToMarkdown());
        Console.WriteLine($"\nReport and samples are in {folder}.");
        return ExitCodes.Ok;
    }

    private static void Progress(int done, int wanted, int correct)
        => Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"{(Console.IsErrorRedirected ? "" : "\r")}{done}/{wanted} answers, {100.0 * correct / done:0.0} % right{(Console.IsErrorRedirected ? "\n" : " ")}"));

    /// <summary>SHA-256 over the names and contents of a checkpoint's files; above 8 GiB over names, lengths and the first MiB of each.</summary>
    private static string Hash(string path)
    {
        string[] files = File.Exists(path) ? [path] : [.. Directory.GetFiles(path).Where(f => Path.GetExtension(f) is ".json" or ".safetensors").Order(StringComparer.Ordinal)];
        bool whole = files.Sum(f => new FileInfo(f).Length) <= MaxHashedBytes;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 20];
        foreach (string file in files)
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes($"{Path.GetFileName(file)} {new FileInfo(file).Length}\n"));
            using var stream = File.OpenRead(file);
            int count;
            while ((count = stream.Read(buffer)) > 0)
            {
                hash.AppendData(buffer, 0, count);
                if (!whole)
                    break;
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
