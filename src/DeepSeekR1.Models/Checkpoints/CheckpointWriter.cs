using System.Buffers.Binary;
using System.Text.Json;
using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>
/// Writes one safetensors file, tensor by tensor: only one is in memory at a time. The file appears under its name when it is
/// complete and on the disk, or not at all.
/// </summary>
public static unsafe class CheckpointWriter
{
    private const int Piece = 1 << 22;

    /// <summary>Writes a file.</summary>
    /// <param name="path">Where it appears.</param>
    /// <param name="layouts">Names, shapes and types (the first of each), in the order of the data.</param>
    /// <param name="data">The tensors in that order; each is disposed when it is written.</param>
    public static void Write(string path, IReadOnlyList<TensorLayout> layouts, IEnumerable<Tensor> data)
    {
        var temporary = path + ".tmp";
        using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, Piece))
        {
            WriteHeader(file, layouts);
            int index = 0;
            foreach (var tensor in data)
                using (tensor)
                    WriteData(file, layouts[index++], tensor);
            if (index != layouts.Count)
                throw new InvalidOperationException($"{index} tensors came for {layouts.Count} layouts.");
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Bytes of a tensor in the file.</summary>
    public static long BytesOf(TensorLayout layout) => layout.Shape.Aggregate((long)layout.Types[0].Bytes(), (a, b) => a * b);

    private static void WriteHeader(FileStream file, IReadOnlyList<TensorLayout> layouts)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");
            json.WriteEndObject();
            long offset = 0;
            foreach (var layout in layouts)
            {
                json.WriteStartObject(layout.Name);
                json.WriteString("dtype", SafetensorsTypes.Name(layout.Types[0]));
                json.WriteStartArray("shape");
                foreach (long dimension in layout.Shape)
                    json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += BytesOf(layout));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        // The data begins at a multiple of eight.
        while (text.Length % 8 != 0)
            text.WriteByte((byte)' ');
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
        file.Write(length);
        text.WriteTo(file);
    }

    private static void WriteData(FileStream file, TensorLayout layout, Tensor tensor)
    {
        using var dense = tensor.contiguous();
        long bytes = dense.numel() * dense.element_size();
        if (bytes != BytesOf(layout))
            throw new InvalidOperationException($"{layout.Name} has {bytes} bytes, its layout wants {BytesOf(layout)}.");
        byte* data = (byte*)TorchShim.Data(dense);
        for (long done = 0; done < bytes; done += Piece)
            file.Write(new ReadOnlySpan<byte>(data + done, (int)Math.Min(Piece, bytes - done)));
    }
}
