using System.CommandLine;
using System.Globalization;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
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

    private static Command Decode() => Create(
        "decode", "Tokens per second of prefill and decode", BenchOptionList.Decode, ["prefill tokens/s", "decode tokens/s", "decode, ratio"],
        async (engine, options, state) =>
        {
            var speed = await EngineBench.SpeedAsync(engine, options.PromptTokens, Math.Max(2, options.OutputTokens), options.Streams);
            state.First ??= speed;
            return [Text(speed.PrefillTokensPerSecond, "0.0"), Text(speed.DecodeTokensPerSecond, "0.00"),
                Text(speed.DecodeTokensPerSecond / ((SpeedResult)state.First).DecodeTokensPerSecond, "0.00")];
        });

    private static Command Perplexity() => Create(
        "perplexity", "How well the model predicts a text, and how often its best token stays the same", BenchOptionList.Perplexity, ["tokens", "perplexity", "ratio", "same best token"],
        async (engine, options, state) =>
        {
            var ids = Tokenizer.Create(engine.TextAssets).Encode(await File.ReadAllTextAsync(options.Text!)).Take(engine.Facts.MaxModelLen - 2).ToArray();
            if (ids.Length < 2)
                throw new UsageException($"{BenchOptionList.Text} '{options.Text}' has {ids.Length} tokens; at least 2 are needed.");
            var result = await EngineBench.PerplexityAsync(engine, ids);
            var first = (PerplexityResult)(state.First ??= result);
            double same = result.Best.Zip(first.Best).Count(pair => pair.First == pair.Second) / (double)result.Best.Count;
            return [ids.Length.ToString(CultureInfo.InvariantCulture), Text(result.Perplexity, "0.000"), Text(result.Perplexity / first.Perplexity, "0.0000"),
                Text(100 * same, "0.0") + " %"];
        });

    private static Command Create(
        string name, string help, OptionList<BenchOptions> list, string[] columns, Func<LlmEngine, BenchOptions, State, Task<string[]>> measure)
    {
        var model = new Argument<string>("MODEL") { Description = "Checkpoint folder or .gguf file" };
        var command = new Command(name, help) { model };
        var flags = new FlagSet<BenchOptions>(list).AddTo(command);
        var loading = EngineFlags.Of(EngineOptionList.DType, EngineOptionList.NumThreads).AddTo(command);
        command.SetAction((parsed, cancellation) =>
        {
            var options = flags.Read(parsed, new BenchOptions());
            if (list.Contains(BenchOptionList.Text))
                CheckText(options.Text);
            var engine = loading.Set(parsed, new EngineOptions { ModelPath = parsed.GetValue(model)!, KvCacheMemoryBytes = 1L << 30, Device = "cpu" });
            return RunAsync(engine, options, columns, measure, cancellation);
        });
        return command;
    }

    private static void CheckText(string? file)
    {
        if (file is null)
            throw new UsageException($"bench perplexity needs {BenchOptionList.Text} FILE.");
        if (!File.Exists(file))
            throw new UsageException($"{BenchOptionList.Text}: there is no file '{file}'.");
    }

    private static async Task<int> RunAsync(
        EngineOptions loading, BenchOptions options, string[] columns, Func<LlmEngine, BenchOptions, State, Task<string[]>> measure, CancellationToken cancellation)
    {
        if (options.Formats.Any(f => f is not (AsIs or "fp8" or "int8" or "int4" or "nf4")))
            throw new UsageException($"{BenchOptionList.Formats} must list none, fp8, int8, int4 or nf4, not '{string.Join(',', options.Formats)}'.");
        var table = new Table().Border(TableBorder.Markdown).AddColumn("format").AddColumn(new TableColumn("weights, MB").RightAligned());
        foreach (var column in columns)
            table.AddColumn(new TableColumn(column).RightAligned());
        var state = new State();
        foreach (var format in options.Formats)
        {
            cancellation.ThrowIfCancellationRequested();
            await using var engine = await Task.Run(() => LlmEngine.Load(loading with { Quantization = format == AsIs ? null : format }, cancellation: cancellation), cancellation);
            table.AddRow([format == AsIs ? "as it is" : format, Text(engine.Facts.WeightBytes / 1e6, "#,0.0"), .. await measure(engine, options, state)]);
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
