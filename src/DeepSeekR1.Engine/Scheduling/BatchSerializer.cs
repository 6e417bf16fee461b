using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using DeepSeekR1.Compute.Kernels.Sampling;

namespace DeepSeekR1.Engine.Scheduling;

/// <summary>
/// Steps as bytes, little-endian, for ranks in other processes and for replay. Both ends are of one build: the first byte is the format's
/// number, and another is refused. Arrays are written with their lengths.
/// </summary>
public static class BatchSerializer
{
    private const byte Format = 1;

    /// <summary>Settings are few and differ from build to build: written by name, so that a new one needs no line here.</summary>
    private static readonly JsonSerializerOptions Settings = new() { IgnoreReadOnlyProperties = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>More entries than any step has: damage must not ask for gigabytes.</summary>
    private const int MostEntries = 1 << 24;

    /// <summary>Writes a step, its owners left out.</summary>
    public static void Write(Stream stream, ScheduledBatch batch)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Format);
        writer.Write(batch.Sequences.Count);
        foreach (var part in batch.Sequences)
        {
            writer.Write(part.Id);
            writer.Write(part.Computed);
            writer.Write(part.NumDrafts);
            writer.Write(part.ScoredTop);
            writer.Write(part.Adapter);
            WriteArray<int>(writer, part.TokenIds);
            WriteArray<int>(writer, part.Blocks);
            WriteArray<int>(writer, part.Scored);
            writer.Write(part.Rows.Length);
            foreach (var row in part.Rows)
                WriteRow(writer, row);
        }
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is of another format, or damaged.</exception>
    /// <exception cref="EndOfStreamException">It ends too early.</exception>
    public static ScheduledBatch Read(Stream stream)
    {
        using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
        byte format = reader.ReadByte();
        if (format != Format)
            throw new InvalidDataException($"The step has format {format}; this build reads {Format}. Use the same build on all ranks.");
        var parts = new List<ScheduledSequence>();
        for (int left = ReadLength(reader); left > 0; left--)
            parts.Add(ReadPart(reader));
        return new ScheduledBatch(parts);
    }

    private static ScheduledSequence ReadPart(BinaryReader reader)
    {
        long id = reader.ReadInt64();
        int computed = reader.ReadInt32(), drafts = reader.ReadInt32(), scoredTop = reader.ReadInt32(), adapter = reader.ReadInt32();
        int[] ids = ReadArray<int>(reader), blocks = ReadArray<int>(reader), scored = ReadArray<int>(reader);
        var rows = new List<SamplingRow>();
        for (int left = ReadLength(reader); left > 0; left--)
            rows.Add(ReadRow(reader));
        return new ScheduledSequence(id, ids, computed, blocks) { NumDrafts = drafts, Rows = [.. rows], Scored = scored, ScoredTop = scoredTop, Adapter = adapter };
    }

    private static void WriteRow(BinaryWriter writer, SamplingRow row)
    {
        writer.Write(row.Position);
        WriteArray<byte>(writer, JsonSerializer.SerializeToUtf8Bytes(row.Settings, Settings));
        writer.Write(row.Mask is not null);
        if (row.Mask is { } mask)
            WriteArray<uint>(writer, mask);
        writer.Write(row.Counts is not null);
        if (row.Counts is not { } counts)
            return;
        WriteArray<int>(writer, counts.Ids);
        WriteArray<int>(writer, counts.Generated);
    }

    private static SamplingRow ReadRow(BinaryReader reader)
    {
        int position = reader.ReadInt32();
        var settings = ReadSettings(reader);
        uint[]? mask = reader.ReadBoolean() ? ReadArray<uint>(reader) : null;
        return new SamplingRow(settings, position, mask, reader.ReadBoolean() ? new TokenCounts(ReadArray<int>(reader), ReadArray<int>(reader)) : null);
    }

    private static SamplingSettings ReadSettings(BinaryReader reader)
    {
        try
        {
            var settings = JsonSerializer.Deserialize<SamplingSettings>(ReadArray<byte>(reader), Settings);
            if (settings is { BiasIds: not null, Biases: not null })
                return settings;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"The step is damaged: the settings of a row cannot be read. {e.Message}", e);
        }

        throw new InvalidDataException("The step is damaged: a row has no settings.");
    }

    private static void WriteArray<T>(BinaryWriter writer, ReadOnlySpan<T> values)
        where T : unmanaged
    {
        writer.Write(values.Length);
        writer.Write(MemoryMarshal.AsBytes(values));
    }

    private static T[] ReadArray<T>(BinaryReader reader)
        where T : unmanaged
    {
        var values = new T[ReadLength(reader)];
        reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    private static int ReadLength(BinaryReader reader)
    {
        int length = reader.ReadInt32();
        if (length < 0 || length > MostEntries)
            throw new InvalidDataException($"The step is damaged: {length} cannot be a number of entries.");
        return length;
    }
}
