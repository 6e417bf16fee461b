using System.Numerics;
using System.Runtime.InteropServices;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>
/// The header of a GGUF file, version 2 or 3: metadata and tensor table. Reads the header only and keeps no handle; who
/// wants the data maps the file and uses <see cref="GgufTensor.Offset"/>. Immutable, any thread.
/// </summary>
/// <remarks>
/// Every tensor's range is checked: inside the file, aligned, no overlap. Every fault is a <see cref="ModelLoadException"/>
/// that names file, item and cause. Layout: ggml's docs/gguf.md.
/// </remarks>
public sealed class GgufFile
{
    private const uint Magic = 0x46554747; // "GGUF"
    private const int DefaultAlignment = 32;
    private const int MaxDimensions = 4;
    private const int MinPairBytes = 8 + 1 + 4 + 1; // key length, key, type, value
    private const int MinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8; // name length, name, dimensions, one size, type, offset
    private const string AlignmentKey = "general.alignment";

    private readonly Dictionary<string, object> _metadata = new(StringComparer.Ordinal);
    private readonly Dictionary<string, GgufTensor> _tensors = new(StringComparer.Ordinal);

    private GgufFile(string path, GgufHeaderReader reader, long length)
    {
        Path = path;
        Length = length;
        ReadMagicAndVersion(reader);
        var tensorCount = reader.ReadCount("tensor count", MinTensorBytes);
        var pairCount = reader.ReadCount("metadata count", MinPairBytes);
        for (var i = 0L; i < pairCount; i++)
            ReadPair(reader, i);
        Alignment = FindAlignment();
        var entries = new List<Entry>();
        for (var i = 0L; i < tensorCount; i++)
            entries.Add(ReadEntry(reader, i));
        Place(entries, reader.Position);
    }

    /// <summary>Where the file lies, as given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>Size of the file in bytes.</summary>
    public long Length { get; }

    /// <summary>Format version, 2 or 3.</summary>
    public int Version { get; private set; }

    /// <summary>Alignment of tensor data in bytes, a power of two.</summary>
    public int Alignment { get; }

    /// <summary>
    /// Typed values in file order: <see cref="bool"/>, <see cref="long"/> (<see cref="ulong"/> for uint64), <see cref="float"/>,
    /// <see cref="double"/>, <see cref="string"/>, or an array of one of these.
    /// </summary>
    public IReadOnlyDictionary<string, object> Metadata => _metadata;

    /// <summary>The tensor table by name, in file order.</summary>
    public IReadOnlyDictionary<string, GgufTensor> Tensors => _tensors;

    /// <summary>Opens, reads the header, closes.</summary>
    /// <exception cref="ModelLoadException">The file cannot be read or is malformed.</exception>
    public static GgufFile Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
            return new GgufFile(path, new GgufHeaderReader(stream, path), stream.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ModelLoadException($"GGUF file '{path}': cannot be read: {e.Message}", e);
        }
    }

    /// <summary>A string value; the default when the key is absent, an error when there is no default.</summary>
    public string GetString(string key, string? defaultValue = null) =>
        Find(key) is { } value ? value as string ?? throw WrongType(key, value, "a string") : defaultValue ?? throw Absent(key);

    /// <summary>An integer value of any width; the default when the key is absent, an error when there is no default.</summary>
    public long GetInt(string key, long? defaultValue = null) => Find(key) switch
    {
        null => defaultValue ?? throw Absent(key),
        long value => value,
        ulong value when value <= long.MaxValue => (long)value,
        var other => throw WrongType(key, other, "an integer of at most 63 bits"),
    };

    /// <summary>A float, double or integer value; the default when the key is absent, an error when there is no default.</summary>
    public double GetFloat(string key, double? defaultValue = null) => Find(key) switch
    {
        null => defaultValue ?? throw Absent(key),
        float value => value,
        double value => value,
        long value => value,
        ulong value => value,
        var other => throw WrongType(key, other, "a number"),
    };

    /// <summary>A boolean value; the default when the key is absent, an error when there is no default.</summary>
    public bool GetBool(string key, bool? defaultValue = null) => Find(key) switch
    {
        null => defaultValue ?? throw Absent(key),
        bool value => value,
        var other => throw WrongType(key, other, "a boolean"),
    };

    /// <summary>An array of strings; an error when the key is absent.</summary>
    public IReadOnlyList<string> GetStrings(string key) => GetArray<string>(key, "an array of strings");

    /// <summary>An array of integers (not uint64); an error when the key is absent.</summary>
    public IReadOnlyList<long> GetInts(string key) => GetArray<long>(key, "an array of integers");

    /// <summary>A tensor by name; an error that names it when the file has none.</summary>
    public GgufTensor GetTensor(string name) =>
        _tensors.TryGetValue(name, out var tensor) ? tensor : throw Fault($"tensor '{name}'", "is missing");

    private T[] GetArray<T>(string key, string expected) =>
        Find(key) is { } value ? value as T[] ?? throw WrongType(key, value, expected) : throw Absent(key);

    private object? Find(string key) => _metadata.GetValueOrDefault(key);

    private ModelLoadException Absent(string key) => Fault($"metadata '{key}'", "is missing");

    private ModelLoadException WrongType(string key, object value, string expected) =>
        Fault($"metadata '{key}'", $"must be {expected}, but is {value.GetType().Name}{(value is Array ? "" : $" '{value}'")}");

    private ModelLoadException Fault(string item, string cause) => new($"GGUF file '{Path}': {item}: {cause}");

    private void ReadMagicAndVersion(GgufHeaderReader reader)
    {
        var magic = reader.ReadUInt32("magic");
        if (magic != Magic)
            throw Fault("magic", $"the file starts with 0x{magic:X8}; a GGUF file starts with \"GGUF\"");
        var version = reader.ReadUInt32("version");
        if (version is 2u << 24 or 3u << 24)
            throw Fault("version", "the file is big-endian; only little-endian files are supported");
        if (version is not (2 or 3))
            throw Fault("version", $"{version} is not supported (2 and 3 are); convert the file again");
        Version = (int)version;
    }

    private void ReadPair(GgufHeaderReader reader, long index)
    {
        var key = reader.ReadName($"metadata {index}");
        var item = $"metadata '{key}'";
        if (!_metadata.TryAdd(key, reader.ReadValue(reader.ReadUInt32(item), item)))
            throw Fault(item, "the key appears twice");
    }

    private int FindAlignment()
    {
        var alignment = GetInt(AlignmentKey, DefaultAlignment);
        if (alignment is < 1 or > 1 << 30 || !BitOperations.IsPow2(alignment))
            throw Fault($"metadata '{AlignmentKey}'", $"{alignment} is not a power of two up to 2^30");
        return (int)alignment;
    }

    private Entry ReadEntry(GgufHeaderReader reader, long index)
    {
        var name = reader.ReadName($"tensor {index}");
        var item = $"tensor '{name}'";
        var dimensions = reader.ReadUInt32(item);
        if (dimensions is 0 or > MaxDimensions)
            throw Fault(item, $"{dimensions} dimensions; 1 to {MaxDimensions} are allowed");
        var shape = new long[dimensions];
        for (var i = shape.Length - 1; i >= 0; i--)
            shape[i] = ReadSize(reader, item);
        var type = (GgmlType)reader.ReadUInt32(item);
        if (!GgmlTypes.IsKnown(type))
            throw Fault(item, $"tensor type {(uint)type} is unknown or was removed from ggml");
        return new Entry(name, type, shape, ByteLength(type, shape, item), reader.ReadUInt64(item));
    }

    private long ReadSize(GgufHeaderReader reader, string item)
    {
        var size = reader.ReadUInt64(item);
        return size is > 0 and <= long.MaxValue ? (long)size : throw Fault(item, $"a dimension is {size}");
    }

    private long ByteLength(GgmlType type, long[] shape, string item)
    {
        if (shape[^1] % type.BlockSize() != 0)
            throw Fault(item, $"rows of {shape[^1]} elements are not whole blocks of {type} ({type.BlockSize()} elements)");
        try
        {
            var bytes = checked(shape[^1] / type.BlockSize() * type.BytesPerBlock());
            _ = shape.Aggregate(1L, (product, size) => checked(product * size));
            return shape.SkipLast(1).Aggregate(bytes, (product, size) => checked(product * size));
        }
        catch (OverflowException)
        {
            throw Fault(item, $"the shape [{string.Join(", ", shape)}] has more than 2^63 elements or bytes");
        }
    }

    // The data section starts at the first aligned position after the table; offsets count from there.
    private void Place(List<Entry> entries, long tableEnd)
    {
        var start = AlignUp(tableEnd);
        foreach (ref readonly var entry in CollectionsMarshal.AsSpan(entries))
        {
            var item = $"tensor '{entry.Name}'";
            if (entry.Offset % (ulong)Alignment != 0)
                throw Fault(item, $"offset {entry.Offset} is not a multiple of the alignment {Alignment}");
            if (entry.Offset > (ulong)Length || entry.ByteLength > Length - start - (long)entry.Offset)
                throw Fault(item, $"{entry.ByteLength} bytes at offset {entry.Offset} reach beyond the end of the file (data section "
                    + $"at {start}, file of {Length} bytes); the file is cut off or damaged");
            var tensor = new GgufTensor(entry.Name, entry.Type, entry.Shape, start + (long)entry.Offset, entry.ByteLength);
            if (!_tensors.TryAdd(entry.Name, tensor))
                throw Fault(item, "the name appears twice");
        }
        CheckOverlaps();
    }

    private long AlignUp(long position) => (position + Alignment - 1) & -Alignment;

    private void CheckOverlaps()
    {
        GgufTensor? previous = null;
        foreach (var tensor in _tensors.Values.OrderBy(tensor => tensor.Offset))
        {
            if (previous is not null && tensor.Offset < previous.Offset + previous.ByteLength)
                throw Fault($"tensor '{tensor.Name}'", $"overlaps tensor '{previous.Name}'");
            previous = tensor;
        }
    }

    /// <summary>A line of the tensor table as it stands in the file; the offset counts from the data section.</summary>
    private readonly record struct Entry(string Name, GgmlType Type, long[] Shape, long ByteLength, ulong Offset);
}
