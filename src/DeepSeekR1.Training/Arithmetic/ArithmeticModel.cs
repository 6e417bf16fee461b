using System.Reflection;
using System.Text.Json.Nodes;

namespace DeepSeekR1.Training.Arithmetic;

/// <summary>Writes a folder from which a new model of the bundled kind is trained: everything of a checkpoint but its weights.</summary>
public static class ArithmeticModel
{
    /// <summary>Dialogues on which the tokenizer's merges are learned.</summary>
    private const int TokenizerSamples = 20_000;

    /// <summary>Writes config.json, generation_config.json, tokenizer and chat template.</summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <param name="config">config.json as text.</param>
    /// <param name="seed">Seed of the dialogues for the tokenizer.</param>
    public static void Write(string folder, string config, long seed)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        var generation = new JsonObject { ["bos_token_id"] = 0, ["eos_token_id"] = 1, ["do_sample"] = true, ["temperature"] = 0.6, ["top_p"] = 0.95 };
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), generation.ToJsonString(new() { WriteIndented = true }) + "\n");
        File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), Recipe("chat_template.jinja"));
        ArithmeticTokenizer.Write(folder, new ArithmeticGenerator(seed), TokenizerSamples);
    }

    /// <summary>A file that is built in: a configuration, a recipe or the chat template.</summary>
    public static string Recipe(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("recipes/" + name)
            ?? throw new FileNotFoundException($"There is no built-in file '{name}'.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
