using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using DeepSeekR1.Testing;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>One tensor of a safetensors file as bytes, with the type as the format spells it.</summary>
internal sealed record RawTensor(string Type, long[] Shape, byte[] Data);

/// <summary>A checkpoint in a temporary folder that a test may damage; deleted with <see cref="Dispose"/>.</summary>
internal sealed class CheckpointCopy : IDisposable
{
    private CheckpointCopy() => Directory.CreateDirectory(Folder);

    public string Folder { get; } = Path.Combine(Path.GetTempPath(), "deepseek-r1-tests-" + Guid.NewGuid().ToString("N"));

    /// <summary>An empty folder.</summary>
    public static CheckpointCopy Empty() => new();

    /// <summary>A golden checkpoint, expectations left out.</summary>
    public static CheckpointCopy Of(string name)
    {
        var copy = new CheckpointCopy();
        foreach (var file in Directory.GetFiles(Goldens.At("models", name)))
            File.WriteAllBytes(copy.At(Path.GetFileName(file)), File.ReadAllBytes(file));
        return copy;
    }

    public string At(string file) => Path.Combine(Folder, file);

    /// <summary>Rewrites the tensors of a file.</summary>
    public void Edit(Action<Dictionary<string, RawTensor>> change, string file = "model.safetensors", int padding = 0)
    {
        var tensors = Read(At(file));
        change(tensors);
        Write(At(file), tensors, padding);
    }

    /// <summary>Changes config.json.</summary>
    public void EditConfig(Action<JsonObject> change)
    {
        var config = (JsonObject)JsonNode.Parse(File.ReadAllText(At("config.json")))!;
        change(config);
        File.WriteAllText(At("config.json"), config.ToJsonString());
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    public static Dictionary<string, RawTensor> Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        int header = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        using var document = JsonDocument.Parse(bytes.AsMemory(8, header));
        var tensors = new Dictionary<string, RawTensor>();
        foreach (var entry in document.RootElement.EnumerateObject().Where(e => e.Name != "__metadata__"))
        {
            var offsets = Integers(entry.Value.GetProperty("data_offsets"));
            var data = bytes[(8 + header + (int)offsets[0])..(8 + header + (int)offsets[1])];
            tensors.Add(entry.Name, new RawTensor(entry.Value.GetProperty("dtype").GetString()!, Integers(entry.Value.GetProperty("shape")), data));
        }

        return tensors;
    }

    /// <summary>Writes a file; with a padding of 1 the data begin at an odd byte.</summary>
    public static void Write(string path, IReadOnlyDictionary<string, RawTensor> tensors, int padding = 0)
    {
        var header = new JsonObject();
        long at = 0;
        foreach (var (name, tensor) in tensors)
        {
            header[name] = new JsonObject
            {
                ["dtype"] = tensor.Type,
                ["shape"] = new JsonArray([.. tensor.Shape.Select(d => (JsonNode)d)]),
                ["data_offsets"] = new JsonArray(at, at + tensor.Data.Length),
            };
            at += tensor.Data.Length;
        }

        var text = header.ToJsonString();
        var json = Encoding.UTF8.GetBytes(text + new string(' ', (8 - text.Length % 8) % 8 + padding));
        var length = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)json.Length);
        using var file = File.Create(path);
        file.Write(length);
        file.Write(json);
        foreach (var tensor in tensors.Values)
            file.Write(tensor.Data);
    }

    private static long[] Integers(JsonElement element) => [.. element.EnumerateArray().Select(e => e.GetInt64())];
}
