using System.Text.Json;
using DeepSeekR1.Compute;
using static TorchSharp.torch;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>
/// A folder of safetensors files as published on the hub: model.safetensors.index.json with its shards, or one
/// model.safetensors, or a single file by its path. Owns the mappings.
/// </summary>
public sealed class SafetensorsCheckpoint : Checkpoint
{
    private const string IndexName = "model.safetensors.index.json";
    private const string SingleName = "model.safetensors";

    private readonly List<SafetensorsFile> _files = [];
    private readonly Dictionary<string, (SafetensorsFile File, SafetensorsEntry Entry)> _index = [];
    private readonly Dictionary<string, StoredTensor> _tensors = [];

    private readonly bool _copies;

    private SafetensorsCheckpoint(string location, bool copies) => (Location, _copies) = (location, copies);

    /// <inheritdoc/>
    public override string Location { get; }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => _tensors;

    /// <summary>The files in order of their names, with the tensors of each in the order of its data.</summary>
    public IReadOnlyList<(string File, IReadOnlyList<string> Names)> Shards
        => [.. _files.Select(f => (Path.GetFileName(f.File.Path), (IReadOnlyList<string>)[.. f.Entries.OrderBy(e => e.Value.Offset).Select(e => e.Key)]))];

    /// <summary>Opens a folder or a single file.</summary>
    /// <exception cref="ModelLoadException">The files are missing or malformed; the message names file and cause.</exception>
    public static new SafetensorsCheckpoint Open(string path, bool copies = false)
    {
        var checkpoint = new SafetensorsCheckpoint(path, copies);
        try
        {
            checkpoint.OpenFiles();
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override unsafe Tensor Read(string name, TensorSlice slice)
    {
        var stored = Find(name);
        var (file, entry) = _index[name];
        if (stored.Shape.Length > 2)
            return ReadWhole(file, entry);
        long rows = stored.Shape.Length > 0 ? stored.Shape[0] : 1, columns = stored.Shape.Length > 1 ? stored.Shape[1] : 1;
        if (slice.Row < 0 || slice.Rows < 0 || slice.Row + slice.Rows > rows || slice.Column < 0 || slice.Columns < 0 || slice.Column + slice.Columns > columns)
            throw new ArgumentOutOfRangeException(nameof(slice), slice, $"outside '{name}' [{string.Join(", ", stored.Shape)}]");
        int size = stored.Type.Bytes();
        CountBytes(slice.Rows * slice.Columns * size);
        if (_copies)
            return Copy(file, entry, slice, columns);
        var data = file.File.At(entry.Offset + (slice.Row * columns + slice.Column) * size);
        return stored.Shape.Length switch
        {
            0 => TorchShim.FromMemory(data, [], stored.Type),
            1 => TorchShim.FromMemory(data, [slice.Rows], stored.Type),
            _ => TorchShim.FromMemory(data, [slice.Rows, slice.Columns], [columns, 1], stored.Type),
        };
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var file in _files)
            file.Dispose();
        _files.Clear();
    }

    /// <summary>Reads a slice with plain file reads: a file that shrinks or a disk that fails is an error and not the end of the process.</summary>
    private static unsafe Tensor Copy(SafetensorsFile file, SafetensorsEntry entry, TensorSlice slice, long columns)
    {
        int size = entry.Tensor.Type.Bytes();
        long rowBytes = slice.Columns * size, runs = slice.Columns == columns ? 1 : slice.Rows, runBytes = slice.Columns == columns ? slice.Rows * rowBytes : rowBytes;
        using var bytes = empty([Math.Max(1, slice.Rows * rowBytes)], ScalarType.Byte);
        byte* target = (byte*)TorchShim.Data(bytes);
        using var handle = File.OpenHandle(file.File.Path, FileMode.Open, FileAccess.Read, FileShare.Read);
        for (long run = 0; run < runs; run++)
        {
            long offset = entry.Offset + ((slice.Row + run) * columns + slice.Column) * size;
            for (long done = 0; done < runBytes;)
            {
                int count = (int)Math.Min(runBytes - done, 1 << 30);
                int read = RandomAccess.Read(handle, new Span<byte>(target + run * runBytes + done, count), offset + done);
                if (read == 0)
                    throw new ModelLoadException($"'{file.File.Path}' ended while tensor '{entry.Tensor.Name}' was read: it has become shorter since it was opened. Download it again.");
                done += read;
            }
        }

        using var view = TorchShim.FromMemory(
            target, entry.Tensor.Shape.Length switch { 0 => [], 1 => [slice.Rows], _ => (long[])[slice.Rows, slice.Columns] }, entry.Tensor.Type);
        return view.clone();
    }

    private unsafe Tensor ReadWhole(SafetensorsFile file, SafetensorsEntry entry)
    {
        CountBytes(entry.Length);
        return TorchShim.FromMemory(file.File.At(entry.Offset), entry.Tensor.Shape, entry.Tensor.Type);
    }

    private void OpenFiles()
    {
        try
        {
            if (File.Exists(Location))
            {
                AddFile(Location);
                return;
            }

            if (!Directory.Exists(Location))
                throw new ModelLoadException($"'{Location}' does not exist. MODEL is a checkpoint folder or a .gguf file.");
            var index = Path.Combine(Location, IndexName);
            if (File.Exists(index))
                OpenIndexed(index);
            else if (File.Exists(Path.Combine(Location, SingleName)))
                AddFile(Path.Combine(Location, SingleName));
            else
                throw new ModelLoadException($"'{Location}' has neither {IndexName} nor {SingleName}: no weights to load.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelLoadException($"'{Location}' cannot be read: {e.Message}", e);
        }
    }

    private void OpenIndexed(string indexPath)
    {
        var map = ReadIndex(indexPath);
        var missing = map.Values.Distinct().Where(shard => !File.Exists(Path.Combine(Location, shard))).Order().ToList();
        if (missing.Count > 0)
            throw new ModelLoadException($"'{Location}' lacks {missing.Count} of the shards that {IndexName} names: {string.Join(", ", missing)}. Download them again.");
        foreach (var shard in map.Values.Distinct().Order())
            AddFile(Path.Combine(Location, shard));
        var absent = map.Keys.Where(name => !_tensors.ContainsKey(name)).Order().ToList();
        if (absent.Count > 0)
            throw new ModelLoadException($"{IndexName} of '{Location}' names tensors that no shard holds: {string.Join(", ", absent.Take(20))}{(absent.Count > 20 ? ", ..." : "")}.");
        foreach (var (name, shard) in map)
            if (Path.GetFileName(_index[name].File.File.Path) != shard)
                throw new ModelLoadException($"{IndexName} of '{Location}' says that '{name}' is in {shard}, but it lies in {Path.GetFileName(_index[name].File.File.Path)}.");
    }

    private Dictionary<string, string> ReadIndex(string indexPath)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(indexPath));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
                throw new ModelLoadException($"'{indexPath}' has no weight_map object.");
            var shards = new Dictionary<string, string>();
            foreach (var entry in map.EnumerateObject())
                shards[entry.Name] = CheckShardName(indexPath, entry.Value);
            return shards;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ModelLoadException($"'{indexPath}' is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>A shard is a plain file name inside the folder: an index must not reach outside.</summary>
    private static string CheckShardName(string indexPath, JsonElement value)
    {
        var name = value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
        if (name.Length == 0 || name is "." or ".." || name.AsSpan().IndexOfAny("/\\:\0") >= 0)
            throw new ModelLoadException($"'{indexPath}' names the shard '{value}'; a shard must be a plain file name inside the folder.");
        return name;
    }

    private void AddFile(string path)
    {
        var file = SafetensorsFile.Open(path);
        _files.Add(file);
        foreach (var (name, entry) in file.Entries)
        {
            if (!_index.TryAdd(name, (file, entry)))
                throw new ModelLoadException($"'{Location}': tensor '{name}' lies in two shards, {Path.GetFileName(_index[name].File.File.Path)} and {Path.GetFileName(path)}.");
            _tensors.Add(name, entry.Tensor);
        }
    }
}
