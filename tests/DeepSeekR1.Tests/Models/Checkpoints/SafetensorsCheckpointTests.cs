using System.Globalization;
using System.Text.Json;
using DeepSeekR1.Compute;
using DeepSeekR1.Compute.Quantization;
using DeepSeekR1.Models;
using DeepSeekR1.Models.Checkpoints;
using DeepSeekR1.Testing;
using Xunit;
using static TorchSharp.torch;

namespace DeepSeekR1.Tests.Models.Checkpoints;

/// <summary>Odd and hostile files (safetensors/README.md), and reading of slices.</summary>
public class SafetensorsCheckpointTests
{
    private static readonly Dictionary<string, DType> TypeNames = new()
    {
        ["BOOL"] = DType.Bool,
        ["U8"] = DType.UInt8,
        ["I8"] = DType.Int8,
        ["F8_E4M3"] = DType.Float8E4M3,
        ["F8_E5M2"] = DType.Float8E5M2,
        ["F8_E8M0"] = DType.Float8E8M0,
        ["I16"] = DType.Int16,
        ["U16"] = DType.UInt16,
        ["F16"] = DType.Float16,
        ["BF16"] = DType.BFloat16,
        ["I32"] = DType.Int32,
        ["U32"] = DType.UInt32,
        ["F32"] = DType.Float32,
        ["F64"] = DType.Float64,
        ["I64"] = DType.Int64,
        ["U64"] = DType.UInt64,
    };

    public static TheoryData<string> Sliced => ["qwen2", "deepseek-v3-mtp", "deepseek-v3-fp8-mtp"];

    [GoldenFact]
    public void Open_EveryEntryOfTheManifest_IsReadOrRefused()
    {
        using var manifest = JsonDocument.Parse(File.ReadAllText(Goldens.At("safetensors", "manifest.json")));
        var counts = new Dictionary<string, int>();
        var failures = new List<string>();
        foreach (var entry in manifest.RootElement.EnumerateArray())
        {
            var expect = entry.GetProperty("expect").GetString()!;
            counts[expect] = counts.GetValueOrDefault(expect) + 1;
            foreach (bool copies in new[] { false, true })
                if (Check(entry, expect, copies) is { } failure)
                    failures.Add($"{entry.GetProperty("path").GetString()} ({entry.GetProperty("what").GetString()}): {failure}");
        }

        Assert.True(failures.Count == 0, string.Join('\n', failures));
        Assert.Equal((12, 49, 1), (counts["ok"], counts["error"], counts["any"]));
    }

    [GoldenTheory]
    [MemberData(nameof(Sliced))]
    public void Read_Copies_AreWhatIsMapped(string name)
    {
        using var scope = new TensorScope();
        using var mapped = Checkpoint.Open(Goldens.At("models", name));
        using var copied = Checkpoint.Open(Goldens.At("models", name), copies: true);
        foreach (var stored in mapped.Tensors.Values.Where(t => t.Shape.Length == 2))
        {
            long rows = stored.Shape[0], columns = stored.Shape[1];
            foreach (var slice in new[] { TensorSlice.Whole(stored.Shape), new TensorSlice(rows / 2, rows - rows / 2, 0, columns),
                new TensorSlice(0, rows, columns / 2, columns - columns / 2) })
                Assert.True(
                    TorchShim.ViewAs(mapped.Read(stored.Name, slice).contiguous(), DType.UInt8)
                        .equal(TorchShim.ViewAs(copied.Read(stored.Name, slice), DType.UInt8)).all().item<bool>(),
                    $"{stored.Name} {slice}");
        }

        Assert.Equal(mapped.BytesRead, copied.BytesRead);
    }

    [GoldenFact]
    public void Open_FolderOfLinksLikeTheHubCache_FollowsThem()
    {
        // models--org--name/snapshots/revision/file -> ../../blobs/hash: the names stay inside the folder, the bytes lie elsewhere.
        var cache = Directory.CreateTempSubdirectory("hub").FullName;
        try
        {
            var snapshot = Directory.CreateDirectory(Path.Combine(cache, "snapshots", "revision")).FullName;
            var blobs = Directory.CreateDirectory(Path.Combine(cache, "blobs")).FullName;
            foreach (var file in Directory.GetFiles(Goldens.At("models", "deepseek-v3-fp8-mtp")))
            {
                var blob = Path.Combine(blobs, "blob" + Path.GetFileName(file).GetHashCode(StringComparison.Ordinal));
                File.Copy(file, blob);
                File.CreateSymbolicLink(Path.Combine(snapshot, Path.GetFileName(file)), Path.Combine("..", "..", "blobs", Path.GetFileName(blob)));
            }

            using var linked = Checkpoint.Open(snapshot);
            using var plain = Checkpoint.Open(Goldens.At("models", "deepseek-v3-fp8-mtp"));
            Assert.Equal(plain.Tensors.Keys.Order(), linked.Tensors.Keys.Order());
            Assert.Equal("DeepseekV3ForCausalLM", ModelConfigReader.Read(snapshot).Architecture);
        }
        finally
        {
            Directory.Delete(cache, recursive: true);
        }
    }

    [GoldenFact]
    public void Read_CopyOfAFileThatShrank_IsRefused()
    {
        using var copy = CheckpointCopy.Of("qwen2");
        using var checkpoint = Checkpoint.Open(copy.Folder, copies: true);
        var last = checkpoint.Tensors.Keys.ToList();
        foreach (var file in Directory.GetFiles(copy.Folder, "*.safetensors"))
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            stream.SetLength(stream.Length / 2);
        }

        var refusals = last.Select(name => Record.Exception(() => checkpoint.Read(name).Dispose())).Where(e => e is not null).ToList();
        Assert.NotEmpty(refusals);
        Assert.All(refusals, e => Assert.Contains("has become shorter", Assert.IsType<ModelLoadException>(e).Message, StringComparison.Ordinal));
    }

    private static string? Check(JsonElement entry, string expect, bool copies)
    {
        var path = Goldens.At("safetensors", entry.GetProperty("path").GetString()!);
        try
        {
            using var checkpoint = Checkpoint.Open(path, copies);
            var nonFinite = entry.TryGetProperty("non_finite", out var names) ? names.EnumerateArray().Select(n => n.GetString()!).Order().ToList() : null;
            if (nonFinite is not null && !nonFinite.SequenceEqual(checkpoint.FindNonFinite().Order()))
                return $"not finite are {string.Join(", ", checkpoint.FindNonFinite())}";
            return expect == "error" ? "was read" : expect == "ok" ? CheckTensors(entry.GetProperty("tensors"), checkpoint) : null;
        }
        catch (ModelLoadException e)
        {
            return expect == "ok" ? e.Message : e.Message.Contains(path, StringComparison.Ordinal) ? null : $"the message does not name it: {e.Message}";
        }
        catch (Exception e) when (e is not ModelLoadException)
        {
            return $"{e.GetType().Name}: {e.Message}";
        }
    }

    private static string? CheckTensors(JsonElement expected, Checkpoint checkpoint)
    {
        if (!expected.EnumerateObject().Select(t => t.Name).Order().SequenceEqual(checkpoint.Tensors.Keys.Order()))
            return $"it holds {string.Join(", ", checkpoint.Tensors.Keys)}";
        foreach (var item in expected.EnumerateObject())
        {
            var stored = checkpoint.Tensors[item.Name];
            if (stored.Type != TypeNames[item.Value.GetProperty("dtype").GetString()!])
                return $"{item.Name} is {stored.Type}";
            if (!stored.Shape.SequenceEqual(item.Value.GetProperty("shape").EnumerateArray().Select(e => e.GetInt64())))
                return $"{item.Name} is [{string.Join(", ", stored.Shape)}]";
            using var tensor = checkpoint.Read(item.Name);
            if (!tensor.shape.SequenceEqual(stored.Shape))
                return $"{item.Name} reads as [{string.Join(", ", tensor.shape)}]";
            var actual = Values(tensor, stored.Type);
            var wanted = item.Value.GetProperty("values").EnumerateArray().Select(Value).ToArray();
            if (!actual.SequenceEqual(wanted))
                return $"{item.Name} holds {string.Join(", ", actual)}, expected {string.Join(", ", wanted)}";
        }

        return null;
    }

    /// <summary>A number of the manifest: integers exactly, floats as double.</summary>
    private static object Value(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => double.Parse(element.GetString()!, CultureInfo.InvariantCulture),
        JsonValueKind.True or JsonValueKind.False => element.GetBoolean(),
        _ => element.GetRawText().AsSpan().IndexOfAny('.', 'e', 'E') < 0 ? (object)decimal.Parse(element.GetRawText(), CultureInfo.InvariantCulture) : element.GetDouble(),
    };

    private static object[] Values(Tensor tensor, DType type)
    {
        var bytes = Bytes(tensor, type.Bytes());
        return [.. Enumerable.Range(0, bytes.Length / type.Bytes()).Select(i => Decode(bytes.AsSpan(i * type.Bytes()), type))];
    }

    private static object Decode(ReadOnlySpan<byte> at, DType type) => type switch
    {
        DType.Bool => at[0] != 0,
        DType.UInt8 => (decimal)at[0],
        DType.Int8 => (decimal)(sbyte)at[0],
        DType.Float8E4M3 => (double)Fp8Codes.Decode(at[0]),
        DType.Float8E5M2 => (double)BitConverter.UInt16BitsToHalf((ushort)(at[0] << 8)),
        DType.Float8E8M0 => Math.Pow(2, at[0] - 127),
        DType.Int16 => (decimal)BitConverter.ToInt16(at),
        DType.UInt16 => (decimal)BitConverter.ToUInt16(at),
        DType.Float16 => (double)BitConverter.ToHalf(at),
        DType.BFloat16 => (double)BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(at) << 16),
        DType.Int32 => (decimal)BitConverter.ToInt32(at),
        DType.UInt32 => (decimal)BitConverter.ToUInt32(at),
        DType.Float32 => (double)BitConverter.ToSingle(at),
        DType.Float64 => BitConverter.ToDouble(at),
        DType.Int64 => (decimal)BitConverter.ToInt64(at),
        _ => (decimal)BitConverter.ToUInt64(at),
    };

    /// <summary>The elements of a tensor of at most two dimensions (or a contiguous one), row by row.</summary>
    private static unsafe byte[] Bytes(Tensor tensor, int size)
    {
        var source = (byte*)TorchShim.Data(tensor);
        if (tensor.dim() != 2)
            return new ReadOnlySpan<byte>(source, (int)tensor.numel() * size).ToArray();
        int rows = (int)tensor.shape[0], bytes = (int)tensor.shape[1] * size;
        Assert.Equal(1, tensor.stride(1));
        var result = new byte[rows * bytes];
        for (int r = 0; r < rows; r++)
            new ReadOnlySpan<byte>(source + r * tensor.stride(0) * size, bytes).CopyTo(result.AsSpan(r * bytes));
        return result;
    }

    [GoldenTheory]
    [MemberData(nameof(Sliced))]
    public void Read_OfRowsAndColumns_EqualsThatPartOfTheWhole(string name)
    {
        foreach (int padding in new[] { 0, 1, 3 })
        {
            using var copy = CheckpointCopy.Of(name);
            foreach (var file in Directory.GetFiles(copy.Folder, "*.safetensors"))
                copy.Edit(_ => { }, Path.GetFileName(file), padding);
            using var checkpoint = Checkpoint.Open(copy.Folder);
            var random = new Random(padding);
            foreach (var stored in checkpoint.Tensors.Values)
                CheckSlices(checkpoint, stored, random);
        }
    }

    private static void CheckSlices(Checkpoint checkpoint, StoredTensor stored, Random random)
    {
        int size = stored.Type.Bytes();
        long rows = stored.Shape[0], columns = stored.Shape.Length > 1 ? stored.Shape[1] : 1;
        long read = checkpoint.BytesRead;
        using var whole = checkpoint.Read(stored.Name);
        Assert.Equal(rows * columns * size, checkpoint.BytesRead - read);
        var bytes = Bytes(whole, size);
        for (int round = 0; round < 4; round++)
        {
            long row = random.NextInt64(rows), column = random.NextInt64(columns);
            var slice = new TensorSlice(row, 1 + random.NextInt64(rows - row), column, 1 + random.NextInt64(columns - column));
            read = checkpoint.BytesRead;
            using var part = checkpoint.Read(stored.Name, slice);
            Assert.Equal(slice.Rows * slice.Columns * size, checkpoint.BytesRead - read);
            var expected = new List<byte>();
            for (long r = row; r < row + slice.Rows; r++)
                expected.AddRange(bytes.AsSpan((int)((r * columns + column) * size), (int)(slice.Columns * size)));
            Assert.True(expected.SequenceEqual(Bytes(part, size)), $"{stored.Name} {slice}");
        }
    }

    [GoldenFact]
    public void Read_OutsideTheTensor_IsRefused()
    {
        using var checkpoint = Checkpoint.Open(Goldens.At("models", "qwen2"));
        const string Name = "model.layers.0.mlp.down_proj.weight"; // [96, 256]
        foreach (var slice in new[] { new TensorSlice(0, 97, 0, 256), new(96, 1, 0, 1), new(0, 1, 255, 2), new(-1, 1, 0, 1), new(0, -1, 0, 1), new(0, 1, 0, -1) })
            Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Read(Name, slice));
        var missing = Assert.Throws<ModelLoadException>(() => checkpoint.Read("model.nothing"));
        Assert.Contains("model.nothing", missing.Message, StringComparison.Ordinal);
        Assert.Equal(0, checkpoint.BytesRead);
    }

    [Fact]
    public void Open_WhereNothingLies_IsRefused()
    {
        foreach (var path in new[] { "/nowhere/at/all", "/nowhere/model.safetensors", "/nowhere/model.gguf" })
            Assert.Contains(path, Assert.Throws<ModelLoadException>(() => Checkpoint.Open(path)).Message, StringComparison.Ordinal);
    }
}
