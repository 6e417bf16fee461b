using System.Buffers.Binary;
using System.Text.Json;
using DeepSeekR1.Compute;

namespace DeepSeekR1.Models.Checkpoints;

/// <summary>Where a tensor's bytes lie in a file.</summary>
/// <param name="Tensor">Name, type, shape.</param>
/// <param name="Offset">Absolute byte offset in the file.</param>
/// <param name="Length">Number of bytes.</param>
public sealed record SafetensorsEntry(StoredTensor Tensor, long Offset, long Length);

/// <summary>
/// One .safetensors file: mapped, its header parsed and checked in full, no data touched. Format: 8 bytes little-endian header
/// length, a JSON object of at most 100 MB, then the data, which the tensors cover without holes or overlaps.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    private const long MaxHeaderBytes = 100_000_000;
    private readonly MappedFile _file;
    private readonly Dictionary<string, SafetensorsEntry> _entries = [];

    private SafetensorsFile(MappedFile file) => _file = file;

    /// <summary>Every tensor by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries => _entries;

    /// <summary>The mapped bytes.</summary>
    public MappedFile File => _file;

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="ModelLoadException">It is not a well-formed safetensors file; the message names file, tensor and cause.</exception>
    public static SafetensorsFile Open(string path)
    {
        if (Directory.Exists(path))
            throw new ModelLoadException($"'{path}' is a folder, not a safetensors file.");
        var mapped = new MappedFile(path);
        var file = new SafetensorsFile(mapped);
        try
        {
            file.ReadHeader();
            return file;
        }
        catch
        {
            mapped.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void ReadHeader()
    {
        if (_file.Length < 8)
            throw Bad($"it has {_file.Length} bytes; the header length alone takes 8. The file is truncated: download it again");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(_file.Span(0, 8));
        if (length > MaxHeaderBytes)
            throw Bad($"its header claims {length} bytes; the format allows {MaxHeaderBytes}");
        if ((long)length > _file.Length - 8)
            throw Bad($"its header claims {length} bytes, but only {_file.Length - 8} follow. The file is truncated: download it again");
        var header = _file.Span(8, (int)length);
        if (header.IsEmpty || header[0] != (byte)'{')
            throw Bad("its header does not begin with '{'");
        try
        {
            ParseHeader(header, 8 + (long)length);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new ModelLoadException($"'{_file.Path}' is not a usable safetensors file: its header is not valid JSON ({e.Message}).", e);
        }

        CheckCoverage(8 + (long)length);
    }

    private void ParseHeader(ReadOnlySpan<byte> header, long dataStart)
    {
        var reader = new Utf8JsonReader(header);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (name == "__metadata__")
                CheckMetadata(ref reader);
            else if (!_entries.TryAdd(name, ParseEntry(ref reader, name, dataStart)))
                throw Bad($"tensor '{name}' stands in the header twice");
        }

        while (reader.Read())
        {
        }
    }

    private void CheckMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Bad("__metadata__ is not an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Bad("__metadata__ holds a value that is not a string");
        }
    }

    private SafetensorsEntry ParseEntry(ref Utf8JsonReader reader, string name, long dataStart)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Bad($"tensor '{name}' is not described by an object");
        DType? type = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = reader.GetString();
            reader.Read();
            bool repeated = field switch { "dtype" => type is not null, "shape" => shape is not null, "data_offsets" => offsets is not null, _ => false };
            if (repeated)
                throw Bad($"tensor '{name}' has the field {field} twice");
            if (field == "dtype")
                type = ParseType(reader.TokenType == JsonTokenType.String ? reader.GetString()! : "?", name);
            else if (field == "shape")
                shape = ParseIntegers(ref reader, name, field);
            else if (field == "data_offsets")
                offsets = ParseIntegers(ref reader, name, field);
            else
                reader.Skip();
        }

        if (type is null || shape is null || offsets is null)
            throw Bad($"tensor '{name}' lacks {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        return CheckEntry(name, type.Value, shape, offsets, dataStart);
    }

    private SafetensorsEntry CheckEntry(string name, DType type, long[] shape, long[] offsets, long dataStart)
    {
        if (offsets.Length != 2)
            throw Bad($"tensor '{name}' has {offsets.Length} data_offsets; there must be 2");
        long begin = offsets[0], end = offsets[1], available = _file.Length - dataStart;
        if (begin > end)
            throw Bad($"tensor '{name}' begins at {begin}, after its end {end}");
        if (end > available)
            throw Bad($"tensor '{name}' ends at byte {end} of the data, which has only {available}. The file is truncated: download it again");
        UInt128 bytes = (UInt128)type.Bytes();
        foreach (long dimension in shape)
        {
            bytes *= (UInt128)dimension;
            if (bytes > long.MaxValue)
                throw Bad($"tensor '{name}' of shape [{string.Join(", ", shape)}] has more elements than a file can hold");
        }

        if ((long)bytes != end - begin)
            throw Bad($"tensor '{name}' of type {type} and shape [{string.Join(", ", shape)}] takes {bytes} bytes, but its offsets span {end - begin}");
        return new SafetensorsEntry(new StoredTensor(name, type, shape), dataStart + begin, end - begin);
    }

    private long[] ParseIntegers(ref Utf8JsonReader reader, string name, string field)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Bad($"tensor '{name}': {field} is not a list");
        var values = new List<long>(4);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long value) || value < 0)
                throw Bad($"tensor '{name}': {field} holds a value that is not a whole number from 0 on");
            values.Add(value);
        }

        return [.. values];
    }

    private DType ParseType(string name, string tensor)
        => SafetensorsTypes.Parse(name) ?? throw Bad($"tensor '{tensor}' has the unknown dtype {name}");

    /// <summary>The tensors must cover the data exactly.</summary>
    private void CheckCoverage(long dataStart)
    {
        long at = dataStart;
        foreach (var entry in _entries.Values.OrderBy(e => e.Offset).ThenBy(e => e.Length))
        {
            if (entry.Offset < at)
                throw Bad($"tensor '{entry.Tensor.Name}' overlaps the one before it");
            if (entry.Offset > at)
                throw Bad($"{entry.Offset - at} bytes before tensor '{entry.Tensor.Name}' belong to no tensor");
            at += entry.Length;
        }

        if (at != _file.Length)
            throw Bad($"{_file.Length - at} bytes after the last tensor belong to no tensor");
    }

    private ModelLoadException Bad(string cause) => new($"'{_file.Path}' is not a usable safetensors file: {cause}.");
}
