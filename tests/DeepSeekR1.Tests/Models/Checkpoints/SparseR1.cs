using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using DeepSeekR1.Compute.Collectives;
using DeepSeekR1.Compute.Kernels;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Architectures;
using TorchSharp;

namespace DeepSeekR1.Testing;

/// <summary>
/// DeepSeek-R1's files as they are published, without the numbers: 163 shards, every tensor with its name, type and shape, block scales,
/// the multi-token prediction layer with its copies of embedding and head. The bodies are holes, so the folder takes a few megabytes.
/// </summary>
internal static class SparseR1
{
    private const int Shards = 163, Block = 128;

    /// <summary>Writes the folder.</summary>
    /// <returns>Number of tensors.</returns>
    public static int Write(string folder, string configJson)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), configJson);
        var config = ModelConfigReader.Parse(configJson, "config.json");
        var rank = new RankContext(new SingleRank(), new TorchKernels(), torch.CPU, torch.ScalarType.BFloat16);
        using var model = new DeepseekV3(config, rank, withMtp: true);
        var tensors = new List<(string Name, string Type, long[] Shape, long Bytes)>();
        foreach (var spec in model.Weights)
        {
            bool wide = spec.Shape.Length == 1 && spec.Target.Type == torch.ScalarType.Float32;
            Add(tensors, spec.Name, spec.Target.Quantizable ? "F8_E4M3" : wide ? "F32" : "BF16", spec.Shape);
            if (spec.Target.Quantizable)
                Add(tensors, spec.Name + "_scale_inv", "F32", [(spec.Shape[0] + Block - 1) / Block, (spec.Shape[1] + Block - 1) / Block]);
        }

        string last = $"model.layers.{config.NumLayers}.";
        Add(tensors, last + "embed_tokens.weight", "BF16", [config.VocabSize, config.HiddenSize]);
        Add(tensors, last + "shared_head.head.weight", "BF16", [config.VocabSize, config.HiddenSize]);
        long perShard = tensors.Sum(t => t.Bytes) / Shards + 1, filled = 0;
        var shards = tensors.GroupBy(t => Math.Min(Shards - 1, (int)((filled += t.Bytes) / perShard))).ToList();
        var map = new Dictionary<string, string>();
        int number = 0;
        foreach (var shard in shards)
        {
            string file = $"model-{++number:D5}-of-{shards.Count:D6}.safetensors";
            WriteShard(Path.Combine(folder, file), shard);
            foreach (var (name, _, _, _) in shard)
                map.Add(name, file);
        }

        File.WriteAllText(
            Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.Serialize(new { metadata = new { total_size = tensors.Sum(t => t.Bytes) }, weight_map = map }));
        return tensors.Count;
    }

    private static void Add(List<(string, string, long[], long)> tensors, string name, string type, long[] shape)
    {
        int size = type switch { "F8_E4M3" => 1, "BF16" => 2, _ => 4 };
        tensors.Add((name, type, shape, shape.Aggregate((long)size, (a, b) => a * b)));
    }

    private static void WriteShard(string path, IEnumerable<(string Name, string Type, long[] Shape, long Bytes)> tensors)
    {
        var header = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
        long offset = 0;
        foreach (var (name, type, shape, bytes) in tensors)
            header.Append($",\"{name}\":{{\"dtype\":\"{type}\",\"shape\":[{string.Join(',', shape)}],\"data_offsets\":[{offset},{offset += bytes}]}}");
        header.Append('}');
        while (header.Length % 8 != 0)
            header.Append(' ');
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        file.Write(length);
        file.Write(Encoding.ASCII.GetBytes(header.ToString()));
        file.SetLength(8 + header.Length + offset);
    }
}
