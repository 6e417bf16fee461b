using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DeepSeekR1.Evaluation.Grading;
using DeepSeekR1.Text;

namespace DeepSeekR1.Evaluation;

/// <summary>A data file or an evaluation that cannot be used: the message names the value, what is wanted and the next step.</summary>
public sealed class EvalException(string message) : Exception(message);

/// <summary>One problem to be asked.</summary>
/// <param name="Id">Unique within the task.</param>
/// <param name="Prompt">The user's message, instruction included.</param>
/// <param name="Gold">The right answer.</param>
/// <param name="Category">For the report's rows; null when the file has none.</param>
public sealed record EvalProblem(string Id, string Prompt, string Gold, string? Category);

/// <summary>
/// A set of problems with its grader. The layout is found from the columns: question and answer (GSM8K), problem and answer or solution (MATH-500,
/// AIME), prompt and answer (arithmetic). Immutable.
/// </summary>
/// <param name="Name">gsm8k, math500, or the file's name.</param>
/// <param name="Problems">In file order.</param>
/// <param name="DataHash">SHA-256 of the file.</param>
/// <param name="LastNumberCounts">Without any marked answer the last number is taken, as GSM8K's graders do.</param>
public sealed record EvalTask(string Name, IReadOnlyList<EvalProblem> Problems, string DataHash, bool LastNumberCounts)
{
    private const string Instruction = "\n\nPlease reason step by step, and put your final answer within \\boxed{}.";

    /// <summary>Loads a task.</summary>
    /// <param name="name">gsm8k, math500, or the path of a JSONL file.</param>
    /// <param name="data">A JSONL file, or a folder with test.jsonl or NAME/test.jsonl; null when <paramref name="name"/> is a path.</param>
    /// <param name="limit">Only so many problems from the beginning; null takes all.</param>
    /// <exception cref="EvalException">There is no such file, or a line is no problem.</exception>
    public static EvalTask Load(string name, string? data, int? limit = null)
    {
        string file = Locate(name, data);
        return Of(File.Exists(name) ? Path.GetFileNameWithoutExtension(name) : name, File.ReadLines(file), file, SHA256.HashData(File.ReadAllBytes(file)), limit);
    }

    /// <summary>A task from lines that are in no file.</summary>
    /// <param name="name">Name for the report.</param>
    /// <param name="lines">A JSON object each, as in a file.</param>
    /// <exception cref="EvalException">A line is no problem.</exception>
    public static EvalTask Of(string name, IReadOnlyCollection<string> lines)
        => Of(name, lines, name, SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', lines))), null);

    private static EvalTask Of(string name, IEnumerable<string> lines, string file, byte[] hash, int? limit)
    {
        var rows = Rows(lines, file).Take(limit ?? int.MaxValue).ToList();
        if (rows.Count == 0)
            throw new EvalException($"'{file}' has no problems. Name a JSONL file with a problem on each line.");
        var problems = rows.Select(row => Problem(row, file)).ToList();
        if (problems.GroupBy(p => p.Id).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new EvalException($"'{file}' has the identifier '{twice.Key}' twice; identifiers must differ.");
        return new EvalTask(name, problems, Convert.ToHexStringLower(hash), rows[0].Columns.ContainsKey("question"));
    }

    /// <summary>The final answer in a response, null when there is none. A thought that was not ended holds no answer.</summary>
    public string? Extract(string response)
    {
        if (MathGrader.Extract(response, AnswerTemplate.R1, GraderProfile.Lenient) is { } answer)
            return answer;
        bool thinking = response.Contains(Dialect.ThinkOpen, StringComparison.Ordinal) && !response.Contains(Dialect.ThinkClose, StringComparison.Ordinal);
        return LastNumberCounts && !thinking ? MathGrader.Extract(response, AnswerTemplate.Gsm8k, GraderProfile.Lenient) : null;
    }

    /// <summary>All rows of a JSONL file; the line number stands in for a missing identifier.</summary>
    /// <exception cref="EvalException">A line is not a JSON object.</exception>
    public static IEnumerable<TaskRow> Rows(string file) => Rows(File.ReadLines(file), file);

    private static IEnumerable<TaskRow> Rows(IEnumerable<string> lines, string file)
    {
        int number = 0;
        foreach (string line in lines)
        {
            number++;
            if (string.IsNullOrWhiteSpace(line))
                continue;
            yield return Row(line, number, file);
        }
    }

    private static TaskRow Row(string line, int number, string file)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var columns = document.RootElement.Clone().EnumerateObject().ToDictionary(p => p.Name, p => p.Value);
            var row = new TaskRow("", columns);
            return row with { Id = row.FirstText("id", "unique_id", "task_id") ?? number.ToString(System.Globalization.CultureInfo.InvariantCulture) };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new EvalException($"'{file}' line {number} is not a JSON object: {e.Message}");
        }
    }

    private static EvalProblem Problem(TaskRow row, string file)
    {
        string column = row.FirstOf("question", "problem", "prompt")
            ?? throw new EvalException($"'{file}' row '{row.Id}' has none of the columns question, problem, prompt. Add one, or remove the row.");
        RequireText(row, column, file, numbers: false);
        if (row.FirstOf(GoldAnswer.Columns) is { } answer)
            RequireText(row, answer, file, numbers: true);
        if (GoldAnswer.Of(row) is not { } gold || string.IsNullOrWhiteSpace(gold) || gold.EndsWith("####", StringComparison.Ordinal))
            throw new EvalException($"'{file}' row '{row.Id}' has no answer: give the column answer (of GSM8K with the number after ####), or a solution with a box.");
        bool asksForBox = row.Columns.ContainsKey("question") || row.Columns.ContainsKey("problem");
        string text = row.Text(column)!;
        return new EvalProblem(row.Id, asksForBox ? text + Instruction : text, gold, row.FirstText("category", "subject", "type"));
    }

    /// <summary>A list or an object would be asked or compared as its JSON, and an empty text is no question and no answer.</summary>
    private static void RequireText(TaskRow row, string column, string file, bool numbers)
    {
        var value = row.Columns[column];
        if (value.ValueKind == JsonValueKind.String ? !string.IsNullOrWhiteSpace(value.GetString()) : numbers && value.ValueKind == JsonValueKind.Number)
            return;
        string raw = value.GetRawText();
        throw new EvalException($"'{file}' row '{row.Id}': {column} is {(raw.Length > 60 ? raw[..60] + "..." : raw)}; it must be a text that is not empty{(numbers ? ", or a number" : "")}. Correct the row, or remove it.");
    }

    private static string Locate(string name, string? data)
    {
        if (data is null)
            return File.Exists(name) ? name : throw new EvalException($"There is no file '{name}'. The task is gsm8k or math500 with --data PATH (a JSONL file, or a folder with {name}/test.jsonl), or the path of a JSONL file.");
        string[] candidates = [data, Path.Combine(data, name, "test.jsonl"), Path.Combine(data, "test.jsonl"), Path.Combine(data, name + ".jsonl")];
        return candidates.FirstOrDefault(File.Exists) ?? throw new EvalException($"--data '{data}' has no problems for '{name}': there is none of {string.Join(", ", candidates)}.");
    }
}
