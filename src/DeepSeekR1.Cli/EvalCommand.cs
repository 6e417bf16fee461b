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
    private static readonly Option<string?> Model = new("--model") { Description = "Checkpoint folder or .gguf file; with --base-url the model's name there", HelpName = "MODEL" };
    private static readonly Option<string?> BaseUrl = new("--base-url") { Description = "OpenAI-compatible server, for example http://127.0.0.1:8000/v1", HelpName = "URL" };
    private static readonly Option<string?> ApiKey = new("--api-key") { Description = "Key for the server (or OPENAI_API_KEY)", HelpName = "KEY" };
    private static readonly Option<string?> Data = new("--data") { Description = "JSONL file, or folder with TASK/test.jsonl (or DEEPSEEKR1_DATA)", HelpName = "PATH" };
    private static readonly Option<int?> Limit = new("--limit") { Description = "Only the first N problems; of arithmetic N of each set (default there: 100)", HelpName = "N" };
    private static readonly Option<int> Samples = new("--samples") { Description = "Samples of each problem", HelpName = "N", DefaultValueFactory = _ => 1 };
    private static readonly Option<double> Temperature = new("--temperature") { Description = "Sampling temperature; 0 is greedy", HelpName = "T", DefaultValueFactory = _ => 0.6 };
    private static readonly Option<double> TopP = new("--top-p") { Description = "Nucleus", HelpName = "P", DefaultValueFactory = _ => 0.95 };
    private static readonly Option<int?> MaxTokens = new("--max-tokens") { Description = "Most tokens of an answer, thought included (default: 32768 or what the context allows; a server decides itself)", HelpName = "N" };
    private static readonly Option<long> Seed = new("--seed") { Description = "Seed of all samples", HelpName = "N", DefaultValueFactory = _ => 0 };
    private static readonly Option<int> Concurrency = new("--concurrency") { Description = "Questions under way at once", HelpName = "N", DefaultValueFactory = _ => 16 };
    private static readonly Option<string?> Output = new("--output") { Description = "Folder for samples and report (default: eval/TASK-MODEL)", HelpName = "FOLDER" };
    private static readonly Option<string> Type = new("--dtype") { Description = "auto, float32, bfloat16 or float16", HelpName = "TYPE", DefaultValueFactory = _ => "auto" };
    private static readonly Option<string?> Quantization = new("--quantization") { Description = "Round the large matrices while loading: fp8, int8, int4, nf4", HelpName = "FORMAT" };
    private static readonly Option<int?> Threads = new("--num-threads") { Description = "Threads of the CPU kernels (default: the machine's cores)", HelpName = "N" };

    public static Command Create()
    {
        var command = new Command("eval", "Evaluate a model or a server on a task; a run that was cut goes on where it stopped")
        { Task, Model, BaseUrl, ApiKey, Data, Limit, Samples, Temperature, TopP, MaxTokens, Seed, Concurrency, Output, Type, Quantization, Threads };
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
        var (model, url) = (parsed.GetValue(Model), parsed.GetValue(BaseUrl));
        if (model is null && url is null)
            throw new UsageException("eval needs a model: --model MODEL (a checkpoint folder or .gguf file, for example models/r1-tiny) or --base-url URL (a server).");
        foreach (var (name, value) in ((string, int?)[])[(Samples.Name, parsed.GetValue(Samples)), (Concurrency.Name, parsed.GetValue(Concurrency)), (MaxTokens.Name, parsed.GetValue(MaxTokens)), (Limit.Name, parsed.GetValue(Limit))])
            if (value < 1)
                throw new UsageException($"{name} must be an integer of at least 1, not '{value}'.");
        if (parsed.GetValue(Temperature) is not (>= 0 and <= 2) || parsed.GetValue(TopP) is not (> 0 and <= 1))
            throw new UsageException($"--temperature must be between 0 and 2, and --top-p above 0 and at most 1, not {parsed.GetValue(Temperature)} and {parsed.GetValue(TopP)}.");
        var task = Load(parsed.GetValue(Task)!, parsed.GetValue(Data) ?? Environment.GetEnvironmentVariable("DEEPSEEKR1_DATA"), parsed.GetValue(Limit));
        return url is null ? await LocalAsync(parsed, task, model!, cancellation) : await ServerAsync(parsed, task, url, model, cancellation);
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

    private static async Task<int> LocalAsync(ParseResult parsed, EvalTask task, string path, CancellationToken cancellation)
    {
        var options = new EngineOptions { ModelPath = path, DType = parsed.GetValue(Type)!, Quantization = parsed.GetValue(Quantization), NumThreads = parsed.GetValue(Threads), Device = "auto" };
        await using var engine = new ChatEngine(await System.Threading.Tasks.Task.Run(() => LlmEngine.Load(options, cancellation: cancellation), cancellation));
        var settings = Settings(parsed, Path.GetFileNameWithoutExtension(path.TrimEnd('/')), Hash(path), engine.Facts.DType + (options.Quantization is { } format ? $", {format}" : ""));
        return await ReportAsync(parsed, task, new EngineModel(engine), settings, cancellation);
    }

    private static async Task<int> ServerAsync(ParseResult parsed, EvalTask task, string url, string? model, CancellationToken cancellation)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            throw new UsageException($"--base-url must be an http or https address, not '{url}'.");
        using var client = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        var server = new HttpModel(client, address, model, parsed.GetValue(ApiKey) ?? Environment.GetEnvironmentVariable("OPENAI_API_KEY"));
        return await ReportAsync(parsed, task, server, Settings(parsed, model ?? address.Authority, null, null), cancellation);
    }

    private static EvalSettings Settings(ParseResult parsed, string model, string? hash, string? type) => new()
    {
        Model = model,
        ModelHash = hash,
        DType = type,
        Samples = parsed.GetValue(Samples),
        Seed = parsed.GetValue(Seed),
        Concurrency = parsed.GetValue(Concurrency),
        Sampling = new EvalSampling { Temperature = parsed.GetValue(Temperature), TopP = parsed.GetValue(TopP), MaxTokens = parsed.GetValue(MaxTokens) },
    };

    private static async Task<int> ReportAsync(ParseResult parsed, EvalTask task, IEvalModel model, EvalSettings settings, CancellationToken cancellation)
    {
        string folder = parsed.GetValue(Output) ?? Path.Combine("eval", $"{task.Name}-{string.Concat(settings.Model.Split(Path.GetInvalidFileNameChars()))}");
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
