using System.Collections.Concurrent;
using System.Text.Json;
using DeepSeekR1.Engine;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using DeepSeekR1.Text.Tokenization;

namespace DeepSeekR1.Tests.Text.Tokenization;

/// <summary>The tokenizers of the goldens, each built once, and readers of their files.</summary>
internal static class TokenizerGoldens
{
    private static readonly ConcurrentDictionary<string, Lazy<Tokenizer>> Tokenizers = new();

    /// <summary>The folder of the small real model.</summary>
    public static string SmolFolder { get; } = Path.Combine(Goldens.Models, "smollm2-135m-instruct");

    /// <summary>The tokenizer of a folder below goldens/tokenizers.</summary>
    public static Tokenizer Get(string folder) => Tokenizers.GetOrAdd(folder, name => new Lazy<Tokenizer>(
        () => Tokenizer.Create(ModelTextAssetsReader.FromFolder(Goldens.At("tokenizers", name))))).Value;

    /// <summary>The tokenizer of the small real model, from its GGUF file.</summary>
    public static Tokenizer GetSmol() => Tokenizers.GetOrAdd("gguf:smol", _ => new Lazy<Tokenizer>(
        () => Tokenizer.Create(ModelTextAssetsReader.FromGguf(GgufFile.Open(
            Path.Combine(SmolFolder, "SmolLM2-135M-Instruct.Q4_1.gguf")))))).Value;

    /// <summary>The objects of a jsonl file.</summary>
    public static IEnumerable<JsonElement> Lines(params string[] path)
    {
        foreach (var line in File.ReadLines(Goldens.At(path)).Where(line => line.Length > 0))
        {
            using var document = JsonDocument.Parse(line);
            yield return document.RootElement.Clone();
        }
    }

    /// <summary>An array of integers.</summary>
    public static int[] Ids(this JsonElement element, string name) =>
        [.. element.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];

    /// <summary>A string.</summary>
    public static string Text(this JsonElement element, string name) => element.GetProperty(name).GetString()!;
}
