using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Engine.Planning;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>plan</c>: what a model needs, where it fits, and the command that serves it there.</summary>
internal static class PlanCommand
{
    private const int DefaultContext = 32768;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DictionaryKeyPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
    };

    /// <summary>The verb with its options.</summary>
    public static Command Create()
    {
        var model = new Argument<string?>("MODEL") { Description = "Checkpoint folder, .gguf file or config.json", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("plan", "Say what a model needs and where it fits; nothing is loaded") { model };
        var flags = new FlagSet<PlanOptions>(PlanOptionList.All).AddTo(command);
        command.SetAction(parsed => Run(parsed.GetValue(model), flags.Read(parsed, new PlanOptions())));
        return command;
    }

    private static int Run(string? model, PlanOptions options)
    {
        var devices = HardwareCatalogue.Read(options.Catalogue);
        if (options.ListGpus)
            return List(devices, options.Json);
        var path = model ?? throw new UsageException("plan needs a MODEL: a checkpoint folder, a .gguf file or a config.json.");
        var (config, files) = Open(path);
        var request = new PlanRequest(
            options.Context ?? Math.Min(DefaultContext, config.MaxPositions), options.Concurrency, options.Quantization, DTypes.ParseComputeType(options.DType)!.Value);
        return Print(new Report(path, config, files, request, devices, options.Gpu, options.Gpus), options.Json);
    }

    private static (ModelConfig Config, long? FileBytes) Open(string path)
    {
        if (path.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            if (!File.Exists(path))
                throw new UsageException($"MODEL '{path}' does not exist.");
            return (ModelConfigReader.Parse(File.ReadAllText(path), path), null);
        }

        bool gguf = path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
        if (gguf ? !File.Exists(path) : !Directory.Exists(path))
            throw new UsageException($"MODEL '{path}' does not exist. Name a checkpoint folder, a .gguf file or a config.json.");
        if (!gguf && Directory.GetFiles(path, "*.safetensors").Length == 0)
            return (ModelConfigReader.Read(path), null);
        using var checkpoint = Checkpoint.Open(path);
        long bytes = checkpoint.Tensors.Values.Sum(t => t.Type.Bytes() * t.Shape.Aggregate(1L, (a, b) => a * b));
        return checkpoint is GgufCheckpoint file ? (file.Config, null) : (ModelConfigReader.Read(path), bytes);
    }

    private static int List(IReadOnlyList<HardwareEntry> devices, bool json)
    {
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(devices, Json));
            return ExitCodes.Ok;
        }

        var table = new Table().Border(TableBorder.Simple).AddColumns("device", "vendor", "GiB", "TB/s", "16-bit TFLOPS", "fp8 TFLOPS", "served here");
        foreach (var d in devices)
            table.AddRow(d.Name, d.Vendor, Number(d.MemoryGib), Number(d.BandwidthTbS), Number(d.Fp16Tflops), Number(d.Fp8Tflops), d.Runs ? "yes" : "planned only");
        AnsiConsole.Write(table);
        return ExitCodes.Ok;
    }

    private static int Print(Report report, bool json)
    {
        if (json)
            Console.WriteLine(JsonSerializer.Serialize(report.ForPrograms(), Json));
        else
            report.ForPeople(AnsiConsole.Console);
        return ExitCodes.Ok;
    }

    private static string Number(double? value) => value?.ToString("0.##", CultureInfo.InvariantCulture) ?? "-";

    /// <summary>One plan, and both ways of writing it.</summary>
    private sealed class Report
    {
        private readonly string _path;
        private readonly ModelConfig _config;
        private readonly long? _fileBytes;
        private readonly PlanRequest _request;
        private readonly HardwarePlanner _planner;
        private readonly DevicePlan _plan;
        private readonly DevicePlan? _cheapest;

        public Report(string path, ModelConfig config, long? fileBytes, PlanRequest request, IReadOnlyList<HardwareEntry> devices, string? gpu, int? count)
        {
            (_path, _config, _fileBytes, _request) = (path, config, fileBytes, request);
            _planner = new HardwarePlanner(config, request);
            var device = gpu is null ? HardwarePlanner.ThisMachine() : HardwareCatalogue.Find(devices, gpu);
            _plan = count is { } n || gpu is null ? _planner.On(device, count ?? 1) : Fewest(device);
            _cheapest = _planner.Cheapest(devices);
        }

        public void ForPeople(IAnsiConsole console)
        {
            var size = _planner.Size;
            Console.WriteLine($"{_config.Architecture}, {size.Parameters:N0} parameters, {size.ActiveParameters:N0} active per token, {size.TensorCount:N0} tensors");
            if (size.MtpParameters > 0)
                Console.WriteLine($"multi-token prediction layer: {size.MtpParameters:N0} parameters more, which are not loaded");
            Console.WriteLine($"weights: {_planner.Quantization ?? "not quantized"}, dense parts in {_request.ComputeType.Name()}; cache of {_planner.Size.CacheBytesPerToken(1, TypeBytes):N0} bytes a token");
            Console.WriteLine(_fileBytes is { } bytes ? $"files: {bytes:N0} bytes of tensors, from their headers" : $"files: {FileBytes():N0} bytes of tensors, counted from the configuration");
            var device = _plan.Device;
            string status = device.Vendor == "host" ? "" : device.Runs ? "  (planned, not run on)" : "  (planner only: this server does not run on it)";
            Console.WriteLine();
            Console.WriteLine($"{_plan.Devices} x {device.Name}, {_request.Concurrency} sequences of {_request.Context} tokens{status}");
            var table = new Table().Border(TableBorder.Simple).AddColumns(new TableColumn("on the largest rank"), new TableColumn("GiB").RightAligned(), new TableColumn("how"));
            foreach (var (name, value, how) in Lines())
                table.AddRow(name, (value / (double)(1L << 30)).ToString("#,0.000", CultureInfo.InvariantCulture), how);
            console.Write(table);
            Console.WriteLine((_plan.Fits ? "It fits. " : "It does not fit. ") + _plan.Why);
            Console.WriteLine($"Room for {_plan.MaxTokens:N0} tokens in the cache: {_plan.ConcurrencyAt(_request.Context):N0} sequences of {_request.Context}, or one of {Math.Min(_plan.MaxTokens, _config.MaxPositions):N0}.");
            Console.WriteLine($"Decode, one stream: {Rate(_plan.DecodeTokensPerSecond)} = {_plan.DecodeFormula}");
            Console.WriteLine($"Prefill: {Rate(_plan.PrefillTokensPerSecond)} = {_plan.PrefillFormula}");
            Console.WriteLine(_cheapest is null
                ? "Nothing in the catalogue fits, up to 16 devices."
                : $"Least memory of the catalogue that fits (no prices are known): {_cheapest.Devices} x {_cheapest.Device.Name}. {_cheapest.Why}");
            if (Limit() is { } limit)
                Console.WriteLine(limit);
            Console.WriteLine();
            Console.WriteLine(ServeCommand());
        }

        public object ForPrograms() => new
        {
            model = _path,
            architecture = _config.Architecture,
            parameters = _planner.Size.Parameters,
            active_parameters = _planner.Size.ActiveParameters,
            mtp_parameters = _planner.Size.MtpParameters,
            tensors = _planner.Size.TensorCount,
            groups = _planner.Size.Groups,
            quantization = _planner.Quantization,
            dtype = _request.ComputeType.Name(),
            file_bytes = _fileBytes ?? FileBytes(),
            file_bytes_from = _fileBytes is null ? "config" : "headers",
            cache_bytes_per_token = _planner.Size.CacheBytesPerToken(1, TypeBytes),
            context = _request.Context,
            concurrency = _request.Concurrency,
            plan = Shape(_plan),
            smallest_that_fits = _cheapest is null ? null : Shape(_cheapest),
            limit = Limit(),
            serve = ServeCommand(),
        };

        private int TypeBytes => _request.ComputeType == DType.Float32 ? 4 : 2;

        private DevicePlan Fewest(HardwareEntry device)
        {
            DevicePlan? last = null;
            foreach (int count in ((int[])[1, 2, 4, 8, 16]).Where(n => n <= 2 * device.PerNode && _planner.Size.CanSplit(n)))
            {
                last = _planner.On(device, count);
                if (last.Fits)
                    break;
            }

            return last!;
        }

        private long FileBytes() => _planner.Size.FileBytes(_planner.Quantization) is var (weights, scales) ? weights + scales : 0;

        private IEnumerable<(string, long, string)> Lines()
        {
            var rank = _plan.Rank;
            bool host = _plan.Device.Vendor == "host";
            yield return ("weights, quantized", rank.QuantizedWeights, "exact: codes and scales");
            yield return ("weights, linear", rank.LinearWeights, host ? "kept in a packed copy of about this size" : "exact");
            yield return ("weights, other", rank.OtherWeights, "exact");
            if (rank.TiedHeadCopy > 0)
                yield return ("packed copy of the tied head", rank.TiedHeadCopy, "about this size, from the first request on");
            yield return ("KV cache", rank.KvCache, "exact, in whole blocks");
            yield return ("activations", rank.Activations, "estimate: widest layer, scores, logits");
            yield return ("communication", rank.Communication, "estimate: sums and gathered logits");
            yield return ("overhead", rank.Overhead, host ? "estimate: libtorch" : "estimate: CUDA context, NCCL");
            yield return ("sum", rank.Total, $"of {HardwarePlanner.Text(_plan.UsableBytes)} usable");
        }

        /// <summary>What this version of the server cannot do of the plan.</summary>
        private string? Limit()
        {
            if (!_plan.Device.Runs)
                return $"This server does not run on {_plan.Device.Name}.";
            return _plan.Devices > 1 && _plan.Device.Vendor != "host"
                ? "Several GPUs need ranks over NCCL, which this version does not have yet: the plan holds, the command does not run."
                : null;
        }

        private string ServeCommand()
        {
            var words = new List<string> { "deepseek-r1", "serve", _path.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? Path.GetDirectoryName(Path.GetFullPath(_path))! : _path };
            if (_plan.Devices > 1)
                words.AddRange(["--tensor-parallel-size", $"{_plan.Devices}"]);
            words.AddRange(["--device", _plan.Device.Vendor == "host" ? "cpu" : "cuda", "--dtype", _request.ComputeType.Name()]);
            words.AddRange(["--max-model-len", $"{_request.Context}", "--max-num-seqs", $"{_request.Concurrency}"]);
            if (_plan.Device.Vendor == "host")
                words.AddRange(["--kv-cache-memory-bytes", $"{_plan.Rank.KvCache * _plan.Devices}"]);
            if (_config.Fp8Block is not null && _planner.Quantization is null)
                words.Add("--dequantize");
            return string.Join(' ', words);
        }

        private static object Shape(DevicePlan plan) => new
        {
            device = plan.Device.Name,
            devices = plan.Devices,
            fits = plan.Fits,
            why = plan.Why,
            usable_bytes = plan.UsableBytes,
            rank_bytes = new
            {
                weights_quantized = plan.Rank.QuantizedWeights,
                weights_linear = plan.Rank.LinearWeights,
                weights_other = plan.Rank.OtherWeights,
                tied_head_copy = plan.Rank.TiedHeadCopy,
                kv_cache = plan.Rank.KvCache,
                activations = plan.Rank.Activations,
                communication = plan.Rank.Communication,
                overhead = plan.Rank.Overhead,
                total = plan.Rank.Total,
            },
            max_tokens = plan.MaxTokens,
            decode_tokens_per_second = plan.DecodeTokensPerSecond,
            decode_formula = plan.DecodeFormula,
            prefill_tokens_per_second = plan.PrefillTokensPerSecond,
            prefill_formula = plan.PrefillFormula,
        };

        private static string Rate(double? value) => value is null ? "no estimate" : value.Value.ToString("#,0.0", CultureInfo.InvariantCulture) + " tokens/s";
    }
}
