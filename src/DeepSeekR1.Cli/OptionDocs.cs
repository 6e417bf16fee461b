using System.Text;
using DeepSeekR1.Engine;
using DeepSeekR1.Engine.Options;
using DeepSeekR1.Engine.Planning;
using DeepSeekR1.Evaluation;
using DeepSeekR1.Evaluation.Load;
using DeepSeekR1.Server;
using DeepSeekR1.Training;

namespace DeepSeekR1.Cli;

/// <summary>Tables of the declared options, for docs/options.md and the README; tests hold the files to them.</summary>
internal static class OptionDocs
{
    /// <summary>The whole of docs/options.md.</summary>
    public static string Page()
    {
        var text = new StringBuilder("""
            # Options

            Made from the declarations (`ServerOptionList`, `EngineOptionList`, `EvalOptionList`, `BenchOptionList`, `PlanOptionList`, `TrainingFlags`, `ChatOptionList`).
            After a change of theirs, or of the request fields, write this page, [fields.md](fields.md) and the README's table anew:

            ```sh
            DEEPSEEKR1_WRITE_DOCS=1 dotnet test tests/DeepSeekR1.Server.Tests -c Release --filter "FullyQualifiedName~DocsTests"
            ```

            """.ReplaceLineEndings("\n"));
        text.Append("\n## serve\n\nThe flag wins over the variable, the variable over the key of the section `DeepSeekR1` in `appsettings.json` (`MaxModelLen`, `max-model-len`).\n\n");
        text.Append(Table(ServerOptionList.All.Defaults, ServerOptionList.All, "variable", o => $"`{ServeSettings.VariableOf(o.Name)}`"));
        Section(text, "chat", Table(ChatOptionList.All.Defaults, ChatOptionList.All) + "\nOf `serve`, with the same meaning: " + Names(ChatOptionList.Loading) + ".\n");
        Section(text, "eval", Table(EvalOptionList.All.Defaults, EvalOptionList.All) + Engine(EngineOptionList.DType, EngineOptionList.Quantization, EngineOptionList.NumThreads));
        Section(text, "bench decode", Table(BenchOptionList.Decode.Defaults, BenchOptionList.Decode) + Engine(EngineOptionList.DType, EngineOptionList.NumThreads));
        Section(text, "bench perplexity", Table(BenchOptionList.Perplexity.Defaults, BenchOptionList.Perplexity) + Engine(EngineOptionList.DType, EngineOptionList.NumThreads));
        Section(text, "plan", Table(PlanOptionList.All.Defaults, PlanOptionList.All));
        Section(text, "train sft", Table(TrainingFlags.Sft.Defaults, TrainingFlags.Sft) + "\nThe fields of the file: [training.md](training.md).\n");
        Section(text, "train grpo", Table(TrainingFlags.Grpo.Defaults, TrainingFlags.Grpo));
        Section(text, "train check", Table(TrainingFlags.Check.Defaults, TrainingFlags.Check) + Engine(EngineOptionList.Quantization, EngineOptionList.DType));
        Section(text, "train data", Table(TrainingFlags.Data.Defaults, TrainingFlags.Data));
        return text.ToString();
    }

    /// <summary>The README's table of <c>serve</c>.</summary>
    public static string ReadmeTable() => Table(ServerOptionList.All.Defaults, ServerOptionList.All);

    private static void Section(StringBuilder text, string verb, string table) => text.Append($"\n## {verb}\n\n{table}");

    private static string Engine(params Option<EngineOptions>[] options) => "\nOf `serve`, with the same meaning: " + Names(options) + ".\n";

    private static string Names<T>(IEnumerable<Option<T>> options) => string.Join(", ", options.Select(o => $"`{Flags.Of(o.Name)}`"));

    private static string Table<T>(T defaults, IEnumerable<Option<T>> options, string? column = null, Func<Option<T>, string>? more = null)
    {
        var text = new StringBuilder($"| flag | {(column is null ? "" : column + " | ")}meaning | default |\n|---|{(column is null ? "" : "---|")}---|---|\n");
        foreach (var option in options)
        {
            string[] cells = [$"`{Flags.Of(option.Name)}`{(option.IsSwitch ? "" : $" {option.Placeholder}")}", .. more is null ? (string[])[] : [more(option)], option.Help + option.Span, option.DefaultOf(defaults)];
            text.Append("| ").AppendJoin(" | ", cells.Select(c => c.Replace("|", "\\|", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal))).Append(" |\n");
        }

        return text.ToString();
    }
}
