using System.CommandLine;
using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Evaluation.Load;
using DeepSeekR1.Text.Tokenization;
using Spectre.Console;

namespace DeepSeekR1.Cli;

/// <summary>The verb <c>bench</c>: one model in several formats, measured one after the other in one run.</summary>
internal static class BenchCommand
{
    private const string AsIs = "none";

    /// <summary>The verb with its two kinds.</summary>
    public static Command Create() => new("bench", "Measure a model, in one or several formats of its weights") { Decode(), Perplexity() };

    private static Command Decode()
    {
        var (model, formats, type, threads) = Common();
        var prompt = Number("--prompt-tokens", "Tokens of each prompt", 256);
        var output = Number("--output-tokens", "Tokens that each stream generates", 64);
        var streams = Number("--streams", "Streams at once", 1);
        var command = new Command("decode", "Tokens per second of prefill and decode") { model, formats, type, threads, prompt, output, streams };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed.GetValue(model)!, parsed.GetValue(formats)!, parsed.GetValue(type)!, parsed.GetValue(threads), ["prefill tokens/s", "decode tokens/s", "decode, ratio"],
            async (engine, state) =>
            {
                var speed = await EngineBench.SpeedAsync(
                    engine, Positive(parsed, prompt), Math.Max(2, Positive(parsed, output)), Positive(parsed, streams));
                state.First ??= speed;
                return [Text(speed.PrefillTokensPerSecond, "0.0"), Text(speed.DecodeTokensPerSecond, "0.00"), Text(speed.DecodeTokensPerSecond / ((SpeedResult)state.First).DecodeTokensPerSecond, "0.00")];
            },
            cancellation));
        return command;
    }

    private static Command Perplexity()
    {
        var (model, formats, type, threads) = Common();
        var text = new Option<string?>("--text") { Description = "UTF-8 text file; as much of it as fits one sequence is used", HelpName = "FILE" };
        var command = new Command("perplexity", "How well the model predicts a text, and how often its best token stays the same") { model, formats, type, threads, text };
        command.SetAction((parsed, cancellation) =>
        {
            var file = parsed.GetValue(text) ?? throw new UsageException("bench perplexity needs --text FILE.");
            if (!File.Exists(file))
                throw new UsageException($"--text: there is no file '{file}'.");
            return RunAsync(
                parsed.GetValue(model)!, parsed.GetValue(formats)!, parsed.GetValue(type)!, parsed.GetValue(threads), ["tokens", "perplexity", "ratio", "same best token"],
                async (engine, state) =>
                {
                    var ids = Tokenizer.Create(engine.TextAssets).Encode(await File.ReadAllTextAsync(file, cancellation)).Take(engine.Facts.MaxModelLen - 2).ToArray();
                    if (ids.Length < 2)
                        throw new UsageException($"--text '{file}' has {ids.Length} tokens; at least 2 are needed.");
                    var result = await EngineBench.PerplexityAsync(engine, ids);
                    var first = (PerplexityResult)(state.First ??= result);
                    double same = result.Best.Zip(first.Best).Count(pair => pair.First == pair.Second) / (double)result.Best.Count;
                    return [ids.Length.ToString(CultureInfo.InvariantCulture), Text(result.Perplexity, "0.000"), Text(result.Perplexity / first.Perplexity, "0.0000"), Text(100 * same, "0.0") + " %"];
                },
                cancellation);
        });
        return command;
    }

    private static (Argument<string>, Option<string>, Option<string>, Option<int?>) Common() => (
        new Argument<string>("MODEL") { Description = "Checkpoint folder or .gguf file" },
        new Option<string>("--formats") { Description = "Formats to round to while loading, separated by commas: none, fp8, int8, int4, nf4", HelpName = "LIST", DefaultValueFactory = _ => AsIs },
        new Option<string>("--dtype") { Description = "auto, float32, bfloat16 or float16", HelpName = "TYPE", DefaultValueFactory = _ => "auto" },
        new Option<int?>("--num-threads") { Description = "Threads of the CPU kernels (default: the machine's cores)", HelpName = "N" });

    private static Option<int> Number(string name, string help, int value) => new(name) { Description = help, HelpName = "N", DefaultValueFactory = _ => value };

    private static int Positive(ParseResult parsed, Option<int> option)
        => parsed.GetValue(option) is var value and > 0 ? value : throw new UsageException($"{option.Name} must be an integer of at least 1, not '{parsed.GetValue(option)}'.");

    private static async Task<int> RunAsync(
        string model, string formats, string type, int? threads, string[] columns, Func<LlmEngine, State, Task<string[]>> measure, CancellationToken cancellation)
    {
        string[] wanted = formats.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (wanted.FirstOrDefault(f => f is not (AsIs or "fp8" or "int8" or "int4" or "nf4")) is { } bad || wanted.Length == 0)
            throw new UsageException($"--formats must list none, fp8, int8, int4 or nf4, not '{formats}'.");
        var table = new Table().Border(TableBorder.Markdown).AddColumn("format").AddColumn(new TableColumn("weights, MB").RightAligned());
        foreach (var column in columns)
            table.AddColumn(new TableColumn(column).RightAligned());
        var state = new State();
        foreach (var format in wanted)
        {
            cancellation.ThrowIfCancellationRequested();
            await using var engine = await Task.Run(
                () => LlmEngine.Load(
                    new EngineOptions { ModelPath = model, DType = type, NumThreads = threads, Quantization = format == AsIs ? null : format, KvCacheMemoryBytes = 1L << 30, Device = "cpu" },
                    cancellation: cancellation),
                cancellation);
            table.AddRow([format == AsIs ? "as it is" : format, Text(engine.Facts.WeightBytes / 1e6, "#,0.0"), .. await measure(engine, state)]);
        }

        AnsiConsole.Write(table);
        return ExitCodes.Ok;
    }

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>What the first format gave: the others are compared with it.</summary>
    private sealed class State
    {
        public object? First { get; set; }
    }
}
