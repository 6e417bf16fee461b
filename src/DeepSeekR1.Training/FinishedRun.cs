using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Engine;

namespace DeepSeekR1.Training;

/// <summary>
/// A run that has nothing left to do is not called done for options that it was not trained with. A run with steps left goes on with the new ones: that is how a
/// run is made longer or its rate changed.
/// </summary>
internal static class FinishedRun
{
    /// <summary>Options of the result, beside it in output_dir.</summary>
    public const string OptionsFile = "training_options.json";

    /// <summary>Fields that say where, when and how often, and so leave the weights as they are (num_threads but for rounding).</summary>
    private static readonly HashSet<string> Free = ["output_dir", "max_minutes", "num_threads", "logging_steps", "save_steps", "save_total_limit"];

    /// <summary>Compares the options with those of the result in output_dir, if all steps are done.</summary>
    /// <param name="options">What is wanted now.</param>
    /// <param name="step">Steps of the newest checkpoint, which fits the model.</param>
    /// <exception cref="StartupException">They differ: names the fields with both values, and the ways out.</exception>
    public static void Check(TrainingOptions options, long step)
    {
        string file = Path.Combine(options.OutputDir, OptionsFile);
        if (step < options.MaxSteps || !File.Exists(file))
            return;
        JsonObject before;
        try
        {
            // Through the type, so that a field which is new since then counts with its default.
            before = Tree(JsonSerializer.Deserialize(File.ReadAllText(file), options.GetType(), TrainingOptions.Format)!);
        }
        catch (JsonException e)
        {
            throw new StartupException($"output_dir '{options.OutputDir}' holds the result of {step} steps, but its {OptionsFile} is not of this kind of training: {e.Message} Choose another output_dir.", e);
        }

        var differences = Differences(before, Tree(options), "").ToList();
        if (differences.Count > 0)
            throw new StartupException($"output_dir '{options.OutputDir}' holds a finished run of {step} steps with other options: {string.Join("; ", differences)}. Choose another output_dir for a new run, or set max_steps above {step} to go on from this one.");
    }

    private static JsonObject Tree(object options) => JsonSerializer.SerializeToNode(options, options.GetType(), TrainingOptions.Format)!.AsObject();

    private static IEnumerable<string> Differences(JsonObject before, JsonObject now, string prefix)
    {
        foreach (var (name, value) in now)
        {
            var old = before[name];
            if (old is JsonObject oldFields && value is JsonObject fields)
                foreach (string inner in Differences(oldFields, fields, prefix + name + "."))
                    yield return inner;
            else if (!JsonNode.DeepEquals(old, value) && !(prefix.Length == 0 && Free.Contains(name)))
                yield return $"{prefix}{name} was {Shown(old)} and is now {Shown(value)}";
        }
    }

    private static string Shown(JsonNode? value) => value?.ToJsonString() ?? "unset";
}
